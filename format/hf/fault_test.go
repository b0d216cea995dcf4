package hf

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestReading cuts a file short after it was mapped: reading it is an error, and other panics stay what they are.
func TestReading(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut there")
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := os.WriteFile(path, make([]byte, 1<<16), 0o666); err != nil {
		t.Fatal(err)
	}
	data, err := mapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = data.Unmap() }()
	parse := func() error {
		_, _, err := parseFile(data)
		return err
	}
	if err := Reading(parse); err == nil || errors.Is(err, ErrFault) {
		t.Errorf("a file of zeros: %v, want an error of its header", err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := Reading(parse); !errors.Is(err, ErrFault) {
		t.Errorf("a file cut short: %v, want %v", err, ErrFault)
	}
	defer func() {
		if recover() == nil {
			t.Error("a panic that is no fault was swallowed")
		}
	}()
	_ = Reading(func() error { panic("no fault") })
}
