package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// open maps the weights in dir: the single file, the files of the index or, where neither is there, the
// one set of files that has another name.
func (s *shards) open(dir string) error {
	switch {
	case present(dir, singleFile):
		if present(dir, indexFile) {
			s.notes = append(s.notes, fmt.Sprintf("not read: %s and its files, because %s is there", indexFile, singleFile))
		}
		return s.add(filepath.Join(dir, singleFile))
	case present(dir, indexFile):
		return s.openIndexed(dir)
	}
	return s.openUnnamed(dir)
}

// openIndexed maps the files that the index names. Which tensor is in which of them the files say; an
// index that is wrong about it makes a note.
func (s *shards) openIndexed(dir string) error {
	path := filepath.Join(dir, indexFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	s.files = append(s.files, File{path, int64(len(data))})
	index, err := parseIndex(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	files := slices.Compact(slices.Sorted(maps.Values(index)))
	if err := s.addAll(dir, files, indexFile+" names"); err != nil {
		return err
	}
	elsewhere := 0
	for _, name := range slices.Sorted(maps.Keys(index)) {
		switch t, ok := s.tensors[name]; {
		case !ok:
			return fmt.Errorf("%s: tensor %q: the index says it is here, but it is not", filepath.Join(dir, index[name]), name)
		case filepath.Base(t.file) != index[name]:
			elsewhere++
		}
	}
	if elsewhere > 0 {
		s.notes = append(s.notes, fmt.Sprintf("%s is wrong about which file has a tensor (%d)", indexFile, elsewhere))
	}
	if n := len(s.tensors) - len(index); n > 0 {
		s.notes = append(s.notes, fmt.Sprintf("%s does not list all tensors of its files (%d)", indexFile, n))
	}
	others := slices.DeleteFunc(weightsIn(dir), func(name string) bool { return slices.Contains(files, name) || !modelName.MatchString(name) })
	if len(others) > 0 {
		s.notes = append(s.notes, fmt.Sprintf("not read, because %s does not name them: %s", indexFile, strings.Join(others, ", ")))
	}
	return nil
}

// addAll maps files, or says which of them are missing.
func (s *shards) addAll(dir string, files []string, why string) error {
	var missing []string
	for _, name := range files {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return fmt.Errorf("%s: %d of %d files that %s are missing: %s%s", dir, len(missing), len(files), why, fewOf(missing), unfinished(dir))
	}
	for _, name := range files {
		if err := s.add(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// fewOf lists the first of some names.
func fewOf(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// weightsIn lists, sorted, the safetensors files in dir that may hold a model.
func weightsIn(dir string) []string {
	return slices.DeleteFunc(filesIn(dir), func(name string) bool {
		return filepath.Ext(name) != ".safetensors" || name == adapterWeights
	})
}

// filesIn lists, sorted, what is in dir; what cannot be read is empty.
func filesIn(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// modelName are names that weights of models have.
var modelName = regexp.MustCompile(`^(?:model|pytorch_model|consolidated|weights)`)

var shardName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})(.*\.safetensors)$`)

// openUnnamed maps weights that are not called as transformers calls them: one file, or all files of a set
// "NAME-00001-of-00002". Of several sets that which begins with "model" is taken.
func (s *shards) openUnnamed(dir string) error {
	sets := map[string][]string{} // the files that there should be
	for _, name := range weightsIn(dir) {
		set, files := setOf(name)
		sets[set] = files
	}
	names := slices.Sorted(maps.Keys(sets))
	models := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, "model") })
	if len(models) == 0 {
		models = names
	}
	original := present(dir, "params.json") && slices.ContainsFunc(models, func(n string) bool { return strings.HasPrefix(n, "consolidated") })
	switch {
	case len(models) == 0 || original:
		return fmt.Errorf("%s: %s", dir, noWeights(dir))
	case len(models) > 1:
		return fmt.Errorf("%s: neither %s nor %s is there, but %s: rename the one with the model to %s, or move the others away",
			dir, singleFile, indexFile, fewOf(names), singleFile)
	}
	s.notes = append(s.notes, fmt.Sprintf("neither %s nor %s is there: weights are read from %s", singleFile, indexFile, fewOf(sets[models[0]])))
	return s.addAll(dir, sets[models[0]], "belong together")
}

// setOf returns the set that a file of weights belongs to, and all files that there should be of it.
func setOf(name string) (set string, files []string) {
	m := shardName.FindStringSubmatch(name)
	if m == nil {
		return name, []string{name}
	}
	n, _ := strconv.Atoi(m[3]) // five digits
	for i := range min(n, 1<<12) {
		files = append(files, fmt.Sprintf("%s-%05d-of-%s%s", m[1], i+1, m[3], m[4]))
	}
	return m[1] + m[4], files
}

// present reports whether dir has an entry of this name, be it a link to nothing.
func present(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}
