package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/gguf"
	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// ggufModel is a model in GGUF files, of which the first has the metadata.
type ggufModel struct {
	*gguf.File
	path    string // of the first file
	arch    string // general.architecture
	tensors map[string]ggufTensor
	err     error // the first that reading the metadata met
}

// ggufTensor is a tensor with the file that it is in.
type ggufTensor struct {
	gguf.Tensor
	file string
}

// ggufPart matches the name of one of the files that a model is split into.
var ggufPart = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// IsGGUF reports whether path is a GGUF file, or a directory with one and without safetensors.
func IsGGUF(path string) bool {
	found, err := findGGUF(path)
	return found != nil || err != nil
}

// findGGUF returns the GGUF files at path, in their order: path itself, the parts of a model of which
// path is one, or the only model in the directory path. None is no error.
func findGGUF(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, nil // whoever opens it says why
	case info.IsDir():
		return ggufIn(path)
	case !info.Mode().IsRegular() || !strings.EqualFold(filepath.Ext(path), ".gguf") && !beginsAsGGUF(path):
		return nil, nil
	}
	return ggufParts(path)
}

func beginsAsGGUF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [4]byte
	_, err = f.Read(head[:])
	return err == nil && string(head[:]) == "GGUF"
}

// ggufIn finds the model in a directory that has no safetensors. Projectors of images or sound, which
// are files of their own, do not count.
func ggufIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil
	}
	var found []string
	seen := map[string]bool{}
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, ".safetensors") || name == indexFile {
			return nil, nil
		}
		if e.IsDir() || !strings.HasSuffix(name, ".gguf") || strings.HasPrefix(name, "mmproj") {
			continue
		}
		model := name
		if m := ggufPart.FindStringSubmatch(name); m != nil {
			model = m[1] + " of " + m[3]
		}
		if !seen[model] {
			found = append(found, name)
		}
		seen[model] = true
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return ggufParts(filepath.Join(dir, found[0]))
	}
	return nil, fmt.Errorf("%s: there are several GGUF models: name one of the files %s", dir, strings.Join(found, ", "))
}

// ggufParts returns the files of the model that path is, or is a part of.
func ggufParts(path string) ([]string, error) {
	m := ggufPart.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return []string{path}, nil
	}
	n, err := strconv.Atoi(m[3])
	if err != nil || n < 1 {
		return nil, fmt.Errorf("%s: %s is not a valid number of parts", path, m[3])
	}
	var paths []string
	for i := range n {
		part := filepath.Join(filepath.Dir(path), fmt.Sprintf("%s-%05d-of-%s.gguf", m[1], i+1, m[3]))
		if _, err := os.Stat(part); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: missing: the model is in %d files, and all of them are needed", part, n)
		}
		paths = append(paths, part)
	}
	return paths, nil
}

// openGGUF maps the files of a model. The shards have no tensors yet.
func openGGUF(paths []string) (*ggufModel, *shards, error) {
	s := &shards{tensors: map[string]stored{}}
	m := &ggufModel{path: paths[0], tensors: map[string]ggufTensor{}}
	for i, path := range paths {
		err := mapped.Reading(func() error {
			if err := m.add(s, path, i, len(paths)); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			return nil
		})
		if err != nil {
			return nil, nil, errors.Join(err, s.close())
		}
	}
	m.arch = m.text("general.architecture")
	if m.err == nil && len(m.tensors) == 0 {
		m.err = errors.New("there are no tensors in it: it is a vocabulary alone")
	}
	if m.err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", m.path, m.err), s.close())
	}
	return m, s, nil
}

// add maps one of n files.
func (m *ggufModel) add(s *shards, path string, i, n int) error {
	data, err := mapFile(path)
	if err != nil {
		return err
	}
	s.maps = append(s.maps, data)
	s.files = append(s.files, File{path, int64(len(data))})
	if IsPointer(data) || isPage(data) {
		return errors.New(disguised(data))
	}
	f, err := gguf.Parse(data)
	if err != nil {
		return err
	}
	if i == 0 {
		m.File = f
	}
	if err := checkPart(f, i, n); err != nil {
		return err
	}
	for _, t := range f.Tensors {
		if earlier, ok := m.tensors[t.Name]; ok {
			return fmt.Errorf("tensor %q: it is in %s too", t.Name, filepath.Base(earlier.file))
		}
		m.tensors[t.Name] = ggufTensor{t, path}
	}
	return nil
}

// checkPart compares what a file says of its place among n files.
func checkPart(f *gguf.File, i, n int) error {
	count, ok, err := f.Int("split.count")
	if err != nil || !ok {
		return err
	}
	no, _, err := f.Int("split.no")
	switch {
	case err != nil:
		return err
	case count > 1 && n == 1:
		return fmt.Errorf("it is part %d of %d of a model: the parts must have names as they were made, like NAME-%05d-of-%05d.gguf", no+1, count, no+1, count)
	case count != n || no != i:
		return fmt.Errorf("it says that it is part %d of %d, its name that it is part %d of %d", no+1, count, i+1, n)
	}
	return nil
}

// key is the name of a key of the architecture.
func (m *ggufModel) key(name string) string { return m.arch + "." + name }

func (m *ggufModel) keep(err error) {
	if m.err == nil {
		m.err = err
	}
}

// text reads a string that must be there.
func (m *ggufModel) text(key string) string {
	s, ok, err := m.String(key)
	if m.keep(err); err == nil && !ok {
		m.keep(fmt.Errorf("metadata %q is missing", key))
	}
	return s
}

// has reports whether there is a tensor.
func (m *ggufModel) has(name string) bool {
	_, ok := m.tensors[name]
	return ok
}
