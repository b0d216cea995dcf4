package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Missing lists, by name, the weight files of the checkpoint in dir that are missing, according to the
// index or, if that is missing, to the names of the files that are there.
func Missing(dir string) ([]string, error) {
	wanted := []string{singleFile}
	if !isThere(dir, singleFile) {
		path := filepath.Join(dir, indexFile)
		data, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			wanted = unlisted(dir)
		case err != nil:
			return nil, err
		default:
			index, err := parseIndex(data)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			wanted = slices.Compact(slices.Sorted(maps.Values(index)))
		}
	}
	return slices.DeleteFunc(wanted, func(name string) bool { return isThere(dir, name) }), nil
}

// unlisted lists the files that belong to those in dir by their names.
func unlisted(dir string) []string {
	sets := map[string][]string{}
	for _, name := range weightsIn(dir) {
		set, files := setOf(name)
		sets[set] = files
	}
	if len(sets) == 0 {
		return []string{singleFile}
	}
	return slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(sets))...)))
}

// isThere reports whether dir has a file of this name, or a link to one.
func isThere(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
