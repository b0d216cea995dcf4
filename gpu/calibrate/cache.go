package calibrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// KVFloat32 returns the layers, in order, of which the text has shown that float16 may not hold their keys or values, as far
// as the calibration has come: bundle.Manifest.KVFloat32.
func (c *Calibrator) KVFloat32(ctx context.Context) ([]int, error) {
	if err := c.look(ctx); err != nil {
		return nil, err
	}
	return slices.Clone(c.beyond), nil
}

// look notes whether the current layer of the quantized model had, in the last window, keys or values beyond what is safe.
func (c *Calibrator) look(ctx context.Context) error {
	l := c.quantized.layer
	if l == nil || slices.Contains(c.beyond, c.layer) {
		return nil
	}
	cache := l.Cache(0)
	if cache.K == nil || l.spec().Attention.SharedKV {
		return nil
	}
	for _, b := range []*arena.Buffer{cache.K, cache.V} {
		x := make([]float32, b.Size()/4)
		if err := l.ReadFloats(ctx, b, 0, x); err != nil {
			return fmt.Errorf("calibration: layer %d: %w", c.layer, err)
		}
		if slices.ContainsFunc(x, func(v float32) bool { return max(v, -v) > block.SafeKV }) {
			c.beyond = append(c.beyond, c.layer)
			return nil
		}
	}
	return nil
}
