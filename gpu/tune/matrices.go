package tune

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// matrixLoss is how far products by subgroup matrices may be from matmul's, as a relative RMS: weights are rounded to
// float16, which is 2·10⁻⁴ of usual ones. Activations keep twice as many bits.
const matrixLoss = 4e-4

// matrixTokens and fewTokens are how many vectors the trials of subgroup matrices multiply: of the kernel for many, which has
// to be faster as well, and of the one for few.
const matrixTokens, fewTokens = 256, 16

// matricesRun reports whether a device has what products by subgroup matrices need, and why not.
func matricesRun(dev *gpu.Device) error {
	for name, c := range map[string]kernels.Consts{"split": nil, "split_panels": nil, graph.MatrixKernel: {"ACROSS": 1, "FINE": 1}, graph.FewKernel: {"HIGH": 1, "ALONG": 1, "FINE": 1}} { // the smallest tile in use
		k, err := kernels.Specialize(name, c)
		if err == nil {
			err = dev.Fits(k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ChooseMatrices returns the packings that a model mostly consists of of which subgroup matrices multiply many vectors
// right, and faster than matmul. Of src it reads no weights.
func (k *Variants) ChooseMatrices(ctx context.Context, src graph.Source) (map[graph.Packing]bool, error) {
	if k.want != VariantsAuto && k.want != variantMatrix || matricesRun(k.dev) != nil {
		return nil, nil
	}
	chosen := map[graph.Packing]bool{}
	main, err := k.mainPackings(src)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range main {
		right, tried := k.matrices[p]
		if !tried && p.Bits <= 16 {
			if right, err = k.chooseMatrices(ctx, p); err != nil {
				return nil, err
			}
			k.matrices[p] = right
		}
		if right {
			chosen[p] = true
		}
	}
	return chosen, nil
}

// chooseMatrices tries subgroup matrices for one packing.
func (k *Variants) chooseMatrices(ctx context.Context, p graph.Packing) (bool, error) {
	r := VariantResult{Kernel: graph.MatrixKernel, Packing: p.String()}
	few, err := k.tryFew(ctx, p)
	if err == nil {
		var t *matrixTrial
		if t, err = newMatrixTrial(ctx, k.dev, p, matrixTokens); err == nil {
			defer t.close()
			r.RelativeRMS, r.Speed, err = t.compete(ctx)
		}
	}
	r.RelativeRMS = math.Max(r.RelativeRMS, few) // NaN if either is
	r.Chosen, err = k.judge(ctx, variant{Variant: graph.Variant{Kernel: graph.MatrixKernel}, loss: matrixLoss}, &r, leastGain, err)
	if err == nil {
		k.update(func(all []VariantResult) []VariantResult { return append(all, r) })
	}
	return r.Chosen, err
}

// tryFew returns how far off the kernel for few vectors is.
func (k *Variants) tryFew(ctx context.Context, p graph.Packing) (float64, error) {
	t, err := newMatrixTrial(ctx, k.dev, p, fewTokens)
	if err != nil {
		return 0, err
	}
	defer t.close()
	return t.off(ctx, t.matrices())
}

// matrixTrial is a product of many random vectors with random weights, whose results are known by what matmul makes of it.
type matrixTrial struct{ *matrix }

// newMatrixTrial makes one. Close it.
func newMatrixTrial(ctx context.Context, dev *gpu.Device, p graph.Packing, tokens int) (*matrixTrial, error) {
	const width = 4096
	s := graph.Shape{Packing: p, Rows: trialBytes / p.CodeBytes(width), Width: width, Tokens: tokens}
	rng := rand.New(rand.NewPCG(3, 4))
	src := oneMatrix(s, randomPattern(p, rng))
	m, err := reserveMatrix(dev, s, src, graph.Choice{})
	if err != nil {
		return nil, err
	}
	m.kit.ReserveHalves(s.Tokens, s.Tokens*s.Cols(width))
	t := &matrixTrial{m}
	if err = m.load(ctx, src); err == nil {
		err = t.fill(rng)
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// fill makes vectors of very different sizes, some beyond float16.
func (t *matrixTrial) fill(rng *rand.Rand) error {
	x := make([]float32, t.Tokens*t.x.Stride)
	for i := range t.Tokens {
		spread := math.Exp2(float64(i%41 - 20))
		for k := range t.Width {
			x[i*t.x.Stride+k] = float32(spread * rng.NormFloat64())
		}
	}
	return t.x.Buffer.Write(0, graph.FloatBytes(x))
}

// program implements trial.
func (t *matrixTrial) program(c graph.Choice, times int) (*gpu.Program, error) {
	r := t.kit.With(c).Recorder("trial", t.Tokens)
	for range times {
		r.Product(&graph.Product{Matrix: t.m, In: t.x, Out: t.y, Epilogue: graph.Epilogue{Scale: 1}})
	}
	pass, err := r.Pass()
	if err != nil {
		return nil, err
	}
	return t.kit.Program(pass)
}

// off implements trial. It is the largest relative RMS of any vector's differences from what matmul makes.
func (t *matrixTrial) off(ctx context.Context, c graph.Choice) (float64, error) {
	var made [2][]float32
	for i, c := range []graph.Choice{{}, c} {
		p, err := t.program(c, 1)
		if err == nil {
			err = t.kit.Device().Run(p)
		}
		if err == nil {
			made[i], err = t.kit.ReadVectors(ctx, t.y, t.Tokens, t.Rows)
		}
		if err != nil {
			return 0, err
		}
	}
	var worst float64
	for i := range t.Tokens {
		part := func(v []float32) []float32 { return v[i*t.Rows:][:t.Rows] }
		d := relativeRMS(part(made[1]), part(made[0]))
		if math.IsNaN(d) {
			return d, nil
		}
		worst = max(worst, d)
	}
	return worst, nil
}

// matrices is the choice of subgroup matrices.
func (t *matrixTrial) matrices() graph.Choice {
	return graph.Choice{Matrices: map[graph.Packing]bool{t.Packing: true}}
}

// compete returns how far off the results are from matmul's, and how many times as fast they come.
func (t *matrixTrial) compete(ctx context.Context) (off, speed float64, err error) {
	with := t.matrices()
	if off, err = t.off(ctx, with); err != nil {
		return 0, 0, err
	}
	matmul, matrices, err := race(ctx, t.kit.Device(), t, graph.Choice{}, with)
	return off, float64(matmul) / float64(matrices), err
}
