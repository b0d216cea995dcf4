package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// fake is a model of random weights. hook, if there, sees each call of Rows.
type fake struct {
	spec    model.Spec
	tensors []model.Tensor
	values  [][]float32
	largest atomic.Int64 // elements asked for in one call
	hook    func(tensor, row0, n int) error
}

func (f *fake) Spec() *model.Spec       { return &f.spec }
func (f *fake) Tensors() []model.Tensor { return f.tensors }

func (f *fake) Rows(i, row0, n int, dst []float32) error {
	c := f.tensors[i].Cols()
	for old := f.largest.Load(); int64(n*c) > old && !f.largest.CompareAndSwap(old, int64(n*c)); old = f.largest.Load() {
	}
	copy(dst, f.values[i][row0*c:(row0+n)*c])
	if f.hook != nil {
		return f.hook(i, row0, n)
	}
	return nil
}

// newFake returns a model of two layers, the second with experts, large enough for several tiles.
func newFake() *fake {
	attention := model.Attention{Heads: 4, KVHeads: 2, HeadDim: 20, Scale: .3, RoPE: 0}
	mlp := model.MLP{Gated: true, Activation: model.SiLU, Intermediate: 300}
	experts := mlp
	experts.Experts, experts.TopK = 5, 2
	f := &fake{spec: model.Spec{
		Family: "fake", Vocab: 2000, Hidden: 100, EmbedScale: 1, LogitScale: 1,
		Norm:   model.Norm{Kind: model.RMSNorm, Eps: 1e-5},
		RoPE:   []model.RoPE{{Dim: 2, InvFreq: []float32{1}, Scale: 1}},
		Kinds:  []model.Layer{{PreNorm: true, ResidualScale: 1, Attention: attention, MLP: mlp}, {PreNorm: true, ResidualScale: 1, Attention: attention, MLP: experts}},
		Layers: []int{0, 1},
	}}
	f.tensors = f.spec.Tensors()
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range f.tensors {
		t := &f.tensors[i]
		t.Name = fmt.Sprintf("model.%d.%s", t.Layer, t.Role)
		v := make([]float32, t.Rows()*t.Cols())
		for k := range v {
			v[k] = block.FromFloat16(block.Float16(float32(rnd.NormFloat64()) * .02))
		}
		f.values = append(f.values, v)
	}
	return f
}

// set changes an element of the tensor with the role in the layer.
func (f *fake) set(layer int, role model.Role, row, col int, v float32) {
	i := f.index(layer, role)
	f.values[i][row*f.tensors[i].Cols()+col] = v
}

func (f *fake) index(layer int, role model.Role) int {
	return slices.IndexFunc(f.tensors, func(t model.Tensor) bool { return t.Layer == layer && t.Role == role })
}

// source returns f as a checkpoint of one file and a tokenizer.
func source(t *testing.T, f *fake) Source {
	t.Helper()
	dir := t.TempDir()
	weights := filepath.Join(dir, "model.safetensors")
	if err := os.WriteFile(weights, []byte(weights), 0o666); err != nil {
		t.Fatal(err)
	}
	return Source{Weights: f, Files: []string{weights}, Tokenizer: []byte("a tokenizer"), BOS: 1, EOS: []int{2}, ChatTemplate: "x", Special: map[string]string{}, Notes: []string{"n"}}
}

func run(t *testing.T, src Source, o Options) (string, *Report, error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	r, err := Run(context.Background(), src, out, o)
	if err != nil {
		if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 0 {
			t.Errorf("left behind after %v: %v", err, left)
		}
	}
	return out, r, err
}

func TestRun(t *testing.T) {
	f := newFake()
	src := source(t, f)
	limits := map[string]float64{"int8": .01, "int4": .12, "int2": .5, "f16": 0}
	for _, format := range []string{"int8", "int4", "int2", "f16"} {
		var last Progress
		out, r, err := run(t, src, Options{Format: format, Generator: "test", Progress: func(p Progress) {
			if p.Done < last.Done {
				t.Errorf("%d bytes after %d", p.Done, last.Done)
			}
			last = p
		}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := bundle.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Check(context.Background(), nil); err != nil {
			t.Error(err)
		}
		if last.Done != last.Total || last.Total != r.In {
			t.Errorf("%s: progress ends with %+v of %d", format, last, r.In)
		}
		for i, e := range r.Tensors {
			if m := f.tensors[i]; m.Quantizable() != (string(e.Type) == format) && format != "f16" || e.Error > limits[format] {
				t.Errorf("%s: %s became %s with error %g", format, m.Name, e.Type, e.Error)
			}
		}
		if v, err := b.Vocab(); err != nil || !bytes.Equal(v, src.Tokenizer) {
			t.Errorf("vocab: %q, %v", v, err)
		}
		if m := b.Manifest; m.Generator != "test" || m.Tokenizer.BOS != 1 || len(m.Tokenizer.EOS) != 1 || m.Source.Files[0].Name != "model.safetensors" {
			t.Errorf("manifest: %+v", m)
		}
		b.Close()
	}
	if n := f.largest.Load(); n > tileWeights {
		t.Errorf("%d weights were read at once: want at most %d", n, tileWeights)
	}
}

// TestThreads converts with different numbers of workers and compares the bytes.
func TestThreads(t *testing.T) {
	src := source(t, newFake())
	var want map[string][]byte
	for _, threads := range []int{1, 2, 7} {
		out, _, err := run(t, src, Options{Format: "int4", Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]byte{}
		for _, name := range []string{bundle.BlobName, bundle.ManifestName, bundle.VocabName} {
			if got[name], err = os.ReadFile(filepath.Join(out, name)); err != nil {
				t.Fatal(err)
			}
			if want != nil && !bytes.Equal(got[name], want[name]) {
				t.Errorf("%s with %d threads differs", name, threads)
			}
		}
		want = got
	}
}

func TestTypes(t *testing.T) {
	f := newFake()
	f.set(0, model.RoleAttnNorm, 0, 7, 1.00001)   // float16 would lose it
	f.set(1, model.RoleRouter, 2, 7, 70000)       // float16 cannot hold it
	f.set(1, model.RoleUp, 3, 7, .02+1.0/(1<<20)) // nor this, but in a matrix that is no matter
	out, r, err := run(t, source(t, f), Options{
		Format: "int2", EmbedFormat: "int8", HeadFormat: "f16",
		KeepF16: []*regexp.Regexp{regexp.MustCompile(`^model\.1\.(up|v)$`), regexp.MustCompile(`0\.down`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	want := map[string]string{
		"model.-1.embed": "int8/128", "model.-1.head": "f16/0", "model.1.up": "f16/0", "model.1.v": "f16/0", "model.0.down": "f16/0",
		"model.0.attn_norm": "f32/0", "model.0.mlp_norm": "f16/0", "model.1.router": "f32/0", "model.0.q": "int2/256", "model.1.gate": "int2/256",
	}
	for i, e := range b.Manifest.Tensors {
		if got := fmt.Sprintf("%s/%d", e.Type, e.Block); want[e.Name] != "" && got != want[e.Name] {
			t.Errorf("%s is %s, want %s", e.Name, got, want[e.Name])
		}
		if !f.tensors[i].Quantizable() && r.Tensors[i].Error != 0 {
			t.Errorf("%s: error %g", e.Name, e.Error)
		}
	}
	if e := r.Tensors[f.index(1, model.RoleUp)].Error; e == 0 || e > 1e-6 {
		t.Errorf("rounding one weight to float16 costs %g", e)
	}
}

func TestErrors(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	broken := errors.New("disk on fire")
	for name, c := range map[string]struct {
		change func(f *fake, s *Source)
		o      Options
		want   string
	}{
		"format":       {o: Options{Format: "int3"}, want: `format "int3": want int8, int4 or int2`},
		"no format":    {want: `format ""`},
		"embed format": {o: Options{Format: "int4", EmbedFormat: "int5"}, want: `embed format "int5"`},
		"method":       {o: Options{Format: "int4", Method: "magic"}, want: `method "magic"`},
		"block":        {o: Options{Format: "int4", Block: 100}, want: "block size 100"},
		"threads":      {o: Options{Format: "int4", Threads: -1}, want: "-1 threads"},
		"kept nothing": {o: Options{Format: "int4", KeepF16: []*regexp.Regexp{regexp.MustCompile("norm")}}, want: `"norm": matches the name of no matrix`},
		"NaN": {
			change: func(f *fake, _ *Source) { f.set(1, model.RoleUp, 1234, 56, nan) },
			o:      Options{Format: "int4"}, want: `tensor "model.1.up": row 1234: column 56: NaN is not a finite number`,
		},
		"Inf in f16": {
			change: func(f *fake, _ *Source) { f.set(0, model.RoleQ, 3, 4, inf) },
			o:      Options{Format: "f16"}, want: `tensor "model.0.q": row 3: column 4: -Inf is not a finite number`,
		},
		"NaN in a norm": {
			change: func(f *fake, _ *Source) { f.set(0, model.RoleAttnNorm, 0, 4, nan) },
			o:      Options{Format: "int8"}, want: `tensor "model.0.attn_norm": row 0: column 4: NaN`,
		},
		"too large for f16": {
			change: func(f *fake, _ *Source) { f.set(0, model.RoleQ, 3, 4, 70000) },
			o:      Options{Format: "f16"}, want: `tensor "model.0.q": row 3: column 4: 70000 is beyond the range of float16`,
		},
		"too large for int8": {
			change: func(f *fake, _ *Source) { f.set(0, model.RoleQ, 3, 4, 70000) },
			o:      Options{Format: "int8"}, want: `tensor "model.0.q": row 3: column 0: 70000 is in a block beyond the range of float16`,
		},
		"read error": {
			change: func(f *fake, _ *Source) {
				f.hook = func(i, row0, _ int) error {
					if i == 3 && row0 == 0 {
						return broken
					}
					return nil
				}
			},
			o: Options{Format: "int8"}, want: `tensor "model.0.k": disk on fire`,
		},
		"no source file": {
			change: func(_ *fake, s *Source) { s.Files = append(s.Files, filepath.Join(filepath.Dir(s.Files[0]), "gone")) },
			o:      Options{Format: "int8"}, want: "gone",
		},
		"source changed": {
			change: func(f *fake, s *Source) {
				f.hook = func(i, _, _ int) error {
					if i != len(f.tensors)-1 {
						return nil
					}
					return os.WriteFile(s.Files[0], []byte("new"), 0o666)
				}
			},
			o: Options{Format: "int8"}, want: "was written while it was converted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			src := source(t, f)
			if c.change != nil {
				c.change(f, &src)
			}
			if _, _, err := run(t, src, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %s", err, c.want)
			}
		})
	}
}

func TestMend(t *testing.T) {
	f := newFake()
	f.set(0, model.RoleQ, 3, 4, float32(math.NaN()))
	f.set(0, model.RoleAttnNorm, 0, 4, float32(math.Inf(1)))
	f.set(0, model.RoleK, 0, 4, 1e6)
	f.set(-1, model.RoleHead, 0, 0, -1e6)
	_, r, err := run(t, source(t, f), Options{Format: "int8", HeadFormat: "f16", Sanitize: true, Saturate: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range r.Manifest.Tensors {
		var sanitized, saturated int64
		switch i {
		case f.index(0, model.RoleQ), f.index(0, model.RoleAttnNorm):
			sanitized = 1
		case f.index(0, model.RoleK), f.index(-1, model.RoleHead):
			saturated = 1
		}
		if e.Sanitized != sanitized || e.Saturated < saturated || saturated == 0 && e.Saturated != 0 {
			t.Errorf("%s: %d sanitized, %d saturated", e.Name, e.Sanitized, e.Saturated)
		}
	}
}

func TestCancel(t *testing.T) {
	f := newFake()
	src := source(t, f)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	f.hook = func(i, _, _ int) error {
		if i >= len(f.tensors)/2 && f.tensors[i].Quantizable() {
			cancel()
		}
		return nil
	}
	out := filepath.Join(dir, "out")
	_, err := Run(ctx, src, out, Options{Format: "int4"})
	var stopped *Interrupted
	if !errors.Is(err, context.Canceled) || !errors.As(err, &stopped) || stopped.Whole == 0 || stopped.Whole >= len(f.tensors) {
		t.Fatalf("error is %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 || filepath.Join(dir, left[0].Name()) != stopped.Work {
		t.Errorf("left behind: %v, want %s", left, stopped.Work)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is something at the target: %v", err)
	}
}

func TestReplace(t *testing.T) {
	src := source(t, newFake())
	out, _, err := run(t, src, Options{Format: "int4"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), src, out, Options{Format: "int2"}); !errors.Is(err, os.ErrExist) {
		t.Errorf("without force: %v", err)
	}
	if _, err := Run(context.Background(), src, out, Options{Format: "int2", Force: true}); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Manifest.Quantization.Format != "int2" {
		t.Errorf("it is still %s", b.Manifest.Quantization.Format)
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOutputApart(t *testing.T) {
	src := source(t, newFake())
	in := filepath.Dir(src.Files[0])
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(in, link); err != nil {
		t.Skip(err)
	}
	for _, out := range []string{in, filepath.Join(in, "out"), filepath.Dir(in), filepath.Join(link, "a", "b")} {
		_, err := Run(context.Background(), src, out, Options{Format: "int4", Force: true})
		if err == nil || !strings.Contains(err.Error(), "must not contain each other") {
			t.Errorf("%s: %v", out, err)
		}
	}
}
