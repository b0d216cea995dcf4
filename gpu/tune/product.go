package tune

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// matrix is one matrix on a device, without a model around it, and vectors to multiply it with.
type matrix struct {
	graph.Shape
	kit     *graph.Kit
	arena   *arena.Arena
	weights *graph.Weights
	m       *graph.Matrix
	x, y    graph.Vectors
	raced   time.Time // when the last race ended
}

// reserveMatrix plans a matrix of made-up weights, laid out for the kernels of a choice, and reserves memory for the vectors.
func reserveMatrix(dev *gpu.Device, s graph.Shape, src graph.Source, c graph.Choice) (*matrix, error) {
	a := arena.New(dev)
	t := &matrix{Shape: s, kit: graph.NewKit(dev, a, graph.Choice{}), arena: a}
	var err error
	if t.weights, t.m, err = graph.PlanMatrix(dev, src, dev.Limits().MaxBinding, c, 0); err != nil {
		return nil, err
	}
	tokens := graph.RoundUp(s.Tokens, 128) // whole tiles
	vectors := func(n int) graph.Vectors {
		stride := graph.Stride(n)
		return graph.Vectors{Buffer: a.Reserve(purposeTrial, 4*tokens*stride, gpu.Storage), Stride: stride}
	}
	t.x, t.y = vectors(s.Width).InLimbs(graph.ReserveLimbs(a, purposeTrial, s.Width)), vectors(s.Rows)
	return t, nil
}

// load brings it all to the device.
func (t *matrix) load(ctx context.Context, src graph.Source) error {
	if err := t.arena.Allocate(); err != nil {
		return err
	}
	if err := t.weights.Load(ctx, src, graph.LoadOptions{}); err != nil {
		return err
	}
	return t.kit.SetTokens(t.Tokens)
}

func (t *matrix) close() {
	t.arena.Close()
	t.weights.Close()
}

// productTrial is a product whose sums are never rounded, in whatever order they are added up: weights are small
// multiples of a power of two and vectors consist of −1, 0 and 1. A kernel is right if it is exactly so.
type productTrial struct {
	*matrix
	kernel string
	cold   cold
	unwritten
	rows   []int       // that are compared
	tokens []int       // that are compared
	want   [][]float32 // [token compared][row compared]
}

// newProductTrial makes up a matrix of a shape. Close it.
func newProductTrial(ctx context.Context, dev *gpu.Device, kernel string, s graph.Shape) (*productTrial, error) {
	src := exactSource(s)
	m, err := reserveMatrix(dev, s, src, graph.Choice{})
	if err != nil {
		return nil, err
	}
	if kernel == graph.MatrixKernel || kernel == graph.FewKernel {
		m.kit.ReserveHalves(s.Tokens, graph.RoundUp(s.Tokens, 16)*s.Cols(s.Width))
	}
	t := &productTrial{matrix: m, kernel: kernel, cold: reserveCold(dev, m.arena), unwritten: reserveUnwritten(m.arena, m.y.Buffer)}
	if err = m.load(ctx, src); err == nil {
		if err = t.unwritten.fill(); err == nil {
			err = t.fill(src)
		}
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// exactSource is a source of one matrix of small multiples of a power of two.
func exactSource(s graph.Shape) *Synthetic {
	if s.Bits < 16 {
		return oneMatrix(s, records(s.Packing, rand.New(rand.NewPCG(1, 2)), middle(s.Bits)))
	}
	rng := rand.New(rand.NewPCG(1, 3))
	return oneMatrix(s, floats(s.Bits, func() float32 { return float32(rng.IntN(17)-8) / 64 }))
}

// fill makes the vectors up, and computes what some of their products are.
func (t *productTrial) fill(src *Synthetic) error {
	rng := rand.New(rand.NewPCG(7, uint64(t.Rows)))
	x := make([]float32, t.Tokens*t.x.Stride)
	for i := range t.Tokens {
		for k := range t.Width {
			x[i*t.x.Stride+k] = float32(rng.IntN(3) - 1)
		}
	}
	if err := t.x.Buffer.Write(0, graph.FloatBytes(x)); err != nil {
		return err
	}
	t.rows, t.tokens = sampled(rng, t.Rows, 32), sampled(rng, t.Tokens, 4)
	t.want = make([][]float32, len(t.tokens))
	w, stored := make([]float32, t.Width), make([]byte, t.RowBytes(t.Width))
	for _, row := range t.rows {
		if err := src.ReadAt(0, stored, int64(row)*int64(len(stored))); err != nil {
			return err
		}
		t.DecodeRow(w, stored)
		for i, token := range t.tokens {
			var sum float64
			for k, v := range w {
				sum += float64(v) * float64(x[token*t.x.Stride+k])
			}
			t.want[i] = append(t.want[i], float32(sum))
		}
	}
	return nil
}

// sampled returns the first and last of n numbers and some between, about count of them, in order.
func sampled(rng *rand.Rand, n, count int) []int {
	list := []int{0}
	for i := range count - 1 {
		next := n - 1
		if i > 0 {
			next = rng.IntN(n)
		}
		if at, there := slices.BinarySearch(list, next); !there {
			list = slices.Insert(list, at, next)
		}
	}
	return list
}

// record records the product a number of times, with cold caches if the device has any.
func (t *productTrial) record(c graph.Choice, times int) (*graph.Pass, error) {
	c.Matrices = map[graph.Packing]bool{t.Packing: t.kernel == graph.MatrixKernel || t.kernel == graph.FewKernel}
	r := t.kit.With(c).Recorder("trial", t.Tokens)
	for range times {
		t.cold.record(r)
		r.Product(&graph.Product{Matrix: t.m, In: t.x, Out: t.y, Epilogue: graph.Epilogue{Scale: 1}})
	}
	return r.Pass()
}

// program implements trial.
func (t *productTrial) program(c graph.Choice, times int) (*gpu.Program, error) {
	pass, err := t.record(c, times)
	if err != nil {
		return nil, err
	}
	return t.kit.Program(pass)
}

// off implements trial. It reads some vectors: of each every element must have been written, and those of which the
// product is known must be just that.
func (t *productTrial) off(ctx context.Context, c graph.Choice) (float64, error) {
	p, err := t.program(c, 1)
	if err != nil {
		return 0, err
	}
	if err := t.unwritten.run(t.kit.Device(), t.y.Buffer, p); err != nil {
		return 0, err
	}
	return t.compare(ctx)
}

// compare returns the largest difference of an element from what it should be.
func (t *productTrial) compare(ctx context.Context) (off float64, err error) {
	y := make([]float32, t.Rows)
	for i, token := range t.tokens {
		if err := t.kit.ReadFloats(ctx, t.y.Buffer, token*t.y.Stride, y); err != nil {
			return 0, err
		}
		for _, v := range y {
			if v != v {
				return math.NaN(), nil
			}
		}
		for j, row := range t.rows {
			off = max(off, math.Abs(float64(y[row])-float64(t.want[i][j])))
		}
	}
	return off, nil
}

// key implements subject.
func (t *productTrial) key() graph.TuningKey {
	return graph.TuningKey{Kernel: t.kernel, Class: t.Class()}
}

// defaults implements subject: the constants that the product is recorded with if nothing is chosen.
func (t *productTrial) defaults() (graph.Tuned, error) {
	pass, err := t.record(graph.Choice{}, 1)
	if err != nil {
		return nil, err
	}
	product := pass.Dispatches[len(pass.Dispatches)-1]
	return graph.TunableOf(t.kernel).Constants(product.Kernel), nil
}

// possible implements subject.
func (t *productTrial) possible(with graph.Tuned) error {
	return t.kit.Possible(t.kernel, t.Shape, with)
}

// trials implements subject.
func (t *productTrial) trials() []trial { return []trial{t} }
