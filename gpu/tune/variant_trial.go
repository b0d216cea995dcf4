package tune

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// variantTrial is a product with random weights, whose results are known by what matvec makes of it.
type variantTrial struct {
	*matrix
	ordered  *graph.Weights // the same matrix, laid out in order
	inOrder  *graph.Matrix
	norm     *graph.Vector
	next     graph.Vectors
	nextIn   *arena.Buffer // next as limbs
	baseline []float32
}

// What the weights of a trial take, about; a CPU takes long enough for less.
const trialBytes, trialBytesCPU = 8 << 20, 128 << 10

// newVariantTrial makes one, and has matvec compute what the others are held to. Close it.
func newVariantTrial(ctx context.Context, dev *gpu.Device, p graph.Packing) (*variantTrial, error) {
	width, bytes := 4096, trialBytes
	if dev.OnCPU() {
		width, bytes = 2048, trialBytesCPU
	}
	s := graph.Shape{Packing: p, Rows: bytes / p.CodeBytes(width) / 8 * 8, Width: width, Tokens: 1}
	rng := rand.New(rand.NewPCG(1, 2))
	src := oneMatrix(s, randomPattern(p, rng))
	m, err := reserveMatrix(dev, s, src, graph.Choice{})
	if err != nil {
		return nil, err
	}
	t := &variantTrial{matrix: m}
	t.ordered, t.inOrder, err = graph.PlanMatrix(dev, src, dev.Limits().MaxBinding, inLimbs(p), 0)
	if err != nil {
		m.close()
		return nil, err
	}
	norm := m.arena.Reserve(purposeTrial, 4*max(s.Width, s.Rows), gpu.Storage)
	t.norm = graph.NewVector(norm, max(s.Width, s.Rows))
	t.next.Stride = graph.Stride(s.Rows) + graph.Stride(s.Rows/2)
	t.next.Buffer = m.arena.Reserve(purposeTrial, 4*t.next.Stride, gpu.Storage)
	t.nextIn = graph.ReserveLimbs(m.arena, purposeTrial, s.Rows)
	t.next = t.next.InLimbs(t.nextIn)
	t.y = t.y.InLimbs(graph.ReserveLimbs(m.arena, purposeTrial, s.Rows))
	if err = m.load(ctx, src); err == nil {
		err = t.ordered.Load(ctx, src, graph.LoadOptions{})
	}
	if err == nil {
		if err = t.fill(rng, norm); err == nil {
			t.baseline, err = t.results(ctx, graph.Choice{})
		}
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// inLimbs is the choice of kernels that take limbs.
func inLimbs(p graph.Packing) graph.Choice {
	return graph.Choice{Variants: map[graph.Packing]graph.Variant{p: {Kernel: graph.LimbsKernel}}}
}

func (t *variantTrial) close() {
	t.ordered.Close()
	t.matrix.close()
}

// randomPattern returns stored weights of small spread: floats, or blocks with zero-points about the middle of the
// codes.
func randomPattern(p graph.Packing, rng *rand.Rand) []byte {
	if p.Block == 0 {
		return floats(p.Bits, func() float32 { return float32(rng.NormFloat64() / 64) })
	}
	middle := center(p.Bits)
	return records(p, rng, func() (float32, int8) {
		scale := (1 + rng.Float64()) / 64 / math.Exp2(float64(p.Bits))
		return float32(scale), max(middle+int8(rng.IntN(5))-2, lowest(p.Bits))
	})
}

// lowest is the lowest zero-point that there may be.
func lowest(bits int) int8 {
	if bits == 8 {
		return -128
	}
	return 0
}

// fill makes activations with a sum of squares for each four of them behind, and the weights of a norm.
func (t *variantTrial) fill(rng *rand.Rand, norm *arena.Buffer) error {
	x, g := make([]float32, t.x.Stride, t.x.Stride+t.Width/4), make([]float32, max(t.Width, t.Rows))
	for i := range t.Width {
		x[i] = float32(rng.NormFloat64())
	}
	for i := 0; i < t.Width; i += 4 {
		x = append(x, x[i]*x[i]+x[i+1]*x[i+1]+x[i+2]*x[i+2]+x[i+3]*x[i+3])
	}
	for i := range g {
		g[i] = float32(1 + 0.1*rng.NormFloat64())
	}
	if err := t.x.Buffer.Write(0, graph.FloatBytes(x)); err != nil {
		return err
	}
	return norm.Write(0, graph.FloatBytes(g))
}

// use is one way in which a model uses a product: with an input that is to be normalized by its sums of squares, if
// there are any, and with an epilogue.
type use struct {
	squares int
	graph.Epilogue
}

// record records a use a number of times.
func (t *variantTrial) record(c graph.Choice, u use, times int) (*graph.Pass, error) {
	m := t.m
	if c.Limbs() {
		m, u.By = t.inOrder, t.inOrder
	}
	r := t.kit.With(c).Recorder("trial", 1)
	r.SetNorm(1e-5, t.next)
	u.Scale = 1
	x := t.x
	if c.Limbs() { // as the product before makes them
		x = r.ToLimbs(x, t.Width)
	}
	for range times {
		r.Product(&graph.Product{Matrix: m, In: x.Prepared(u.squares), Out: t.y, Epilogue: u.Epilogue})
	}
	return r.Pass()
}

// program implements trial.
func (t *variantTrial) program(c graph.Choice, times int) (*gpu.Program, error) {
	pass, err := t.record(c, use{}, times)
	if err != nil {
		return nil, err
	}
	return t.kit.Program(pass)
}

// off implements trial. It is the relative RMS of the differences from what matvec makes.
func (t *variantTrial) off(ctx context.Context, c graph.Choice) (float64, error) {
	got, err := t.results(ctx, c)
	return relativeRMS(got, t.baseline), err
}

// results returns what a kernel computes: a product; one of a normalized vector with an activation, handed on, of whose rows each has
// the fewest threads that a model's has; and the product prepared for a norm, with the sum of its squares.
func (t *variantTrial) results(ctx context.Context, c graph.Choice) ([]float32, error) {
	all, err := t.result(ctx, c, use{}, t.Rows)
	if err != nil {
		return nil, err
	}
	gated, err := t.result(ctx, c, use{t.Width / 4, graph.Epilogue{Gate: &graph.Gate{Slope: 1}, HandOn: true}}, t.Rows/2)
	if err != nil {
		return nil, err
	}
	all = append(all, gated...)
	pass, err := t.run(c, use{0, graph.Epilogue{Next: t.norm}})
	if err != nil {
		return nil, err
	}
	next, squares := make([]float32, t.Rows), 0.0
	if c.Limbs() {
		raw := make([]byte, t.nextIn.Size())
		r := t.nextIn.Range()
		if err := t.kit.Device().Read(ctx, r.Buffer, r.Offset, raw); err != nil {
			return nil, err
		}
		next, squares = graph.FromLimbs(raw, t.Rows)
	} else {
		rows, _ := pass.Dispatches[0].Kernel.Constant("ROWS") // a sum of squares of each workgroup stands behind the vector
		behind := make([]float32, graph.Stride(t.Rows)+t.Rows/rows)
		if err := t.kit.ReadFloats(ctx, t.next.Buffer, 0, behind); err != nil {
			return nil, err
		}
		copy(next, behind)
		for _, v := range behind[graph.Stride(t.Rows):] {
			squares += float64(v)
		}
	}
	return append(append(all, next...), float32(squares)), nil
}

// run runs a use once.
func (t *variantTrial) run(c graph.Choice, u use) (*graph.Pass, error) {
	pass, err := t.record(c, u, 1)
	if err != nil {
		return nil, err
	}
	p, err := t.kit.Program(pass)
	if err != nil {
		return nil, err
	}
	return pass, t.kit.Device().Run(p)
}

// result returns the first n elements that a use makes.
func (t *variantTrial) result(ctx context.Context, c graph.Choice, u use, n int) ([]float32, error) {
	if _, err := t.run(c, u); err != nil {
		return nil, err
	}
	y := make([]float32, n)
	return y, t.kit.ReadFloats(ctx, t.y.Buffer, 0, y)
}

// compete returns how far off a variant's results are from matvec's, and how many times as fast it is.
func (t *variantTrial) compete(ctx context.Context, v graph.Variant) (off, speed float64, err error) {
	with := graph.Choice{Variants: map[graph.Packing]graph.Variant{t.Packing: v}}
	if off, err = t.off(ctx, with); err != nil {
		return 0, 0, err
	}
	speed, err = t.race(ctx, t, graph.Choice{}, with)
	return off, speed, err
}

// relativeRMS is that of the differences, against that of want; NaN if any is.
func relativeRMS(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.NaN()
	}
	var d, p float64
	for i, w := range want {
		d += (float64(got[i]) - float64(w)) * (float64(got[i]) - float64(w))
		p += float64(w) * float64(w)
	}
	return math.Sqrt(d / p)
}
