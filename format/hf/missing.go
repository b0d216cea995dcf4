package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// shardName is how transformers calls the files of a large model.
var shardName = regexp.MustCompile(`^model-(\d{5})-of-(\d{5})\.safetensors$`)

// Missing lists, by name, the files of weights that belong to the checkpoint in dir and are not there, and how
// many there are to be. What belongs to it the index says or, as long as that is not there, the names of
// the files that are.
func Missing(dir string) (missing []string, of int, err error) {
	if fileExists(filepath.Join(dir, singleFile)) {
		return nil, 1, nil
	}
	path := filepath.Join(dir, indexFile)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missingWithoutIndex(dir)
	case err != nil:
		return nil, 0, err
	}
	index, err := parseIndex(data)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	files := map[string]bool{}
	for _, name := range index {
		files[name] = true
	}
	for name := range files {
		if !fileExists(filepath.Join(dir, name)) {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing, len(files), nil
}

func missingWithoutIndex(dir string) (missing []string, of int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, err
	}
	there := map[string]bool{}
	for _, e := range entries {
		if m := shardName.FindStringSubmatch(e.Name()); m != nil {
			there[e.Name()] = true
			n, _ := strconv.Atoi(m[2]) // five digits
			of = max(of, n)
		}
	}
	if of == 0 {
		return []string{singleFile}, 1, nil
	}
	missing = append(missing, indexFile)
	for i := range of {
		if name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, of); !there[name] {
			missing = append(missing, name)
		}
	}
	return missing, of + 1, nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
