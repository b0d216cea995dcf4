package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// matrixLoss is how far products by subgroup matrices may be from matmul's, as a relative RMS: weights are rounded to
// float16, which is 2·10⁻⁴ of usual ones. Activations keep twice as many bits.
const matrixLoss = 4e-4

// int8Loss is the same of matrices of int8: weights are exact, and activations off by half a unit at most, 1/32639 of the largest
// of up to 256, so 3·10⁻⁵ of usual ones.
const int8Loss = 1e-4

// matrixTokens and fewTokens are how many vectors the trials of subgroup matrices multiply: of the kernel for many, which has
// to be faster as well, and of the one for few.
const matrixTokens, fewTokens = 256, 16

// Up to eight vectors are multiplied by int8 matrices of another shape, and more than 16 by another kernel, which only have to be right:
// a few rows show that.
const eightTokens, slicedTokens, otherBytes = 8, 32, 64 << 10

const trialWidth = 4096 // columns of a trial of subgroup matrices

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

// matrixChoice says whether subgroup matrices multiply the vectors of a packing, and such of int8 a few of them.
type matrixChoice struct{ halves, int8 bool }

// ChooseMatrices adds to c those of a model's main packings for which subgroup matrices multiply many vectors correctly, and
// faster than matmul, and those for which matrices of int8 multiply a few vectors faster still. It reads no weights of src.
func (k *Variants) ChooseMatrices(ctx context.Context, src graph.Source, c *graph.Choice) error {
	if k.want != VariantsAuto && k.want != variantMatrix || matricesRun(k.dev) != nil {
		return nil
	}
	c.Matrices, c.Int8 = map[graph.Packing]bool{}, map[graph.Packing]bool{}
	main, err := k.mainPackings(src)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range main {
		chosen, tried := k.matrices[p]
		if !tried && p.Bits <= 16 {
			if chosen, err = k.chooseMatrices(ctx, p); err != nil {
				return err
			}
			k.matrices[p] = chosen
		}
		if chosen.halves {
			c.Matrices[p] = true
		}
		if chosen.int8 {
			c.Int8[p] = true
		}
	}
	return nil
}

// chooseMatrices tries subgroup matrices for one packing.
func (k *Variants) chooseMatrices(ctx context.Context, p graph.Packing) (chosen matrixChoice, err error) {
	r := VariantResult{Kernel: graph.MatrixKernel, Packing: p.String()}
	few, err := newMatrixTrial(ctx, k.dev, p, fewTokens, trialBytes)
	if err == nil {
		defer few.close()
		r.RelativeRMS, err = few.off(ctx, few.matrices())
	}
	if err == nil {
		err = k.tryMany(ctx, p, &r)
	}
	chosen.halves, err = k.judge(ctx, variant{Variant: graph.Variant{Kernel: graph.MatrixKernel}, loss: matrixLoss}, &r, leastGain, err)
	r.Chosen = chosen.halves
	if err != nil {
		return chosen, err
	}
	k.update(func(all []VariantResult) []VariantResult { return append(all, r) })
	if chosen.halves && k.dev.Features().Int8Matrix && graph.Int8Takes(few.Shape) {
		chosen.int8, err = k.chooseInt8(ctx, few)
	}
	return chosen, err
}

// tryMany lets the kernel for many vectors compete with matmul. The result has the larger difference of it and of the kernel for
// few vectors, NaN if either is.
func (k *Variants) tryMany(ctx context.Context, p graph.Packing, r *VariantResult) error {
	t, err := newMatrixTrial(ctx, k.dev, p, matrixTokens, trialBytes)
	if err != nil {
		return err
	}
	defer t.close()
	off, speed, err := t.compete(ctx, graph.Choice{}, t.matrices())
	r.RelativeRMS, r.Speed = math.Max(r.RelativeRMS, off), speed
	return err
}

// chooseInt8 tries matrices of int8 for a few vectors, against those of float16. A device may say that it has them, and fail to
// compile the kernel.
func (k *Variants) chooseInt8(ctx context.Context, t *matrixTrial) (bool, error) {
	r := VariantResult{Kernel: graph.Int8Kernel, Packing: t.Packing.String()}
	with := t.matrices()
	with.Int8 = with.Matrices
	var err error
	if r.RelativeRMS, r.Speed, err = t.compete(ctx, t.matrices(), with); err == nil {
		err = k.tryOthers(ctx, t.Packing, &r)
	}
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, gpu.ErrDeviceLost) {
			return false, fmt.Errorf("trying kernel %s: %w", r.Kernel, err)
		}
		r.Err = err.Error()
	}
	r.Chosen = err == nil && r.RelativeRMS <= int8Loss && r.Speed >= leastGain
	k.update(func(all []VariantResult) []VariantResult { return append(all, r) })
	return r.Chosen, nil
}

// tryOthers compares products of eight vectors and of 32, for which there are kernels of their own. The result has the largest
// difference.
func (k *Variants) tryOthers(ctx context.Context, p graph.Packing, r *VariantResult) error {
	err := k.tryInt8(ctx, p, eightTokens, r)
	if s := (graph.Shape{Packing: p, Rows: otherBytes / p.CodeBytes(trialWidth), Width: trialWidth, Tokens: slicedTokens}); err == nil && graph.SlicesTake(s) {
		err = k.tryInt8(ctx, p, slicedTokens, r)
	}
	return err
}

func (k *Variants) tryInt8(ctx context.Context, p graph.Packing, tokens int, r *VariantResult) error {
	t, err := newMatrixTrial(ctx, k.dev, p, tokens, otherBytes)
	if err != nil {
		return err
	}
	defer t.close()
	with := t.matrices()
	with.Int8 = with.Matrices
	off, err := t.off(ctx, with)
	r.RelativeRMS = math.Max(r.RelativeRMS, off)
	return err
}

// matrixTrial is a product of many random vectors with random weights, whose results are known by what matmul makes of it.
type matrixTrial struct{ *matrix }

// newMatrixTrial makes one, with so many bytes of weights. Close it.
func newMatrixTrial(ctx context.Context, dev *gpu.Device, p graph.Packing, tokens, bytes int) (*matrixTrial, error) {
	s := graph.Shape{Packing: p, Rows: bytes / p.CodeBytes(trialWidth), Width: trialWidth, Tokens: tokens}
	rng := rand.New(rand.NewPCG(3, 4))
	src := oneMatrix(s, randomPattern(p, rng))
	m, err := reserveMatrix(dev, s, src, graph.Choice{})
	if err != nil {
		return nil, err
	}
	m.kit.ReserveHalves(s.Tokens, s.Tokens*s.Cols(s.Width))
	m.kit.ReserveParts(s)
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

// compete returns how far off the results of a choice are from matmul's, and how many times as fast as another's they come.
func (t *matrixTrial) compete(ctx context.Context, other, c graph.Choice) (off, speed float64, err error) {
	if off, err = t.off(ctx, c); err != nil {
		return 0, 0, err
	}
	speed, err = t.race(ctx, t, other, c)
	return off, speed, err
}
