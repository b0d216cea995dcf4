package bundle_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// TestFault cuts the file of a bundle short after it was opened: whatever reads it returns an error that names it.
func TestFault(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut there")
	}
	dir := store(t, files(t, formatInt4))
	b := open(t, dir)
	path := filepath.Join(dir, bundle.BlobName)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	row, stored := make([]float32, b.Tensors()[0].Cols()), make([]byte, b.Manifest.Tensors[0].Length)
	for what, err := range map[string]error{
		"Rows":    b.Rows(0, 0, 1, row),
		"ReadAt":  b.ReadAt(0, stored, 0),
		"Hashing": b.Hashing().ReadAt(0, stored, 0),
		"Check":   b.Check(context.Background(), nil),
	} {
		if !errors.Is(err, mapped.ErrFault) || !strings.Contains(err.Error(), path+": ") {
			t.Errorf("%s: %v, want %v", what, err, mapped.ErrFault)
		}
	}
}
