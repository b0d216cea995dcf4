package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// TestLibrary checks that directories whose names look alike in a path get names of their own and keep them, that bundles
// are found that come later, and that a damaged one does not keep the others from being served.
func TestLibrary(t *testing.T) {
	c, err := hf.Open(fixture.Family(t, "gpt2"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := t.TempDir()
	add := func(name string) {
		t.Helper()
		if _, err := convert.Run(t.Context(), convert.Source{Weights: c}, filepath.Join(dir, name), convert.Options{Format: "int8"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a b", "a_b", "c"} {
		add(name)
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "c", "manifest.json"), []byte(`{"format": 1`), 0o666); err != nil {
		t.Fatal(err)
	}
	var damaged []error
	l, err := openLibrary(dir, func(err error) { damaged = append(damaged, err) })
	if err != nil {
		t.Fatal(err)
	}
	names := func() (all []string) {
		for _, m := range l.models() {
			all = append(all, m.Title+" is "+m.Name+" in "+m.Format)
		}
		return all
	}
	if got := names(); !slices.Equal(got, []string{"a b is a_b in int8", "a_b is a_b-2 in int8"}) {
		t.Errorf("%q", got)
	}
	add("a+b") // sorts before those that are there
	if got := names(); !slices.Equal(got, []string{"a b is a_b in int8", "a+b is a_b-3 in int8", "a_b is a_b-2 in int8"}) {
		t.Errorf("with one more: %q", got)
	}
	if len(damaged) != 1 || !strings.Contains(damaged[0].Error(), filepath.Join(dir, "c", "manifest.json")) {
		t.Errorf("damaged: %v", damaged)
	}
	if err := os.RemoveAll(filepath.Join(dir, "a b")); err != nil {
		t.Fatal(err)
	}
	if got := names(); !slices.Equal(got, []string{"a+b is a_b-3 in int8", "a_b is a_b-2 in int8"}) {
		t.Errorf("with one gone: %q", got)
	}
}

// TestLibraryOfDamage reads why nothing can be served.
func TestLibraryOfDamage(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "manifest.json"), []byte(`{`), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openLibrary(dir, func(error) {}); err == nil || strings.Count(err.Error(), "manifest.json") != 2 {
		t.Errorf("nothing but damage: %v", err)
	}
	if _, err := openLibrary(t.TempDir(), func(error) {}); err == nil || !strings.Contains(err.Error(), "no bundle") {
		t.Errorf("nothing: %v", err)
	}
}
