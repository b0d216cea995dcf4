package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// TestFindBundles checks that directories whose names look alike in a path get paths of their own.
func TestFindBundles(t *testing.T) {
	c, err := hf.Open(filepath.Join("..", "..", "testdata", "families", "gpt2"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := t.TempDir()
	for _, name := range []string{"a b", "a_b", "a+b", "c"} {
		if _, err := convert.Run(context.Background(), convert.Source{Weights: c}, filepath.Join(dir, name), convert.Options{Format: "int8"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	models, err := findBundles(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range models {
		names[m.Name] = true
	}
	if len(models) != 4 || len(names) != 4 {
		t.Errorf("%d bundles by %d names: %v", len(models), len(names), names)
	}
}
