package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// content is the part of a file that must be the same.
type content interface {
	// differs says in words how another content differs from this one, and returns "" if it is the same.
	differs(other content) string
}

// diff is a file that is not the same on both sides.
type diff struct{ kind, path, how string }

// compare compares a file, or the files of a directory, of both sides, and counts them.
func (m made) compare(base, now string) (diffs []diff, n int, err error) {
	files, err := filesOf(filepath.Join(base, m.path), filepath.Join(now, m.path))
	for _, file := range files {
		path := filepath.Join(m.path, file)
		how, e := m.compareFile(filepath.Join(base, path), filepath.Join(now, path))
		err = errors.Join(err, e)
		if n++; how != "" {
			diffs = append(diffs, diff{m.kind, path, how})
		}
	}
	return diffs, n, err
}

func (m made) compareFile(base, now string) (how string, err error) {
	a, errA := os.ReadFile(base)
	b, errB := os.ReadFile(now)
	switch {
	case errors.Is(errA, fs.ErrNotExist):
		return "is only there now", nil
	case errors.Is(errB, fs.ErrNotExist):
		return "is no longer there", nil
	case errors.Join(errA, errB) != nil:
		return "", errors.Join(errA, errB)
	}
	x, errA := m.read(a)
	y, errB := m.read(b)
	if err := errors.Join(errA, errB); err != nil {
		return "", fmt.Errorf("%s: %w", now, err)
	}
	return x.differs(y), nil
}

// filesOf returns the names of the files in either directory; of a file, its own: ".".
func filesOf(dirs ...string) ([]string, error) {
	names := map[string]bool{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel(dir, path)
			names[name] = true
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// raw are bytes.
type raw []byte

// whole takes every byte of a file.
func whole(data []byte) (content, error) { return raw(data), nil }

func (a raw) differs(other content) string {
	b := other.(raw)
	if bytes.Equal(a, b) {
		return ""
	}
	x, errA := values(a, false)
	y, errB := values(b, false)
	if errA == nil && errB == nil {
		if how := x.differs(y); how != "" {
			return how
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d bytes, %d now", len(a), len(b))
	}
	first, n := -1, 0
	for i := range a {
		if a[i] != b[i] {
			if n++; first < 0 {
				first = i
			}
		}
	}
	return fmt.Sprintf("%d of %d bytes, the first at %d", n, len(a), first)
}

// floats are little-endian float32.
type floats []byte

// recording takes the logits from what compare has recorded: all behind the header, which names the model.
func recording(data []byte) (content, error) {
	const magic, header = "LWGLOGIT", 256
	if len(data) <= header || len(data)%4 != 0 || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("%d bytes are no recording of logits", len(data))
	}
	return floats(data[header:]), nil
}

func (a floats) differs(other content) string {
	b := other.(floats)
	if bytes.Equal(a, b) {
		return ""
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d logits, %d now", len(a)/4, len(b)/4)
	}
	n, largest := 0, 0.0
	for i := 0; i < len(a); i += 4 {
		x, y := binary.LittleEndian.Uint32(a[i:]), binary.LittleEndian.Uint32(b[i:])
		if x != y {
			n++
			largest = max(largest, math.Abs(float64(math.Float32frombits(x))-float64(math.Float32frombits(y))))
		}
	}
	return fmt.Sprintf("%d of %d logits, by at most %.2g", n, len(a)/4, largest)
}

// tree is JSON, as the text of each value by its path.
type tree map[string]string

// numbers takes the numbers of verify's report about runtime and drift: not its words, nor the thresholds.
func numbers(data []byte) (content, error) {
	all, err := values(data, true)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(all, func(path, _ string) bool {
		return !strings.HasPrefix(path, ".runtime.") && !strings.HasPrefix(path, ".drift.")
	})
	if len(all) == 0 {
		return nil, errors.New("a report without numbers about runtime or drift")
	}
	return all, nil
}

// values reads JSON, only its numbers if the others do not matter.
func values(data []byte, onlyNumbers bool) (tree, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	t := tree{}
	t.add("", v, onlyNumbers)
	return t, nil
}

func (t tree) add(path string, v any, onlyNumbers bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, v := range v {
			t.add(path+"."+key, v, onlyNumbers)
		}
	case []any:
		for i, v := range v {
			t.add(fmt.Sprintf("%s[%d]", path, i), v, onlyNumbers)
		}
	default:
		if number, ok := v.(json.Number); ok {
			t[path] = number.String()
		} else if !onlyNumbers {
			t[path] = fmt.Sprint(v)
		}
	}
}

func (t tree) differs(other content) string {
	o := other.(tree)
	var paths []string
	for path := range t {
		if v, ok := o[path]; !ok || v != t[path] {
			paths = append(paths, path)
		}
	}
	for path := range o {
		if _, ok := t[path]; !ok {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return ""
	}
	slices.Sort(paths)
	first := paths[0]
	return fmt.Sprintf("%d of %d values, the first %s: %s, %s now", len(paths), len(t), first, shown(t, first), shown(o, first))
}

func shown(t tree, path string) string {
	if v, ok := t[path]; ok {
		return fmt.Sprintf("%.60s", v)
	}
	return "nothing"
}
