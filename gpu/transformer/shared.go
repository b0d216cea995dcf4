package transformer

import (
	"context"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// Weights are the weights of a model on a device, for Transformers to share.
type Weights struct {
	t   *Transformer // has the weights, and nothing that belongs to a sequence
	src Source
}

// LoadWeights uploads the weights of a model and nothing else. Of Options it heeds Memory, Kernels
// and Progress. On an error nothing stays on the device.
func LoadWeights(ctx context.Context, dev *gpu.Device, src Source, o Options) (*Weights, error) {
	t := prepare(dev, src, o)
	t.makes = []func() error{t.allocateSmall, t.allocateWeights}
	err := t.open(ctx, src)
	if err == nil {
		err = o.Kernels.try(ctx, t.w)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return &Weights{t, src}, nil
}

// New makes a Transformer with sequences of its own and the Kernels of w. It is to be closed before w is.
func (w *Weights) New(ctx context.Context, o Options) (*Transformer, error) {
	o.Kernels = w.t.opts.Kernels
	t := prepare(w.t.dev, w.src, o)
	t.w = w.t.w
	t.makes = []func() error{t.allocateSmall, t.allocateActivations, t.allocateCache, t.allocateAngles}
	err := t.open(ctx, w.src)
	if err == nil && len(o.Ready) > 0 {
		err = t.warm(ctx)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close releases the weights.
func (w *Weights) Close() { w.t.Close() }

// CanRewind reports whether the caches still hold all that a token at the given position of the
// selected sequence may see: those of layers with a window forget what lies behind it.
func (t *Transformer) CanRewind(position int) bool {
	return position <= t.Position() && !slices.ContainsFunc(t.kv, func(c cache) bool {
		first := max(0, position-c.window+1) // that such a token sees
		return first+c.cap < t.Position()
	})
}
