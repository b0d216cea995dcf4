package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/nlpodyssey/safetensors"

	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
)

// stored is a tensor as it lies in a file.
type stored struct {
	file  string // path
	dtype string
	shape []int
	data  []byte

	values values // what computes the elements, nil: they are as they are stored
}

// shards are the mapped files of a checkpoint and the tensors in them.
type shards struct {
	files   []File
	maps    []mapped.File
	tensors map[string]stored
	notes   []string
}

// openShards maps the weights in dir.
func openShards(dir string) (*shards, error) {
	s := &shards{tensors: map[string]stored{}}
	err := s.open(dir)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// parseIndex returns the weight_map of a model.safetensors.index.json: for each tensor, its file.
func parseIndex(data []byte) (map[string]string, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, err
	}
	if len(index.WeightMap) == 0 {
		return nil, errors.New("weight_map is missing or empty")
	}
	for name, file := range index.WeightMap {
		if file == "" || file != filepath.Base(file) || strings.ContainsAny(file, `/\`) || file == ".." {
			return nil, fmt.Errorf("tensor %q: %q is not the name of a file beside the index", name, file)
		}
	}
	return index.WeightMap, nil
}

// add maps a file and takes in its tensors.
func (s *shards) add(path string) error {
	data, err := mapFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.maps = append(s.maps, data)
	s.files = append(s.files, File{path, int64(len(data))})
	var entries []entry
	var views [][]byte
	err = mapped.Reading(func() (err error) {
		if what := disguised(data); what != "" {
			return fmt.Errorf("%s: %s", path, what)
		}
		if entries, views, err = parseFile(data); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, e := range entries {
		if earlier, ok := s.tensors[e.name]; ok {
			return fmt.Errorf("%s: tensor %q: it is in %s too", path, e.name, filepath.Base(earlier.file))
		}
		s.tensors[e.name] = stored{file: path, dtype: e.dtype, shape: e.shape, data: views[i]}
	}
	return nil
}

// newDType reports whether a type came after the reader behind the guard.
func newDType(name string) bool {
	return name == "C64" || name == float4 || strings.HasPrefix(name, "F8_") || strings.HasPrefix(name, "F6_")
}

// parseFile returns the tensors of a file and the bytes of each. The reader behind the guard must
// agree, unless the file has types that it does not know.
func parseFile(file []byte) (entries []entry, views [][]byte, err error) {
	entries, data, err := guard(file)
	if err != nil {
		return nil, nil, err
	}
	known := !slices.ContainsFunc(entries, func(e entry) bool { return newDType(e.dtype) })
	var second safetensors.SafeTensors
	if known {
		if second, err = safetensors.Deserialize(file); err != nil {
			return nil, nil, err
		}
	}
	for _, e := range entries {
		view := file[data+e.begin : data+e.end : data+e.end]
		if known {
			v, ok := second.Tensor(e.name)
			if !ok || len(v.Data()) != len(view) || len(view) > 0 && &v.Data()[0] != &view[0] {
				return nil, nil, fmt.Errorf("tensor %q: two readings of the header differ", e.name)
			}
		}
		views = append(views, view)
	}
	return entries, views, nil
}

func mapFile(path string) (mapped.File, error) {
	info, err := os.Stat(path) // before it is opened: a pipe would wait for who writes to it
	if err != nil {
		if _, link := os.Lstat(path); link == nil && errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("a link to a file that is not there: the download or the cache is incomplete")
		}
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if info.Size() < 8 { // nothing can be mapped of an empty file
		return nil, fmt.Errorf("is cut off: it has %d bytes; fetch it again", info.Size())
	}
	return mapped.Open(path)
}

func (s *shards) close() error {
	var err error
	for i := range s.maps {
		err = errors.Join(err, s.maps[i].Close())
	}
	s.maps, s.tensors = nil, nil
	return err
}
