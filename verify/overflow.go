package verify

import (
	"context"
	"fmt"
	"math"
	"slices"
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
	return fmt.Errorf("keys or values of layer %d are larger than float16 can hold (65504): keep the cache in float32 with --kv f32", layer)
}

func hasInf(x []float32) bool {
	return slices.ContainsFunc(x, func(v float32) bool { return math.IsInf(float64(v), 0) })
}
