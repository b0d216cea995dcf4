package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// matrixLoss is how far a sum by subgroup matrices may be from that in float32, as a fraction of √(Σx²·Σy²). Both round; errors of
// 10⁻⁵ are enough for small models to be quantized worse.
const matrixLoss = 5e-6

// matrixGain is how many times as fast they have to be.
const matrixGain = 1.1

// Choice is the kernel that makes the sums over the inputs of matrices, and why it is this one.
type Choice struct{ Kernel, Why string }

func (c Choice) String() string { return c.Kernel + " (" + c.Why + ")" }

// choose returns matrixKernel if a device has subgroup matrices of float16 that make sums right, and faster than float32 does.
func choose(ctx context.Context, dev *gpu.Device) (Choice, error) {
	if matrixTile(dev) == nil {
		return Choice{floatKernel, "the device lacks what " + matrixKernel + " needs"}, nil
	}
	t, err := newTrial(dev, 1024, 512)
	if err != nil {
		return Choice{}, err
	}
	defer t.arena.Close()
	off, err := t.off(ctx)
	if err == nil && !(off <= matrixLoss) {
		return judge(off, 0, 0), nil
	}
	var float, matrices time.Duration
	if err == nil {
		float, matrices, err = t.race(ctx)
	}
	switch {
	case err == nil:
		return judge(off, float, matrices), nil
	case ctx.Err() != nil || errors.Is(err, gpu.ErrDeviceLost):
		return Choice{}, fmt.Errorf("calibration: trying kernel %s: %w", matrixKernel, err)
	}
	return Choice{floatKernel, fmt.Sprintf("%s failed: %v", matrixKernel, err)}, nil // what a device cannot compile it need not run
}

// judge chooses by how far sums by subgroup matrices are off, and how long both kernels take.
func judge(off float64, float, matrices time.Duration) Choice {
	if !(off <= matrixLoss) {
		return Choice{floatKernel, fmt.Sprintf("%s is off by %.2g, at most %.2g is allowed", matrixKernel, off, matrixLoss)}
	}
	speed := float64(float) / float64(matrices)
	if speed < matrixGain {
		return Choice{floatKernel, fmt.Sprintf("%s is %.2f times as fast, at least %.2f is wanted", matrixKernel, speed, matrixGain)}
	}
	return Choice{matrixKernel, fmt.Sprintf("%.2f times as fast as %s", speed, floatKernel)}
}

// trial is the sum over random vectors, whose columns are of very different sizes, made in both ways.
type trial struct {
	arena         *arena.Arena
	kit           *graph.Kit
	tile          kernels.Consts
	width, tokens int
	x             graph.Vectors
	halves        halves
	h             *arena.Buffer // [width][width]
}

// newTrial makes one. Close its arena.
func newTrial(dev *gpu.Device, width, tokens int) (*trial, error) {
	a := arena.New(dev)
	floats := func(n int) *arena.Buffer { return a.Reserve(graph.PurposeActivations, 4*n, gpu.Storage) }
	t := &trial{
		arena: a, kit: graph.NewKit(dev, a, graph.Choice{}), tile: matrixTile(dev), width: width, tokens: tokens,
		x:      graph.Vectors{Buffer: floats(tokens * width), Stride: width},
		halves: halves{both: floats(graph.RoundUp(tokens, matrixTokens) * width), units: floats(width), stride: width},
		h:      floats(width * width),
	}
	rng := rand.New(rand.NewPCG(5, 6))
	x := make([]float32, tokens*width)
	for i := range x {
		x[i] = float32(math.Exp2(float64(i%width%41-20)) * rng.NormFloat64())
	}
	err := a.Allocate()
	if err == nil {
		err = t.x.Buffer.Write(0, graph.FloatBytes(x))
	}
	if err == nil {
		err = t.kit.SetTokens(tokens)
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return t, nil
}

// program makes the sum a number of times.
func (t *trial) program(matrices bool, times int) (*gpu.Program, error) {
	r := t.kit.Recorder("trial", t.tokens)
	s := sums{probe: &probe{m: &graph.Matrix{Width: t.width}}, layer: &layer{}}
	if matrices {
		s.split = &split{x: t.halves, tile: t.tile}
	}
	n, all := &sum{kind: sumInputs, height: t.width, rows: t.width, stripes: []*arena.Buffer{t.h}}, &set{inputs: t.kit.Tokens()}
	o := operands{x: t.x, y: t.x, z: t.x, first: 1}
	for range times {
		if matrices {
			s.splitFor(r, all, sumInputs, o)
		}
		s.add(r, all, n, 0, o)
	}
	pass, err := r.Pass()
	if err != nil {
		return nil, err
	}
	return t.kit.Program(pass)
}

// off returns the largest difference between both, as a fraction of √(Σx²·Σy²); NaN if a sum is.
func (t *trial) off(ctx context.Context) (float64, error) {
	var made [2][]float32
	zeros := make([]byte, 4*t.width*t.width)
	for i := range made {
		p, err := t.program(i == 1, 1)
		if err != nil {
			return 0, err
		}
		made[i] = make([]float32, t.width*t.width)
		if err := errors.Join(t.h.Write(0, zeros), t.kit.Device().Run(p), t.kit.ReadFloats(ctx, t.h, 0, made[i])); err != nil {
			return 0, err
		}
	}
	var worst float64
	for row := range t.width {
		for col := range row + 1 {
			size := math.Sqrt(float64(made[0][row*t.width+row]) * float64(made[0][col*t.width+col]))
			d := math.Abs(float64(made[1][row*t.width+col])-float64(made[0][row*t.width+col])) / size
			if math.IsNaN(d) {
				return d, nil
			}
			worst = max(worst, d)
		}
	}
	return worst, nil
}

// warmUp is how long a GPU works before it reaches its clock.
const warmUp = 300 * time.Millisecond

// race returns how long a sum takes in both ways, the shortest time of several in turn.
func (t *trial) race(ctx context.Context) (float, matrices time.Duration, err error) {
	const times = 8
	var programs [2]*gpu.Program
	for i := range programs {
		if programs[i], err = t.program(i == 1, times); err != nil {
			return 0, 0, err
		}
	}
	var best [2]time.Duration
	dev, begun := t.kit.Device(), time.Now()
	for counted := 0; counted < 5; {
		warm := dev.OnCPU() || time.Since(begun) >= warmUp
		for i, p := range programs {
			from := time.Now()
			if err := errors.Join(dev.Run(p), dev.Wait(ctx)); err != nil {
				return 0, 0, err
			}
			if took := time.Since(from) / times; warm && (best[i] == 0 || took < best[i]) {
				best[i] = took
			}
		}
		if warm {
			counted++
		}
	}
	return best[0], best[1], nil
}
