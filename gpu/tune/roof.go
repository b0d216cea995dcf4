package tune

import (
	"context"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Roof is what a device can do at most: no kernel is faster than one of the two lets it be.
type Roof struct {
	Copy  float64 `json:"copy_bytes_per_second"`    // bytes a second that it moves when it copies, read and written ones counted
	FLOPs float64 `json:"float32_flops_per_second"` // operations on float32 a second, a fused multiply-add counted as two
}

// MeasureRoof measures a device.
func MeasureRoof(ctx context.Context, dev *gpu.Device) (r Roof, err error) {
	if r.Copy, err = copyBandwidth(ctx, dev); err == nil {
		r.FLOPs, err = floatRate(ctx, dev)
	}
	return r, err
}

// Share reports what share of the roof something reached that moved bytes and did flops operations in a time, and
// whether memory bandwidth is what limits it.
func (r Roof) Share(bytes, flops uint64, d time.Duration) (share float64, memory bool) {
	moved, computed := float64(bytes)/r.Copy/d.Seconds(), float64(flops)/r.FLOPs/d.Seconds()
	return max(moved, computed), moved >= computed
}

// copyBandwidth measures how many bytes a second the device moves when a kernel copies a large buffer, read and
// written bytes counted. A driver's own copies may be slower by far.
func copyBandwidth(ctx context.Context, dev *gpu.Device) (float64, error) {
	size := min(uint64(1)<<30, dev.Limits().MaxBinding&^(1<<20-1))
	if dev.OnCPU() {
		size = 64 << 20
	}
	a := arena.New(dev)
	defer a.Close()
	from, to := a.Reserve("bandwidth", int(size), gpu.Storage), a.Reserve("bandwidth", int(size), gpu.Storage)
	const copies = 8
	best, err := repeated(ctx, dev, a, func(r *graph.Recorder) {
		x, y := graph.Grid(int(size) / (16 * copyEach * lanes))
		for range copies {
			r.Dispatch("copy", kernels.Consts{"LANES": lanes, "EACH": copyEach}, x, y, from, to)
		}
	})
	return 2 * copies * float64(size) / best.Seconds(), err
}

// Threads of a workgroup, and how many vec4<u32> each of them copies.
const lanes, copyEach = 256, 4

// floatRate measures how many operations on float32 the device does a second.
func floatRate(ctx context.Context, dev *gpu.Device) (float64, error) {
	groups, rounds := 8192, 2048
	if dev.OnCPU() {
		groups, rounds = 64, 256
	}
	a := arena.New(dev)
	defer a.Close()
	threads := groups * lanes
	y := a.Reserve("bandwidth", 4*threads, gpu.Storage)
	best, err := repeated(ctx, dev, a, func(r *graph.Recorder) {
		r.Dispatch("roof", kernels.Consts{"LANES": lanes, "ROUNDS": rounds}, groups, 1, y)
	})
	return 64 * float64(rounds) * float64(threads) / best.Seconds(), err
}

// repeated allocates an arena, records something and returns the shortest time of several that it takes.
func repeated(ctx context.Context, dev *gpu.Device, a *arena.Arena, record func(*graph.Recorder)) (time.Duration, error) {
	kit := graph.NewKit(dev, a, graph.Choice{})
	if err := a.Allocate(); err != nil {
		return 1, err
	}
	r := kit.Recorder("roof", 1)
	record(r)
	pass, err := r.Pass()
	if err != nil {
		return 1, err
	}
	p, err := kit.Program(pass)
	if err != nil {
		return 1, err
	}
	defer p.Release()
	return quickest(ctx, dev, p)
}
