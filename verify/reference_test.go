package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nlpodyssey/safetensors"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

// recorded is what transformers computes for a checkpoint: golden.safetensors and, of families, hidden.golden.
type recorded struct {
	ids    []int32
	logits []float32   // [tokens][vocab]
	hidden [][]float32 // [rows][hidden] each, the last is after the final norm
	every  int         // a row is recorded for every so many tokens
}

func families(t *testing.T) []string {
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
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func reference(t *testing.T, w model.Weights, o ReferenceOptions) *Reference {
	t.Helper()
	r, err := NewReference(w, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readRecorded(t *testing.T, dir string) recorded {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := safetensors.Deserialize(data)
	if err != nil {
		t.Fatal(err)
	}
	var g recorded
	ids, _ := file.Tensor("input_ids")
	for b := range slices.Chunk(ids.Data(), int(ids.DType().Size())) {
		g.ids = append(g.ids, int32(binary.LittleEndian.Uint32(b)))
	}
	logits, _ := file.Tensor("logits")
	g.logits = floats(logits.Data())
	g.readHidden(t, filepath.Join(dir, "hidden.golden"))
	return g
}

func (g *recorded) readHidden(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	file, err := safetensors.Deserialize(data)
	if err != nil {
		t.Fatal(err)
	}
	hidden, _ := file.Tensor("hidden")
	shape := hidden.Shape() // [layers + 1][rows][hidden]
	g.every = len(g.ids) / int(shape[1])
	g.hidden = slices.Collect(slices.Chunk(floats(hidden.Data()), int(shape[1]*shape[2])))
}

// rows returns those of h [tokens][…] that are recorded: the last of every so many.
func (g recorded) rows(h []float32) []float32 {
	n := len(h) / len(g.ids)
	var rows []float32
	for t := g.every; t <= len(g.ids); t += g.every {
		rows = append(rows, h[(t-1)*n:t*n]...)
	}
	return rows
}

func floats(b []byte) []float32 {
	x := make([]float32, len(b)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x
}

// feed feeds ids in pieces of the given sizes, the last again and again, and returns all logits.
func feed(t *testing.T, r *Reference, ids []int32, sizes ...int) []float32 {
	t.Helper()
	var all []float32
	for len(ids) > 0 {
		n := min(sizes[0], len(ids))
		err := r.Forward(t.Context(), ids[:n], 0, func(_ int, logits []float32) error {
			all = append(all, logits...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = ids[n:]
		if len(sizes) > 1 {
			sizes = sizes[1:]
		}
	}
	return all
}

func furthest(t *testing.T, have, want []float32) float64 {
	t.Helper()
	if len(have) != len(want) || len(have) == 0 {
		t.Fatalf("%d numbers, want %d", len(have), len(want))
	}
	most := 0.0
	for i := range have {
		d := math.Abs(float64(have[i]) - float64(want[i]))
		if math.IsNaN(d) {
			t.Fatalf("number %d is %g, want %g", i, have[i], want[i])
		}
		most = max(most, d)
	}
	return most
}

// Both sides round to float32 after every operation, but sum in different orders: each of some
// twenty sums in a row (six a layer), of 32 to 48 products, adds an error of a few 2⁻²⁴ of the
// largest number.
const roundingOfOrder = 20 * 8 / float64(1<<24)

func largest(x []float32) float64 {
	most := 0.0
	for _, v := range x {
		most = max(most, math.Abs(float64(v)))
	}
	return most
}

func TestReferenceComputesWhatTransformersDoes(t *testing.T) {
	for _, dir := range families(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			g := readRecorded(t, dir)
			r := reference(t, open(t, dir), ReferenceOptions{MaxSeqLen: len(g.ids)})
			n := len(r.spec.Layers)
			seen := 0
			r.SetTrace(func(layer int, h []float32) {
				if layer == n { // transformers shows the last layer only after the final norm
					return
				}
				seen++
				want := g.hidden[min(layer, n)]
				if d := furthest(t, g.rows(h), want) / largest(want); d > roundingOfOrder {
					t.Errorf("layer %d: hidden states differ by %.2g of the largest", layer, d)
				}
			})
			d := furthest(t, feed(t, r, g.ids, len(g.ids)), g.logits)
			if d/largest(g.logits) > roundingOfOrder {
				t.Errorf("logits differ by %.2g", d)
			}
			t.Logf("logits differ by %.1e, %.1e of the largest", d, d/largest(g.logits))
			if seen != n+1 || len(g.hidden) != n+1 || g.every != 8 {
				t.Errorf("%d traces of %d recorded states of every %d tokens, want %d of every 8", seen, len(g.hidden), g.every, n+1)
			}
		})
	}
}

// The golden logits of testdata/tiny come from a model that had been through .half().
func TestHalvedMeetsHalvedModel(t *testing.T) {
	const dir = "../testdata/tiny"
	g := readRecorded(t, dir)
	c := open(t, dir)
	half := furthest(t, feed(t, reference(t, Halved(c), ReferenceOptions{}), g.ids, len(g.ids)), g.logits)
	if half > 2*roundingOfOrder*largest(g.logits) { // twice as many layers
		t.Errorf("halved: logits differ by %.2g", half)
	}
	whole := furthest(t, feed(t, reference(t, c, ReferenceOptions{}), g.ids, len(g.ids)), g.logits)
	if whole < 10*half || whole > 1e-2 {
		t.Errorf("not halved: logits differ by %.2g, want the effect of rounded frequencies", whole)
	}
}

func TestCuttingAPromptChangesNothing(t *testing.T) {
	for _, dir := range families(t) {
		for _, half := range []bool{false, true} {
			t.Run(fmt.Sprint(filepath.Base(dir), " float16 ", half), func(t *testing.T) {
				g := readRecorded(t, dir)
				r := reference(t, open(t, dir), ReferenceOptions{MaxSeqLen: len(g.ids), KVFloat16: half, Threads: 3})
				want := feed(t, r, g.ids, len(g.ids))
				for _, sizes := range [][]int{{1}, {5, 1, 9, 3, 8}, {31, 1}} {
					r.Reset()
					if !slices.Equal(feed(t, r, g.ids, sizes...), want) {
						t.Errorf("pieces of %v tokens give other logits", sizes)
					}
				}
				r.Reset()
				feed(t, r, g.ids[:5], 5)
				if err := r.Keep(); err != nil {
					t.Fatal(err)
				}
				feed(t, r, g.ids[5:8], 3) // all of it fits into any window here
				if err := r.Rewind(5); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(feed(t, r, g.ids[5:8], 3), want[5*r.VocabSize():8*r.VocabSize()]) {
					t.Error("after rewinding come other logits")
				}
				if d := furthest(t, want, g.logits); half && (d == 0 || d > 0.1) {
					t.Errorf("rounding of the cache changes the logits by %.2g", d)
				}
			})
		}
	}
}

// A context of n positions is a window of n in every layer.
func TestMaxSeqLenIsAWindow(t *testing.T) {
	c := open(t, fixture.Family(t, "llama_bias"))
	spec := *c.Spec()
	spec.Kinds = slices.Clone(spec.Kinds)
	for i := range spec.Kinds {
		spec.Kinds[i].Attention.Window = 7
	}
	ids := make([]int32, 1200) // more than two batches, so that the ring wraps
	for i := range ids {
		ids[i] = int32(i * i % 96)
	}
	want := feed(t, reference(t, halved{c, &spec}, ReferenceOptions{MaxSeqLen: 5000}), ids, len(ids))
	short := reference(t, c, ReferenceOptions{MaxSeqLen: 7})
	for _, sizes := range [][]int{{1200}, {600, 13}, {1}} {
		short.Reset()
		if !slices.Equal(feed(t, short, ids, sizes...), want) {
			t.Errorf("pieces of %v tokens: other logits than with a window", sizes)
		}
	}
	if most := 7 + batchTokens; len(short.caches[0].keys) > most*32 {
		t.Errorf("the cache has grown to %d numbers", len(short.caches[0].keys))
	}
}

func TestForwardFrom(t *testing.T) {
	g := readRecorded(t, fixture.Family(t, "mistral"))
	r := reference(t, open(t, fixture.Family(t, "mistral")), ReferenceOptions{})
	all := feed(t, r, g.ids, len(g.ids))
	for _, from := range []int{0, 1, 30, 31, 32, 99} {
		r.Reset()
		var have []float32
		next := from
		err := r.Forward(t.Context(), g.ids, from, func(i int, logits []float32) error {
			if i != next {
				t.Errorf("from %d: token %d, want %d", from, i, next)
			}
			next++
			have = append(have, logits...)
			return nil
		})
		if err != nil || !slices.Equal(have, all[min(from, 32)*96:]) {
			t.Errorf("from %d: %d logits, %v", from, len(have), err)
		}
	}
}

func TestForwardErrors(t *testing.T) {
	nothing := func(int, []float32) error { return nil }
	r := reference(t, open(t, fixture.Family(t, "gpt2")), ReferenceOptions{MaxSeqLen: 200})
	g := readRecorded(t, fixture.Family(t, "gpt2"))
	want := feed(t, r, g.ids, len(g.ids))
	r.Reset()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	stop := errors.New("stop")
	for _, c := range []struct {
		name string
		ctx  context.Context
		ids  []int32
		each func(int, []float32) error
		want string
	}{
		{"token below 0", t.Context(), []int32{3, -1}, nothing, "token -1 is not in the vocabulary of 96"},
		{"token too large", t.Context(), []int32{96}, nothing, "token 96 is not in the vocabulary of 96"},
		{"position", t.Context(), make([]int32, 129), nothing, "position 128: the model has 128 positions"},
		{"canceled", canceled, []int32{1}, nothing, "context canceled"},
		{"each", t.Context(), []int32{1}, func(int, []float32) error { return stop }, "stop"},
	} {
		if err := r.Forward(c.ctx, c.ids, 0, c.each); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if !slices.Equal(feed(t, r, g.ids, 7), want) {
		t.Error("the errors have left something in the cache")
	}
}

// broken fails for one role.
type broken struct {
	model.Weights
	role model.Role
}

var errBroken = errors.New("broken")

func (b broken) Rows(i, row0, n int, dst []float32) error {
	if b.Tensors()[i].Role == b.role {
		return errBroken
	}
	return b.Weights.Rows(i, row0, n, dst)
}

func TestWeightErrorsComeThrough(t *testing.T) {
	c := open(t, fixture.Family(t, "llama4"))
	for _, tensor := range c.Tensors() {
		r, err := NewReference(broken{c, tensor.Role}, ReferenceOptions{})
		if err == nil {
			err = r.Forward(t.Context(), []int32{1, 2, 3, 4, 5, 6, 7, 8}, 0, func(int, []float32) error { return nil })
		}
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", tensor.Role, err)
		}
	}
}

func TestRoute(t *testing.T) {
	logits := []float32{1, 3, 2, 3}
	biased := []float32{1, 0, 0.05, 0} // the sigmoids are 0.73, 0.95, 0.88, 0.95
	e := func(x float64) float32 { return float32(math.Exp(x)) }
	sum := e(1) + 2*e(3) + e(2)
	sigmoid := func(x float64) float32 { return float32(1 / (1 + math.Exp(-x))) }
	for _, c := range []struct {
		name      string
		routing   model.Routing
		selection []float32
		want      map[int]float32
	}{
		{"softmax", model.Routing{TopK: 3}, nil, map[int]float32{1: e(3) / sum, 3: e(3) / sum, 2: e(2) / sum}},
		{"first of equals", model.Routing{TopK: 1, NormalizeTopK: true}, nil, map[int]float32{1: 1}},
		{"normalized", model.Routing{TopK: 2, NormalizeTopK: true}, nil, map[int]float32{1: 0.5, 3: 0.5}},
		{"sigmoid", model.Routing{TopK: 2, Sigmoid: true}, nil, map[int]float32{1: sigmoid(3), 3: sigmoid(3)}},
		{"biased, scaled", model.Routing{TopK: 2, Sigmoid: true, SelectionBias: true, RouteScale: 2}, biased, map[int]float32{0: 2 * sigmoid(1), 1: 2 * sigmoid(3)}},
		{"the group of the best", model.Routing{TopK: 1, Experts: 4, Groups: 2, TopGroups: 1, GroupBest: 1}, nil, map[int]float32{1: e(3) / sum}},
		{
			"the group of the best two",
			model.Routing{TopK: 2, Experts: 4, Sigmoid: true, Groups: 2, TopGroups: 1, GroupBest: 2, NormalizeTopK: true},
			nil,
			map[int]float32{2: sigmoid(2) / (sigmoid(2) + sigmoid(3)), 3: sigmoid(3) / (sigmoid(2) + sigmoid(3))},
		},
	} {
		have := map[int]float32{}
		route(&c.routing, logits, c.selection, func(expert int, weight float32) { have[expert] = weight })
		near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 })
		if diff := cmp.Diff(c.want, have, near); diff != "" {
			t.Errorf("%s: (want, have)\n%s", c.name, diff)
		}
	}
}

func TestActivation(t *testing.T) {
	for _, c := range []struct {
		kind model.Activation
		x    float32
		want float64
	}{
		{model.SiLU, 1, 0.7310586},
		{model.SiLU, -50, 0},
		{model.GELU, 1, 0.8413447},
		{model.GELU, -1, -0.1586553},
		{model.GELUTanh, 1, 0.8411920},
		{model.GELUTanh, -1, -0.1588080},
		{model.ReLU, 2, 2},
		{model.ReLU, -2, 0},
	} {
		if have := activation(c.kind, c.x); math.Abs(float64(have)-c.want) > 1e-6 {
			t.Errorf("%s(%g) = %g, want %g", c.kind, c.x, have, c.want)
		}
	}
}

// A checkpoint whose config.json ties a head that is not the embedding computes what transformers
// computes, which does not tie it.
func TestReferenceOfUntied(t *testing.T) {
	const dir = "../testdata/forms/untied"
	g := readRecorded(t, dir)
	r := reference(t, open(t, dir), ReferenceOptions{MaxSeqLen: len(g.ids)})
	if d := furthest(t, feed(t, r, g.ids, len(g.ids)), g.logits); !(d <= roundingOfOrder*largest(g.logits)) {
		t.Errorf("logits differ by %g", d)
	}
}
