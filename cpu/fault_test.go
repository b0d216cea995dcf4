package cpu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// TestFault cuts the files of a bundle and of a checkpoint short while an engine uses them: a token, and a prompt, is an error
// that names the file, whichever goroutine meets the fault.
func TestFault(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../testdata/tiny")); err != nil {
		t.Fatal(err)
	}
	ck, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	made := filepath.Join(t.TempDir(), "bundle")
	if _, err := convert.Run(t.Context(), convert.Source{Weights: ck}, made, convert.Options{Format: "int4", Method: "rtn"}); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(made)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, m := range []struct {
		name, dir, files string
		weights          model.Weights
	}{{"bundle", made, "*.wgpu", b}, {"checkpoint", dir, "*.safetensors", ck}} {
		engines := []*Engine{engine(t, m.weights, Options{Threads: 1}), engine(t, m.weights, Options{Threads: 4})}
		paths, err := filepath.Glob(filepath.Join(m.dir, m.files))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%v, %v", paths, err)
		}
		fixture.CutShort(t, paths...)
		for _, e := range engines {
			for _, tokens := range []int{1, 20} {
				ids := text(m.weights, tokens)
				fails := func(what string, err error) {
					t.Helper()
					if !errors.Is(err, mapped.ErrFault) || !strings.Contains(err.Error(), m.dir) {
						t.Errorf("%s, %d threads, %d tokens: %s: %v", m.name, e.options.Threads, tokens, what, err)
					}
				}
				fails("Forward", e.Forward(t.Context(), ids, 0, nil))
				fails("Layer", e.Layer(t.Context(), 0, NewText(ids), make([]float32, tokens*e.spec.Hidden)))
				fails("Logits", e.Logits(t.Context(), make([]float32, tokens*e.spec.Hidden), 0, nil))
			}
			if e.Position() != 0 {
				t.Errorf("%s: at position %d", m.name, e.Position())
			}
		}
	}
}
