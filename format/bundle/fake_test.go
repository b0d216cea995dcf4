package bundle_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// fake is a model of random weights.
type fake struct {
	spec    model.Spec
	tensors []model.Tensor
	values  [][]float32
}

func (f *fake) Spec() *model.Spec       { return &f.spec }
func (f *fake) Tensors() []model.Tensor { return f.tensors }

func (f *fake) Rows(i, row0, n int, dst []float32) error {
	c := f.tensors[i].Cols()
	copy(dst, f.values[i][row0*c:(row0+n)*c])
	return nil
}

// newFake returns a model of two layers, the second with experts, whose rows fill no whole blocks.
func newFake() *fake {
	attention := model.Attention{Heads: 4, KVHeads: 2, HeadDim: 10, Scale: .3, RoPE: 0}
	f := &fake{spec: model.Spec{
		Family: "fake", Vocab: 37, Hidden: 40, EmbedScale: 1, LogitScale: 1,
		Norm: model.Norm{Kind: model.RMSNorm, Eps: 1e-5},
		RoPE: []model.RoPE{{Dim: 10, InvFreq: []float32{1, .1, .01, 1e-3, 1e-7}, Scale: 1}},
		Kinds: []model.Layer{
			{PreNorm: true, ResidualScale: 1, Attention: attention, MLP: model.MLP{Gated: true, Activation: model.SiLU, Intermediate: 70}},
			{PreNorm: true, ResidualScale: 1, Attention: attention, MLP: model.MLP{Gated: true, Activation: model.SiLU, Intermediate: 33, Routing: model.Routing{Experts: 3, TopK: 2}}},
		},
		Layers: []int{0, 1},
	}}
	f.tensors = f.spec.Tensors()
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range f.tensors {
		t := &f.tensors[i]
		t.Name = fmt.Sprintf("model.%d.%s", t.Layer, t.Role)
		v := make([]float32, t.Rows()*t.Cols())
		for k := range v {
			v[k] = float32(rnd.NormFloat64()) * .02
		}
		if !t.Quantizable() && i%2 == 0 { // float16 holds these
			for k := range v {
				v[k] = 1 + float32(k%7)/8
			}
		}
		f.values = append(f.values, v)
	}
	return f
}

// files returns the files of a bundle of the fake model, converted with o.
func files(t testing.TB, o convert.Options) map[string][]byte {
	t.Helper()
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	source := filepath.Join(in, "model.safetensors")
	config := filepath.Join(in, "config.json")
	for path, text := range map[string]string{source: "weights", config: `{"b": [1e30, "\u00e9"], "a": 1.50}`} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	src := convert.Source{Weights: newFake(), Files: []string{source}, Tokenizer: []byte(`{"model":{}}`), BOS: 1, EOS: []int{2, 3}, ChatTemplate: "{{ <bos> }}", Special: map[string]string{"bos_token": "<s>"}, Documents: map[string]string{"config.json": config}, Notes: []string{"a note"}}
	if _, err := convert.Run(context.Background(), src, out, o); err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if found[e.Name()], err = os.ReadFile(filepath.Join(out, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// store writes the files to a directory and returns it.
func store(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// formatInt4 is the conversion that damage tests start from.
var formatInt4 = convert.Options{Format: "int4"}

func sha(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
