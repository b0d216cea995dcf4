package bundle_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// TestFault cuts the file of a bundle short after it was opened: whatever reads it returns an error that names it.
func TestFault(t *testing.T) {
	dir := store(t, files(t, formatInt4))
	b := open(t, dir)
	path := filepath.Join(dir, bundle.BlobName)
	fixture.CutShort(t, path)
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
