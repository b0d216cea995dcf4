package mapped

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

// TestReading cuts one of two files short after they were mapped: reading it is an error that names it, the other one can be
// read, and panics that are no faults go on.
func TestReading(t *testing.T) {
	dir := t.TempDir()
	var files [2]File
	for i, name := range []string{"cut", "whole"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Repeat("x", 1<<16)), 0o666); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = Open(path); err != nil {
			t.Fatal(err)
		}
	}
	sum := func(f File) (n int, err error) {
		err = Reading(func() error {
			for _, b := range f {
				n += int(b)
			}
			return nil
		})
		return n, err
	}
	fixture.CutShort(t, filepath.Join(dir, "cut"))
	if _, err := sum(files[0]); !errors.Is(err, ErrFault) || !strings.HasPrefix(err.Error(), filepath.Join(dir, "cut")+": ") {
		t.Errorf("a file cut short: %v, want %v", err, ErrFault)
	}
	if n, err := sum(files[1]); err != nil || n != 'x'<<16 {
		t.Errorf("the file that is whole: %d, %v", n, err)
	}
	want := errors.New("of the function")
	if err := Reading(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
	for _, f := range files {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(open.files) != 0 {
		t.Errorf("%d files are still listed", len(open.files))
	}
	defer func() {
		if recover() == nil {
			t.Error("a panic that is no fault was swallowed")
		}
	}()
	_ = Reading(func() error { panic("no fault") })
}
