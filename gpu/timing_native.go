//go:build cgo && !js

package gpu

/*
#include "native.h"
*/
import "C"

import (
	"context"
	"fmt"
	"math"
	"time"
	"unsafe"
)

// maxTimed is how many dispatches are timed in one submission: a query set holds 4096 queries.
const maxTimed = 2048

func (n *native) runTimed(ctx context.Context, steps []step) ([]Timing, error) {
	if err := n.calibrate(ctx); err != nil {
		return nil, err
	}
	var times []Timing
	var first uint64 // ticks: float64 holds differences exactly, but not every absolute value
	for len(steps) > 0 {
		k := min(len(steps), maxTimed)
		ticks, err := n.timed(ctx, steps[:k])
		if err != nil {
			return nil, err
		}
		if len(times) == 0 && len(ticks) > 0 {
			first = ticks[0]
		}
		at := func(tick uint64) time.Duration { return time.Duration(float64(int64(tick-first)) * n.period) }
		for i := 0; i < len(ticks); i += 2 {
			times = append(times, Timing{at(ticks[i]), at(ticks[i+1])})
		}
		steps = steps[k:]
	}
	return times, nil
}

// timed runs steps and returns the timestamps before and after each dispatch, in ticks.
func (n *native) timed(ctx context.Context, steps []step) ([]uint64, error) {
	return n.ticks(ctx, dispatches(steps), func(enc, queries, resolved C.uintptr_t) {
		C.lw_encode_timed(enc, cSteps(steps), C.size_t(len(steps)), queries, resolved)
	})
}

// ticks submits what encode records and returns the 2·count timestamps that it resolves.
func (n *native) ticks(ctx context.Context, count int, encode func(enc, queries, resolved C.uintptr_t)) ([]uint64, error) {
	size := uint64(max(count, 1)) * 16 // bytes: two queries of 8
	resolved, st, free, err := queryBuffers(n, size)
	if err != nil {
		return nil, err
	}
	defer free()
	qs, err := n.made(C.lw_queries(n.dev, C.uint32_t(max(count, 1)*2)), func(h C.uintptr_t) { C.lw_queries_free(h) })
	if err != nil {
		return nil, err
	}
	defer C.lw_queries_free(C.uintptr_t(qs))
	enc := C.lw_encoder(n.dev)
	encode(enc, C.uintptr_t(qs), C.uintptr_t(resolved))
	C.lw_submit(n.dev, enc, 0)
	if err := n.err(); err != nil || count == 0 {
		return nil, err
	}
	p, err := n.startRead(ctx, resolved, 0, st, size)
	if err != nil {
		return nil, err
	}
	ticks := make([]uint64, 2*count)
	dst := unsafe.Slice((*byte)(unsafe.Pointer(&ticks[0])), size)
	return ticks, n.finishRead(ctx, p, st, dst, 0)
}

// calibrate measures the length of a timestamp tick: wgpu-native returns the driver's ticks but
// not their period.
func (n *native) calibrate(ctx context.Context) error {
	if n.period != 0 {
		return nil
	}
	if _, err := n.stamp(ctx); err != nil { // a device's first one is slow
		return err
	}
	a, err := n.stamp(ctx)
	if err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond)
	b, err := n.stamp(ctx)
	if err != nil {
		return err
	}
	if b.tick <= a.tick {
		return fmt.Errorf("timestamps do not advance: %d, then %d", a.tick, b.tick)
	}
	ticks := float64(b.tick - a.tick)
	n.period = snap(float64(b.before.Sub(a.after))/ticks, float64(b.after.Sub(a.before))/ticks)
	return nil
}

// stamped is a timestamp of the device and the CPU's times before and after it was taken.
type stamped struct {
	tick          uint64
	before, after time.Time
}

func (n *native) stamp(ctx context.Context) (stamped, error) {
	s := stamped{before: time.Now()}
	t, err := n.ticks(ctx, 1, func(enc, queries, resolved C.uintptr_t) { C.lw_encode_stamp(enc, queries, resolved) })
	if err != nil {
		return s, err
	}
	s.tick, s.after = t[0], time.Now()
	return s, nil
}

// periods are those of drivers' clocks, in nanoseconds per tick: NVIDIA, Apple and software 1,
// AMD 10, Intel 83.3 and 52.1, Apple's CPU clock 41.7, Direct3D's usual 100.
var periods = []float64{1, 10, 1000 / 12., 1000 / 19.2, 1000 / 24., 100}

// snap returns the known period between two bounds, in nanoseconds per tick, or else their middle. The known ones are
// so far apart that a slow answer of the device does no harm.
func snap(least, most float64) float64 {
	middle := (least + most) / 2
	best := middle
	for _, p := range periods {
		if p > 0.95*least && p < 1.05*most && (best == middle || math.Abs(p-middle) < math.Abs(best-middle)) {
			best = p
		}
	}
	return best
}
