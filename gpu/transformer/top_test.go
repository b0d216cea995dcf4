package transformer

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// TestCandidates compares the candidates with the sorted logits.
func TestCandidates(t *testing.T) {
	dev := gputest.Open(t)
	rng := rand.New(rand.NewPCG(5, 6))
	cases := []struct {
		name  string
		vocab int
		logit func(i int) float32
	}{
		{"normal", 5000, func(int) float32 { return float32(4 * rng.NormFloat64()) }},
		{"fewer than wanted", 100, func(int) float32 { return float32(rng.NormFloat64()) }},
		{"one far above", 3001, func(i int) float32 { return []float32{0, 500}[btoi(i == 2999)] }},
		{"all equal", 4096, func(int) float32 { return -7 }},
		{"steep", 1500, func(i int) float32 { return -float32(i) }},
		{"forbidden tokens", 2048, func(i int) float32 {
			if i%3 == 0 {
				return -math.MaxFloat32
			}
			return float32(rng.NormFloat64())
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			logits := make([]float32, c.vocab)
			for i := range logits {
				logits[i] = c.logit(i)
			}
			checkCandidates(t, topOf(t, dev, logits), logits)
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// topOf runs the topk kernels on logits.
func topOf(t *testing.T, dev *gpu.Device, logits []float32) (r Top) {
	t.Helper()
	a, vocab := arena.New(dev), len(logits)
	t.Cleanup(a.Close)
	kit, in, rows := graph.NewKit(dev, a, graph.Choice{}), a.Reserve("logits", 4*vocab, gpu.Storage), a.Reserve("rows", 16, gpu.Storage)
	top := reserveTop(a, vocab, 1, 1)
	if err := a.Allocate(); err != nil {
		t.Fatal(err)
	}
	f, err := newFinder(kit, vocab, []*arena.Buffer{in}, rows, top)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	if err := in.Write(0, graph.FloatBytes(logits)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second run must not see what the first left
		tops, err := f.run(context.Background(), 1)
		if err != nil {
			t.Fatal(err)
		}
		r = tops[0]
	}
	return r
}

func checkCandidates(t *testing.T, got Top, logits []float32) {
	t.Helper()
	var sum float64
	most := float64(slices.Max(logits))
	for _, l := range logits {
		sum += math.Exp(float64(l) - most)
	}
	if want := most + math.Log(sum); math.Abs(got.LogSumExp-want) > 1e-4 {
		t.Errorf("log Σ exp %v, want %v", got.LogSumExp, want)
	}
	sorted := slices.SortedFunc(slices.Values(logits), func(a, b float32) int { return -compare(a, b) })
	n := len(got.Candidates)
	if n == 0 {
		if more := slices.IndexFunc(sorted, func(l float32) bool { return l < sorted[0]-1 }); more >= 0 && more < topCap {
			t.Fatalf("no candidates, though only %d logits are near the largest", more)
		}
		return
	}
	near := slices.IndexFunc(sorted, func(l float32) bool { return l < sorted[0]-31 })
	if want := min(topMin, len(logits)); n < want && n < near {
		t.Errorf("%d candidates, want at least %d", n, want)
	}
	seen := map[int32]bool{}
	found := make([]float32, n)
	for i, c := range got.Candidates {
		if seen[c.ID] || c.Logit != logits[c.ID] {
			t.Fatalf("candidate %d: token %d, logit %v, twice or not %v", i, c.ID, c.Logit, logits[c.ID])
		}
		seen[c.ID], found[i] = true, c.Logit
	}
	slices.SortFunc(found, func(a, b float32) int { return -compare(a, b) })
	if !slices.Equal(found, sorted[:n]) {
		t.Errorf("the %d candidates are not the largest logits", n)
	}
}

func compare(a, b float32) int { return btoi(a > b) - btoi(a < b) }

// TestBatch feeds sequences of different lengths together and checks each against itself alone.
func TestBatch(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32))
	ctx := context.Background()
	const batch = 3
	sequences := []int{0, 1, 2}
	tr, err := New(ctx, dev, src, Options{MaxBatch: batch})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	alone, err := New(ctx, dev, src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	tokens := modeltest.Tokens(60, src.Described.Vocab)
	var prompts [batch][]int32
	for s := range prompts {
		prompts[s] = tokens[10*s : 10*s+5+4*s]
		if err := tr.Select(s); err != nil {
			t.Fatal(err)
		}
		if _, _, err := tr.Top(ctx, prompts[s]); err != nil {
			t.Fatal(err)
		}
	}
	for step := range 4 {
		next := tokens[40+batch*step : 40+batch*(step+1)]
		var tops [batch]float64
		take := func(i int, _ []sample.Candidate, logSumExp float64) error {
			tops[i] = logSumExp
			return nil
		}
		if err := tr.TopOf(ctx, sequences, next, take); err != nil {
			t.Fatal(err)
		}
		for s := range prompts {
			prompts[s] = append(slices.Clone(prompts[s]), next[s])
			alone.Reset()
			_, want, err := alone.Top(ctx, prompts[s])
			if err != nil {
				t.Fatal(err)
			}
			if got := tops[s]; math.Abs(got-want) > 1e-3 {
				t.Errorf("step %d, sequence %d: log Σ exp %v, alone %v", step, s, got, want)
			}
		}
	}
}
