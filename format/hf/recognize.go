package hf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// Kind is what may be at a path where a checkpoint or a bundle is expected.
type Kind int

// The kinds that a caller may want to tell apart.
const (
	OtherKind      Kind = iota
	CheckpointKind      // a directory with config.json and safetensors
	BundleKind          // a directory that quantize made
	AdapterKind         // a directory with a LoRA adapter or its like
)

// Found says what is at a path, with a sentence about what to do with it.
type Found struct {
	Kind   Kind
	Advice string
}

// Recognize says what is at a path. It looks at names and the beginnings of files and reads no weights.
func Recognize(path string) Found {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err != nil && address.MatchString(path):
		return absent(path)
	case err != nil:
		return Found{OtherKind, err.Error()}
	case info.IsDir():
		return recognizeDir(path, filesIn(path))
	}
	return recognizeFile(path)
}

var (
	hubID   = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)
	address = regexp.MustCompile(`^[a-z][a-z0-9+]*:/`)
	hubURL  = regexp.MustCompile(`^(?:(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/|hf://)([\w.-]+/[\w.-]+)`)
)

// absent says what a path that leads nowhere may mean.
func absent(path string) Found {
	if m := hubURL.FindStringSubmatch(path); m != nil {
		return Found{OtherKind, "is an address, want a directory: " + download(m[1])}
	}
	if address.MatchString(path) {
		return Found{OtherKind, "is an address, want a directory: download the model first"}
	}
	if _, err := os.Lstat(path); err == nil {
		return Found{OtherKind, "a link to what is not there"}
	}
	if _, err := os.Stat(filepath.Dir(path)); hubID.MatchString(path) && err != nil {
		return Found{OtherKind, "no such directory. If it is a model on the Hugging Face hub, " + download(path)}
	}
	return Found{OtherKind, "no such file or directory"}
}

// download says how to get a model from the hub.
func download(id string) string {
	name := id[strings.IndexByte(id, '/')+1:]
	return fmt.Sprintf("download it with: llama-webgpu fetch %s --local-dir %s; then give the directory %s", id, name, name)
}

// recognizeFile looks at a file that is given in place of a directory.
func recognizeFile(path string) Found {
	dir, name := filepath.Dir(path), filepath.Base(path)
	head := make([]byte, 64)
	if f, err := os.Open(path); err == nil {
		n, _ := io.ReadFull(f, head) // a short file is a short head
		f.Close()
		head = head[:n]
	}
	of := func(what string) string { return "is " + what + ": give its directory, " + dir }
	switch ext := strings.ToLower(filepath.Ext(name)); {
	case IsPointer(head), isPage(head):
		return Found{OtherKind, disguised(head)}
	case bytes.HasPrefix(head, []byte("GGUF")):
		return Found{OtherKind, "is a GGUF file: make a bundle of it with: llama-webgpu quantize -i " + word(path) + " -o OUT -f int4"}
	case name == "model.wgpu", name == "manifest.json":
		return Found{OtherKind, of("a part of a bundle")}
	case strings.HasSuffix(name, ".incomplete"):
		return Found{OtherKind, "is a download that is not finished: " + again}
	case name == adapterWeights, name == adapterConfig:
		return Found{AdapterKind, "is a part of an adapter: " + adapterAdvice(dir)}
	case ext == ".safetensors":
		if !present(dir, "config.json") {
			return Found{OtherKind, "is a file of weights without a config.json beside it: give the directory of a whole checkpoint"}
		}
		return Found{OtherKind, of("a file of weights")}
	case ext == ".json", name == "tokenizer.model":
		return Found{OtherKind, of("a part of a checkpoint")}
	case slices.Contains([]string{".bin", ".pth", ".pt", ".ckpt"}, ext) && (bytes.HasPrefix(head, []byte("PK")) || bytes.HasPrefix(head, []byte{0x80})):
		return Found{OtherKind, "is a file of PyTorch: " + pickleAdvice(dir)}
	case bytes.HasPrefix(head, []byte("PK")), slices.Contains([]string{".zip", ".tar", ".gz", ".tgz", ".zst", ".whl", ".7z"}, ext):
		return Found{OtherKind, "is an archive: unpack it, and give the directory of the model in it"}
	}
	if what := foreign(name); what != "" {
		return Found{OtherKind, "is " + what}
	}
	return Found{OtherKind, "is a file, want the directory of a checkpoint or bundle"}
}

// word writes a path as a shell takes it.
func word(path string) string {
	special := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(`/\._-+=:,@%~`, r)
	}
	switch {
	case !strings.ContainsFunc(path, special):
		return path
	case runtime.GOOS == "windows":
		return `"` + path + `"`
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// recognizeDir looks at the names in a directory.
func recognizeDir(dir string, names []string) Found {
	has := func(name string) bool { return slices.Contains(names, name) }
	bundled := slices.ContainsFunc(names, func(n string) bool { return filepath.Ext(n) == ".wgpu" }) // in one file, or in several
	switch {
	case has("manifest.json") && bundled && len(weightsIn(dir)) == 0:
		return Found{BundleKind, "is a bundle that quantize has made: run it with: llama-webgpu infer --model " + word(dir)}
	case has("config.json") && (has(indexFile) || len(weightsIn(dir)) > 0) && !has("model_index.json"):
		return Found{CheckpointKind, "is a checkpoint: make a bundle of it with: llama-webgpu quantize -i " + word(dir) + " -o OUT -f int4"}
	case has(adapterConfig) && ofMLX(dir) != "":
		return Found{AdapterKind, ofMLX(dir)}
	case has(adapterConfig):
		return Found{AdapterKind, "is an adapter, no model of its own: " + adapterAdvice(dir)}
	case !has("manifest.json") && bundled:
		return Found{OtherKind, "has the weights of a bundle but no manifest.json, without which they mean nothing: copy the bundle again, or make it again with llama-webgpu quantize"}
	case has("model_index.json"):
		return Found{OtherKind, "is a diffusers pipeline, which makes images or sound; want a language model"}
	}
	if f := recognizeCache(dir, names); f.Advice != "" {
		return f
	}
	return recognizeWeights(dir, names)
}

// recognizeCache looks for the layout of Hugging Face's cache: models--ORG--NAME/snapshots/HASH.
func recognizeCache(dir string, names []string) Found {
	if slices.Contains(names, "snapshots") {
		var found []string
		for _, s := range filesIn(filepath.Join(dir, "snapshots")) {
			found = append(found, filepath.Join(dir, "snapshots", s))
		}
		if main, err := os.ReadFile(filepath.Join(dir, "refs", "main")); err == nil && len(found) > 1 {
			if s := filepath.Join(dir, "snapshots", strings.TrimSpace(string(main))); slices.Contains(found, s) {
				found = []string{s}
			}
		}
		if len(found) == 0 {
			return Found{OtherKind, "is a directory of Hugging Face's cache in which nothing is whole: " + again}
		}
		return Found{OtherKind, "is a directory of Hugging Face's cache: give the model in it, " + strings.Join(found, " or ")}
	}
	if slices.Contains(names, "blobs") && slices.Contains(names, "manifests") {
		return Found{OtherKind, "is Ollama's directory: its models are the large GGUF files in " + filepath.Join(dir, "blobs") + "; give one of them"}
	}
	var models []string
	for _, n := range names {
		if strings.HasPrefix(n, "models--") {
			models = append(models, n)
		}
	}
	if models != nil {
		return Found{OtherKind, fmt.Sprintf("is Hugging Face's cache: give a model in it, as %s (there are %s)",
			filepath.Join(dir, models[0], "snapshots", "…"), fewOf(models))}
	}
	return Found{}
}

// recognizeWeights looks for weights that are no safetensors, and for what is missing.
func recognizeWeights(dir string, names []string) Found {
	with := func(suffixes ...string) (list []string) {
		for _, n := range names {
			if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(n, s) }) {
				list = append(list, n)
			}
		}
		return list
	}
	pickled := slices.DeleteFunc(with(".bin", ".pth", ".pt", ".ckpt"), func(n string) bool {
		return foreign(n) != "" || slices.Contains([]string{"training_args.bin", "optimizer.pt", "scheduler.pt"}, n)
	})
	switch original := with("consolidated.safetensors", "consolidated.00.pth"); {
	case slices.Contains(names, "params.json") && original != nil:
		return Found{OtherKind, "has weights in Meta's or Mistral's own format (" + original[0] + ", params.json): take the files that transformers reads from the same model's page on the hub, model*.safetensors and config.json, or convert them with transformers' convert_llama_weights_to_hf.py or convert_mistral_weights_to_hf.py"}
	case unfinished(dir) != "":
		return Found{OtherKind, "holds a download that is not finished: " + again}
	case with(".gguf") != nil:
		return Found{OtherKind, "has GGUF files: make a bundle of one with: llama-webgpu quantize -i " + word(filepath.Join(dir, with(".gguf")[0])) + " -o OUT -f int4"}
	case len(pickled) > 0:
		return Found{OtherKind, "has weights of PyTorch (" + fewOf(pickled) + "): " + pickleAdvice(dir)}
	}
	for _, n := range names {
		if what := foreign(n); what != "" {
			return Found{OtherKind, "has " + what}
		}
	}
	if f := recognizeWithin(dir, names); f.Advice != "" {
		return f
	}
	tokenizer := with("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
	switch {
	case slices.Contains(names, "config.json"):
		return Found{OtherKind, onlyConfig + ": neither " + singleFile + " nor " + indexFile + " is there; " + again}
	case with(".safetensors") != nil:
		return Found{OtherKind, "has weights but no config.json: take it from the model's page on the hub"}
	case tokenizer != nil:
		return Found{OtherKind, "has a tokenizer (" + tokenizer[0] + ") but no model: neither config.json nor weights are there"}
	case len(names) == 0:
		return Found{OtherKind, "is empty: " + neither}
	}
	return Found{OtherKind, neither}
}

// recognizeWithin looks one directory further down.
func recognizeWithin(dir string, names []string) Found {
	if slices.Contains(names, "config.json") {
		return Found{}
	}
	var list []string
	for _, n := range names {
		sub := filepath.Join(dir, n)
		if slices.ContainsFunc(filesIn(sub), func(name string) bool {
			return name == "config.json" || name == "manifest.json" || name == adapterConfig || filepath.Ext(name) == ".gguf"
		}) {
			list = append(list, sub)
		}
	}
	if list == nil {
		return Found{}
	}
	return Found{OtherKind, "holds no model itself, but directories in it do: give " + strings.Join(list[:min(5, len(list))], " or ")}
}

const neither = "neither a bundle (no manifest.json) nor a checkpoint (no config.json, no .gguf file)"
