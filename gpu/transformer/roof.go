package transformer

import (
	"context"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Roof is what a device can do at most: no kernel is faster than one of the two lets it be.
type Roof struct {
	Copy  float64 `json:"copy_bytes_per_second"`    // bytes a second that it moves when it copies, read and written ones counted
	FLOPs float64 `json:"float32_flops_per_second"` // operations on float32 a second, a fused multiply-add counted as two
}

// MeasureRoof measures a device.
func MeasureRoof(ctx context.Context, dev *gpu.Device) (r Roof, err error) {
	if r.Copy, err = CopyBandwidth(ctx, dev); err == nil {
		r.FLOPs, err = floatRate(ctx, dev)
	}
	return r, err
}

// Share reports what share of the roof something reached that moved so many bytes and did so many
// operations in a time, and whether memory is what binds it.
func (r Roof) Share(bytes, flops uint64, d time.Duration) (share float64, memory bool) {
	moved, computed := float64(bytes)/r.Copy/d.Seconds(), float64(flops)/r.FLOPs/d.Seconds()
	return max(moved, computed), moved >= computed
}

// CopyBandwidth measures how many bytes a second the device moves when a kernel copies a large buffer, read and
// written bytes counted. A driver's own copies may be slower by far.
func CopyBandwidth(ctx context.Context, dev *gpu.Device) (float64, error) {
	size := min(uint64(1)<<30, dev.Limits().MaxBinding&^(1<<20-1))
	if dev.OnCPU() {
		size = 64 << 20
	}
	a, err := dev.NewBuffer("bandwidth", size, gpu.Storage)
	if err != nil {
		return 0, err
	}
	defer a.Release()
	b, err := dev.NewBuffer("bandwidth", size, gpu.Storage)
	if err != nil {
		return 0, err
	}
	defer b.Release()
	k, err := specialize(dev, "copy", nil)
	if err != nil {
		return 0, err
	}
	pipeline, err := dev.Pipeline(k)
	if err != nil {
		return 0, err
	}
	group, err := dev.BindGroup(pipeline, whole(a), whole(b))
	if err != nil {
		return 0, err
	}
	const copies = 8
	var p gpu.Program
	defer p.Release()
	x, y := grid(int(size) / (16 * 4 * k.Invocations()))
	for range copies {
		p.Dispatch(pipeline, group, x, y, 1)
	}
	best, err := quickest(ctx, dev, &p)
	return 2 * copies * float64(size) / best.Seconds(), err
}

// floatRate measures how many operations on float32 the device does a second.
func floatRate(ctx context.Context, dev *gpu.Device) (float64, error) {
	groups, rounds := 8192, 2048
	if dev.OnCPU() {
		groups, rounds = 64, 256
	}
	k, err := kernels.Specialize("roof", kernels.Consts{"ROUNDS": rounds})
	if err != nil {
		return 0, err
	}
	pipeline, err := dev.Pipeline(k)
	if err != nil {
		return 0, err
	}
	threads := groups * k.Invocations()
	y, err := dev.NewBuffer("bandwidth", 4*uint64(threads), gpu.Storage)
	if err != nil {
		return 0, err
	}
	defer y.Release()
	group, err := dev.BindGroup(pipeline, whole(y))
	if err != nil {
		return 0, err
	}
	var p gpu.Program
	defer p.Release()
	p.Dispatch(pipeline, group, uint32(groups), 1, 1)
	best, err := quickest(ctx, dev, &p)
	return 64 * float64(rounds) * float64(threads) / best.Seconds(), err
}

// quickest runs a program several times and returns the shortest time, with the way there and back.
func quickest(ctx context.Context, dev *gpu.Device, p *gpu.Program) (time.Duration, error) {
	var best time.Duration
	for i := range 5 {
		begun := time.Now()
		if err := dev.Run(p); err != nil {
			return 1, err
		}
		if err := dev.Wait(ctx); err != nil {
			return 1, err
		}
		if d := time.Since(begun); i > 0 && (best == 0 || d < best) {
			best = d
		}
	}
	return best, nil
}
