package llm

import (
	"context"
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// overflower is an Engine that knows whether its cache of float16 was large enough for keys and values.
type overflower interface {
	// KVOverflow returns the first layer with a key or value that float16 cannot hold, −1 if there is none.
	KVOverflow(ctx context.Context) (layer int, err error)
}

// explained adds to the error of logits that are not finite that the cache is the reason, if it is. It needs m.mu.
func (m *Model) explained(ctx context.Context, err error) error {
	o, ok := m.engine.(overflower)
	if !ok || !errors.Is(err, sample.ErrNotFinite) {
		return err
	}
	if layer, failed := o.KVOverflow(ctx); failed == nil && layer >= 0 {
		return fmt.Errorf("%w: keys or values of layer %d are larger than float16 can hold (65504): keep the cache in float32 (--kv f32; kvBits 32)", err, layer)
	}
	return err
}
