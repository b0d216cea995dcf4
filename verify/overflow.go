package verify

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// overflower is a Forwarder that knows whether its cache of float16 was large enough for keys and values.
type overflower interface {
	// KVOverflow returns the first layer with a key or value that float16 cannot hold, −1 if there is none.
	KVOverflow(ctx context.Context) (layer int, err error)
}

// KVOverflow implements overflower, of what was fed since the last Reset.
func (r *Reference) KVOverflow(context.Context) (int, error) {
	return int(r.overflowed.Load()) - 1, nil
}

// overflow returns why logits are not finite, if it is the cache.
func overflow(ctx context.Context, f Forwarder) error {
	o, ok := f.(overflower)
	if !ok {
		return nil
	}
	layer, err := o.KVOverflow(ctx)
	if err != nil || layer < 0 {
		return err
	}
	return fmt.Errorf("keys or values of layer %d are larger than float16 can hold (65504): keep the cache in float32 with --kv f32, or run verify --record, which notes in the bundle that this layer is cached in float32", layer)
}

// KVBeyondFloat16 returns the layers, in order, that had a key or value beyond block.SafeKV in anything that was fed so far,
// except for those that are cached in float32 already.
func (r *Reference) KVBeyondFloat16() []int {
	var layers []int
	for i := range r.peaks {
		if peak := math.Float32frombits(r.peaks[i].Load()); peak > block.SafeKV && r.spec.KVBits(i, 16) == 16 {
			layers = append(layers, i)
		}
	}
	return layers
}

// peaks are the largest magnitudes of a layer's keys and values, as bits of a float32: these compare as the numbers do.
type peaks []atomic.Uint32

func (p peaks) note(layer int, rows ...[]float32) {
	var most float32
	for _, row := range rows {
		for _, x := range row {
			most = max(most, float32(math.Abs(float64(x))))
		}
	}
	if most != most { // what is made of infinities says nothing about this layer
		return
	}
	for {
		old := p[layer].Load()
		if math.Float32bits(most) <= old || p[layer].CompareAndSwap(old, math.Float32bits(most)) {
			return
		}
	}
}

func hasInf(x []float32) bool {
	return slices.ContainsFunc(x, func(v float32) bool { return math.IsInf(float64(v), 0) })
}
