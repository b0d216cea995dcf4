package hf

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// TestFault cuts the file of a checkpoint short after it was opened: what reads it returns an error that names it.
func TestFault(t *testing.T) {
	dir := copyDir(t, quantized+"gptq")
	c := mustOpen(t, dir)
	path := filepath.Join(dir, "model.safetensors")
	i := indexOf(t, c, "model.layers.0.mlp.up_proj.weight")
	rows, blocks := make([]float32, c.Tensors()[i].Cols()), make([]byte, c.bound[i].cols/32*(3+16))
	read := func() []error { return []error{c.Rows(i, 0, 1, rows), c.Blocks(i, 4, 32, 0, 1, blocks)} }
	if err := errors.Join(read()...); err != nil {
		t.Fatal(err)
	}
	fixture.CutShort(t, path)
	for k, err := range read() {
		if !errors.Is(err, mapped.ErrFault) || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%d: %v, want %v", k, err, mapped.ErrFault)
		}
	}
}
