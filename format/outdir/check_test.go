package outdir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestCheck(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"there", ".left.partial/content"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"there/own", "file", ".left.partial/content/x"} {
		if err := os.WriteFile(filepath.Join(root, file), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	before, err := filepath.Glob(filepath.Join(root, "*"))
	if err != nil {
		t.Fatal(err)
	}
	owns := func(name string) bool { return name == "own" }
	for _, test := range []struct {
		target string
		opts   Options
		ok     bool
		is     error // nil: any
	}{
		{"new", Options{}, true, nil},
		{"deep/er/new", Options{}, true, nil},
		{"there", Options{}, false, os.ErrExist},
		{"there", Options{Force: true, Owns: owns}, true, nil},
		{"there", Options{Force: true, Owns: func(string) bool { return false }}, false, nil},
		{"file", Options{Force: true}, false, nil},
		{"file/new", Options{}, false, nil},
		{"left", Options{}, false, ErrUnfinished},
		{"left", Options{Stale: Resume}, true, nil},
		{"left", Options{Stale: Discard}, true, nil},
	} {
		err := Check(filepath.Join(root, test.target), test.opts)
		if (err == nil) != test.ok || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s with %+v: %v", test.target, test.opts, err)
		}
	}
	if after, _ := filepath.Glob(filepath.Join(root, "*")); len(after) != len(before) {
		t.Errorf("left behind: %v", after)
	}
}
