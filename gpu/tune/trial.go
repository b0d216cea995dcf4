package tune

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// A trial is a piece of work that the device can do in several ways, with made-up inputs of which the results are
// known. A candidate is the choice of kernels that it is recorded with.
type trial interface {
	// program returns a program that does the work a number of times.
	program(c graph.Choice, times int) (*gpu.Program, error)
	// off does it once and reports how far the results are from what they should be: 0 if they are exactly that, or as
	// near as the arithmetic lets one say; NaN if something was not computed at all.
	off(ctx context.Context, c graph.Choice) (float64, error)
}

// run checks a candidate in several trials and, if its results are right in all of them, returns how long they take
// together. Each is timed for about as long as wanted.
func run(ctx context.Context, dev *gpu.Device, trials []trial, c graph.Choice, want time.Duration) (took time.Duration, right bool, err error) {
	for _, t := range trials {
		off, err := t.off(ctx, c)
		if err != nil || off != 0 {
			return 0, false, err
		}
		d, err := timed(ctx, dev, func(times int) (*gpu.Program, error) { return t.program(c, times) }, want)
		if err != nil {
			return 0, false, err
		}
		took += d
	}
	return took, true, nil
}

// trialTime is about how long a candidate is timed.
func trialTime(quick bool) time.Duration {
	if quick {
		return 10 * time.Millisecond
	}
	return 40 * time.Millisecond
}

// warmUp is how long a GPU works before it is timed. One that has just waited for a compiler, or for the CPU, runs at a
// fraction of its clock.
const warmUp = 100 * time.Millisecond

// timed records something often enough to take about as long as wanted, and returns the median time of one run.
func timed(ctx context.Context, dev *gpu.Device, record func(times int) (*gpu.Program, error), want time.Duration) (took time.Duration, err error) {
	if coarse {
		return clocked(ctx, dev, record, want)
	}
	p, err := record(1)
	if err != nil {
		return 0, err
	}
	if took, err = median(ctx, dev, p, 1); err != nil { // the first time, which a driver may do more at, only tells how long it takes
		return 0, err
	}
	for begun := time.Now(); !dev.OnCPU() && time.Since(begun) < warmUp; {
		if took, err = median(ctx, dev, p, 1); err != nil {
			return 0, err
		}
	}
	times := int(min(20, max(3, want/max(1, took))))
	if p, err = record(times); err != nil {
		return 0, err
	}
	return median(ctx, dev, p, times)
}

// coarse says that clocks are: browsers round those of the device to a tenth of a millisecond.
const coarse = runtime.GOOS == "js"

// clocked is timed by the clock outside of the device: it records so many times that they take long enough together, and
// returns the shortest time of three.
func clocked(ctx context.Context, dev *gpu.Device, record func(times int) (*gpu.Program, error), want time.Duration) (time.Duration, error) {
	for times := 1; ; times *= 2 {
		p, err := record(times)
		if err != nil {
			return 0, err
		}
		best, err := elapsed(ctx, dev, p)
		if err != nil {
			return 0, err
		}
		if best < want && times < 512 {
			continue
		}
		for range 2 {
			took, err := elapsed(ctx, dev, p)
			if err != nil {
				return 0, err
			}
			best = min(best, took)
		}
		return best / time.Duration(times), nil
	}
}

// median runs a program that does the same count times, and returns the median time of one of them.
func median(ctx context.Context, dev *gpu.Device, p *gpu.Program, count int) (time.Duration, error) {
	if !dev.Features().TimestampQuery {
		took, err := elapsed(ctx, dev, p)
		return took / time.Duration(count), err
	}
	timings, err := dev.RunTimed(p)
	if err != nil {
		return 0, err
	}
	parts := len(timings) / count // dispatches of one time
	var times []time.Duration
	for i := 0; i+parts <= len(timings); i += parts {
		var sum time.Duration
		for _, t := range timings[i : i+parts] {
			sum += t.Time()
		}
		times = append(times, sum)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// elapsed runs a program and returns how long that took, with the way there and back.
func elapsed(ctx context.Context, dev *gpu.Device, p *gpu.Program) (time.Duration, error) {
	begun := time.Now()
	if err := dev.Run(p); err != nil {
		return 0, err
	}
	err := dev.Wait(ctx)
	return time.Since(begun), err
}

// quickest runs a program several times and returns the shortest time, with the way there and back.
func quickest(ctx context.Context, dev *gpu.Device, p *gpu.Program) (time.Duration, error) {
	var best time.Duration
	for i := range 5 {
		d, err := elapsed(ctx, dev, p)
		if err != nil {
			return 1, err
		}
		if i > 0 && (best == 0 || d < best) {
			best = d
		}
	}
	return best, nil
}

// What the memory of trials is counted as.
const purposeTrial = "trial"

// cold are two buffers that are larger than a device's caches: a copy of one to the other leaves nothing
// else there. Software has those of the CPU, and no time to lose: there are none for it. Nor are there where the copy would be
// timed, too.
type cold struct{ to, from *arena.Buffer }

func reserveCold(dev *gpu.Device, a *arena.Arena) cold {
	if dev.OnCPU() || coarse {
		return cold{}
	}
	n := int(min(256<<20, dev.Limits().MaxBufferSize))
	return cold{a.Reserve(purposeTrial, n, gpu.Storage), a.Reserve(purposeTrial, n, gpu.Storage)}
}

// record records the copy.
func (c cold) record(r *graph.Recorder) {
	if c.to != nil {
		r.Copy(c.to.Range(), c.from.Range())
	}
}

// unwritten is a buffer of NaN: copied over results, it shows which of them are written.
type unwritten struct{ nan *arena.Buffer }

func reserveUnwritten(a *arena.Arena, results *arena.Buffer) unwritten {
	return unwritten{a.Reserve(purposeTrial, int(results.Size()), gpu.Storage)}
}

func (u unwritten) fill() error {
	return u.nan.Write(0, bytes.Repeat([]byte{0xff}, int(u.nan.Size())))
}

// run runs a program over results that are all NaN.
func (u unwritten) run(dev *gpu.Device, results *arena.Buffer, p *gpu.Program) error {
	var clear gpu.Program
	clear.Copy(results.Range(), u.nan.Range())
	return dev.Run(&clear, p)
}
