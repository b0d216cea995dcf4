package hub

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// File is a file of a repository.
type File struct {
	Path   string `json:"path"` // with slashes
	Size   int64  `json:"size"` // bytes
	Oid    string `json:"-"`    // hex: SHA-256 if LFS, else Git's SHA-1 of a blob
	LFS    bool   `json:"-"`
	Cached bool   `json:"cached"` // it was in the cache already
}

// smallest is how large a file beside the weights may be: vocabularies have some tens of megabytes.
const smallest = 256 << 20

// beside are the kinds of files beside the weights that a converter reads.
var beside = []string{".json", ".txt", ".model", ".jinja", ".tiktoken"}

// choose returns those of a repository's files that make a checkpoint: its weights, as safetensors or as one GGUF file, and
// the small files beside them. format is a part of the name of the GGUF file.
func choose(files []File, format string) (list []File, gguf string, err error) {
	var tensors, ggufs []File
	for _, f := range files {
		dir, ext := path.Dir(f.Path), path.Ext(f.Path)
		switch {
		case ext == ".gguf" && !strings.Contains(strings.ToLower(f.Path), "mmproj"):
			ggufs = append(ggufs, f)
		case dir != "." && dir != "additional_chat_templates":
		case ext == ".safetensors":
			tensors = append(tensors, f)
		case slices.Contains(beside, ext) && f.Size <= smallest:
			list = append(list, f)
		}
	}
	if format != "" || len(tensors) == 0 && len(ggufs) > 0 {
		parts, err := chooseGGUF(ggufs, format)
		if err != nil {
			return nil, "", err
		}
		return parts, parts[0].Path, nil
	}
	if len(tensors) == 0 {
		return nil, "", fmt.Errorf("it has neither safetensors nor GGUF files%s", others(files))
	}
	return append(list, withoutCopies(tensors)...), "", nil
}

// withoutCopies leaves out the second copy of the weights that some repositories have, in the form of another program.
func withoutCopies(tensors []File) []File {
	if !slices.ContainsFunc(tensors, func(f File) bool { return strings.HasPrefix(f.Path, "model") }) {
		return tensors
	}
	return slices.DeleteFunc(tensors, func(f File) bool { return strings.HasPrefix(f.Path, "consolidated") })
}

// shard is the end of the name of a GGUF file that is one of several.
var shard = regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`)

// chooseGGUF returns the one model whose name contains format, as all of its files.
func chooseGGUF(ggufs []File, format string) ([]File, error) {
	models := map[string][]File{}
	var names []string
	for _, f := range ggufs {
		name := shard.ReplaceAllString(f.Path, ".gguf")
		if models[name] == nil {
			names = append(names, name)
		}
		models[name] = append(models[name], f)
	}
	var fit []string
	for _, name := range names {
		switch {
		case strings.EqualFold(path.Base(name), format), strings.EqualFold(name, format):
			return models[name], nil
		case strings.Contains(strings.ToLower(name), strings.ToLower(format)):
			fit = append(fit, name)
		}
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("it has no GGUF file, so no %q of it: leave out what follows the colon", format)
	case len(fit) == 0:
		return nil, fmt.Errorf("none of its GGUF files has %q in its name: %s", format, strings.Join(names, ", "))
	case len(fit) > 1:
		return nil, fmt.Errorf("it has several GGUF files; name one by a part of its name after a colon, as in owner/name:Q8_0: %s", strings.Join(fit, ", "))
	}
	return models[fit[0]], nil
}

// others says what kinds of weights there are instead.
func others(files []File) string {
	for _, f := range files {
		if ext := path.Ext(f.Path); slices.Contains([]string{".bin", ".pt", ".pth", ".h5", ".onnx", ".msgpack"}, ext) {
			return fmt.Sprintf(", but %s; ask its owner for safetensors, or look for a conversion of it on the hub", f.Path)
		}
	}
	return ""
}
