package cpu

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

func families(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(fixture.Families(t), "*"))
	if err != nil || len(dirs) < 20 {
		t.Fatalf("testdata/families: %d found, %v", len(dirs), err)
	}
	return dirs
}

func open(t testing.TB, dir string) *hf.Checkpoint {
	t.Helper()
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// converted returns a bundle of a checkpoint.
func converted(t testing.TB, dir, format string, block int) *bundle.Bundle {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bundle")
	if _, err := convert.Run(t.Context(), convert.Source{Weights: open(t, dir)}, out, convert.Options{Format: format, Block: block, Method: "rtn"}); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// text makes up n tokens.
func text(w model.Weights, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32((i*i*31 + 7*i + 3) % w.Spec().Vocab)
	}
	return ids
}

func engine(t testing.TB, w model.Weights, o Options) *Engine {
	t.Helper()
	e, err := New(w, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// feed feeds ids in pieces of the given sizes, the last again and again, and returns all logits.
func feed(t testing.TB, f verify.Forwarder, ids []int32, sizes ...int) []float32 {
	t.Helper()
	var all []float32
	for len(ids) > 0 {
		n := min(sizes[0], len(ids))
		if len(sizes) > 1 {
			sizes = sizes[1:]
		}
		err := f.Forward(t.Context(), ids[:n], 0, func(_ int, logits []float32) error {
			all = append(all, logits...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = ids[n:]
	}
	return all
}

// relativeRMS is the root mean square of the difference over that of want.
func relativeRMS(t testing.TB, have, want []float32) float64 {
	t.Helper()
	if len(have) != len(want) || len(have) == 0 {
		t.Fatalf("%d numbers, want %d", len(have), len(want))
	}
	var d, w float64
	for i, v := range want {
		d += (float64(have[i]) - float64(v)) * (float64(have[i]) - float64(v))
		w += float64(v) * float64(v)
	}
	return math.Sqrt(d / w)
}

// compare holds the engine to the reference: in one go, in uneven pieces and token by token, with the rounded cache of
// a GPU and without.
func compare(t *testing.T, w model.Weights, n int) {
	t.Helper()
	ids := text(w, n)
	for _, rounded := range []bool{false, true} {
		allowed, context := 1e-5, 0
		if rounded {
			allowed, context = 1e-3, n-5 // a key on the other side of a tie is off by 2⁻¹¹
		}
		r, err := verify.NewReference(w, verify.ReferenceOptions{KVFloat16: rounded, MaxSeqLen: context})
		if err != nil {
			t.Fatal(err)
		}
		want := feed(t, r, ids, n)
		for _, sizes := range [][]int{{n}, {5, 1, 9, 2, 7}, {1}} {
			e := engine(t, w, Options{KVFloat16: rounded, MaxSeqLen: context})
			if rms := relativeRMS(t, feed(t, e, ids, sizes...), want); !(rms <= allowed) {
				t.Errorf("float16 %v, fed by %v: relative RMS %.2g", rounded, sizes, rms)
			}
			if e.room.late > 0 {
				t.Errorf("%d slices of activations were not planned for", e.room.late)
			}
		}
	}
}

func TestFamilies(t *testing.T) {
	for _, dir := range families(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			w := open(t, dir)
			compare(t, w, 40)
			rewound(t, w)
		})
	}
}

// rewound goes back in a sequence that fits into any window of the fixtures, and computes the same from there.
func rewound(t *testing.T, w model.Weights) {
	t.Helper()
	e, ids := engine(t, w, Options{}), text(w, 8)
	want := feed(t, e, ids[:5], 5)
	if err := e.Keep(); err != nil {
		t.Fatal(err)
	}
	want = append(want, feed(t, e, ids[5:], len(ids)-5)...)
	if err := e.Rewind(5); err != nil {
		t.Fatal(err)
	}
	if rms := relativeRMS(t, feed(t, e, ids[5:], 1), want[5*e.VocabSize():]); !(rms <= 1e-5) {
		t.Errorf("rewound: relative RMS %.2g", rms)
	}
}

// TestPacked runs bundles of all formats, whose rows are used as they lie in the file.
func TestPacked(t *testing.T) {
	for _, f := range []struct {
		format string
		block  int
	}{{"f16", 0}, {"int8", 32}, {"int8", 128}, {"int4", 32}, {"int4", 64}, {"int4", 128}, {"int4", 256}, {"int2", 32}, {"int2", 256}} {
		for _, family := range []string{"llama", "qwen3_moe", "gpt2", "gemma2"} {
			t.Run(fmt.Sprintf("%s/%d/%s", f.format, f.block, family), func(t *testing.T) {
				b := converted(t, fixture.Family(t, family), f.format, f.block)
				if e := engine(t, b, Options{}); e.head.packed == nil || e.layers[0].q.packed == nil {
					t.Fatal("rows are decoded, not used as they lie")
				}
				compare(t, b, 20)
			})
		}
	}
}

// TestFamiliesPacked runs bundles of all families token by token, so that all products are by packed rows. Most stay
// below a tenth of what is allowed; a recurrence makes more of what inputs are rounded by.
func TestFamiliesPacked(t *testing.T) {
	for _, dir := range families(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel() // bundles are synced to the disk
			b := converted(t, dir, "int4", 32)
			ids := text(b, 12)
			r, err := verify.NewReference(b, verify.ReferenceOptions{})
			if err != nil {
				t.Fatal(err)
			}
			e := engine(t, b, Options{})
			if rms := relativeRMS(t, feed(t, e, ids, 1), feed(t, r, ids, len(ids))); !(rms <= 1e-4) {
				t.Errorf("relative RMS %.2g", rms)
			}
			if e.room.late > 0 {
				t.Errorf("%d slices of activations were not planned for", e.room.late)
			}
		})
	}
}

// TestFar goes on over several batches and tiles, and in a window beyond its end.
func TestFar(t *testing.T) {
	w := open(t, "../testdata/tiny")
	for _, context := range []int{0, 100} {
		ids := text(w, 700)
		r, err := verify.NewReference(w, verify.ReferenceOptions{MaxSeqLen: context})
		if err != nil {
			t.Fatal(err)
		}
		want := feed(t, r, ids, len(ids))
		if rms := relativeRMS(t, feed(t, engine(t, w, Options{MaxSeqLen: context}), ids, 600, 97, 1), want); !(rms <= 1e-5) {
			t.Errorf("context %d: relative RMS %.2g", context, rms)
		}
	}
}

// TestRewind goes back to positions of which CanRewind says that it may, and computes the same from there; a cache
// that has let go of what is needed is refused. To the beginning it always may.
func TestRewind(t *testing.T) {
	for name, far := range map[string]bool{"llama_bias": true, "gemma2": false} { // the latter has layers with a window
		w := open(t, fixture.Family(t, name))
		ids := text(w, 640)
		e := engine(t, w, Options{MaxSeqLen: len(ids)})
		want := feed(t, e, ids, len(ids))
		positions := []int{0, 13, 30, len(ids) - 40, len(ids) - 1}
		may := 0
		for _, p := range positions {
			if !e.CanRewind(p) {
				if err := e.Rewind(p); err == nil || p == 0 {
					t.Errorf("%s: rewound to %d, where it may not", name, p)
				}
				continue
			}
			may++
			if err := e.Rewind(p); err != nil || e.Position() != p {
				t.Fatalf("%s: position %d after rewinding to %d: %v", name, e.Position(), p, err)
			}
			got := feed(t, e, ids[p:], len(ids)-p)
			if rms := relativeRMS(t, got, want[p*e.VocabSize():]); !(rms <= 1e-5) {
				t.Errorf("%s: relative RMS %.2g after rewinding to %d", name, rms, p)
			}
		}
		if all := may == len(positions); all != far || may < 2 {
			t.Errorf("%s: it may rewind to %d of %d positions", name, may, len(positions))
		}
		if e.CanRewind(len(ids)+1) || e.CanRewind(-1) {
			t.Errorf("%s: it may rewind to where it never was", name)
		}
	}
}

// TestKeep goes back to where states were kept, and to the beginning.
func TestKeep(t *testing.T) {
	w := open(t, fixture.Family(t, "lfm2"))
	ids := text(w, 90)
	e := engine(t, w, Options{MaxSeqLen: len(ids)})
	const kept = 33
	want := feed(t, e, ids[:kept], kept)
	if err := e.Keep(); err != nil {
		t.Fatal(err)
	}
	want = append(want, feed(t, e, ids[kept:], 50, 7)...)
	if e.CanRewind(kept-1) || e.Rewind(kept+1) == nil {
		t.Error("it goes back to where nothing was kept")
	}
	for _, p := range []int{kept, kept, 0} {
		if err := e.Rewind(p); err != nil {
			t.Fatal(err)
		}
		if rms := relativeRMS(t, feed(t, e, ids[p:], len(ids)-p), want[p*e.VocabSize():]); !(rms <= 1e-5) {
			t.Errorf("relative RMS %.2g after rewinding to %d", rms, p)
		}
	}
	if e.CanRewind(kept) {
		t.Error("what was kept is still there after the sequence went back behind it")
	}
}

// TestTokenAllocates: nothing, once the first token is done.
func TestTokenAllocates(t *testing.T) {
	for _, f := range []string{"f16", "int4"} {
		dirs := []string{"../testdata/tiny"}
		for _, family := range []string{"qwen3_moe", "lfm2", "gemma2", "gpt2", "gemma3n", "gemma4_inputs", "gemma4_moe", "nemotron_h", "falcon_h1", "qwen3_next"} {
			dirs = append(dirs, fixture.Family(t, family))
		}
		for _, dir := range dirs {
			b := converted(t, dir, f, 0)
			e := engine(t, b, Options{KVFloat16: true, MaxSeqLen: 64})
			ctx, ids := context.Background(), text(b, 1)
			each := func(int, []float32) error { return nil }
			n := testing.AllocsPerRun(20, func() {
				if err := e.Forward(ctx, ids, 0, each); err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 {
				t.Errorf("%s of %s: %v allocations a token", f, filepath.Base(dir), n)
			}
		}
	}
}

// TestThreads computes the same bits on any number of goroutines, several engines at a time.
func TestThreads(t *testing.T) {
	w := converted(t, "../testdata/tiny", "int4", 0)
	ids := text(w, 30)
	want := feed(t, engine(t, w, Options{Threads: 1}), ids, 20, 1)
	got := make([][]float32, 3)
	done := make(chan int)
	for i := range got {
		go func() {
			e, err := New(w, Options{Threads: 2 + i})
			if err == nil {
				for at := 0; at < len(ids) && err == nil; {
					n := 1
					if at == 0 {
						n = 20
					}
					err = e.Forward(context.Background(), ids[at:at+n], 0, func(_ int, l []float32) error { got[i] = append(got[i], l...); return nil })
					at += n
				}
			}
			if err != nil {
				t.Error(err)
			}
			done <- i
		}()
	}
	for range got {
		<-done
	}
	for i := range got {
		if !slices.Equal(got[i], want) {
			t.Errorf("%d goroutines: other logits", 2+i)
		}
	}
}

func TestMistakes(t *testing.T) {
	w := open(t, fixture.Family(t, "gpt2"))
	e := engine(t, w, Options{})
	none := func(int, []float32) error { return nil }
	for _, id := range []int32{-1, int32(w.Spec().Vocab)} {
		if err := e.Forward(t.Context(), []int32{id}, 0, none); err == nil || e.Position() != 0 {
			t.Errorf("token %d: error %v, position %d", id, err, e.Position())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Forward(ctx, []int32{1}, 0, none); err == nil {
		t.Error("a context that has ended is no error")
	}
	if err := e.Forward(t.Context(), text(w, w.Spec().Positions+1), 0, none); err == nil {
		t.Error("more positions than the model has learned: no error")
	}
	spec := *w.Spec()
	spec.MaxPositions = 0
	if _, err := New(differently{w, &spec}, Options{}); err == nil {
		t.Error("no context: no error")
	}
}

// differently are weights with another Spec.
type differently struct {
	model.Weights
	spec *model.Spec
}

func (d differently) Spec() *model.Spec { return d.spec }

func BenchmarkTiny(b *testing.B) {
	for _, format := range []string{"f16", "int4"} {
		w := converted(b, "../testdata/tiny", format, 0)
		for _, n := range []int{1, 512} {
			b.Run(fmt.Sprintf("%s/%d", format, n), func(b *testing.B) {
				e := engine(b, w, Options{KVFloat16: true})
				ids := text(w, n)
				for b.Loop() {
					e.Reset()
					if err := e.Forward(b.Context(), ids, 0, func(int, []float32) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}
