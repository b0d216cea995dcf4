package transformer

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// Weights are the weights of a model on a device, for Transformers to share.
type Weights struct {
	dev     *gpu.Device
	src     Source
	w       *graph.Weights
	kernels graph.Choice
}

// LoadWeights uploads the weights of a model and nothing else. Of Options it uses Memory, Kernels,
// Progress and Repeats. After an error nothing stays on the device.
func LoadWeights(ctx context.Context, dev *gpu.Device, src Source, o Options) (*Weights, error) {
	w, err := graph.Plan(dev, src, dev.Limits().MaxBinding, o.Kernels)
	if err != nil {
		return nil, err
	}
	p := &plan{opts: o, weights: w, need: w.Need()}
	err = p.allocate(dev, src, w)
	if err == nil {
		err = w.Load(ctx, src, graph.LoadOptions{Progress: o.Progress, Repeats: o.Repeats})
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return &Weights{dev, src, w, o.Kernels}, nil
}

// New makes a Transformer with sequences of its own and the Kernels of w. Close it before w.
func (w *Weights) New(ctx context.Context, o Options) (*Transformer, error) {
	o = o.withDefaults(w.src.Spec())
	o.Kernels = w.kernels
	if err := o.check(); err != nil {
		return nil, err
	}
	p, err := newPlan(w.dev, w.w, w.dev.Limits().MaxBinding, o)
	if err != nil {
		return nil, err
	}
	t, err := open(w.dev, w.src, p)
	if err != nil {
		return nil, err
	}
	t.shared = true
	if err := t.warm(ctx); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close releases the weights.
func (w *Weights) Close() { w.w.Close() }
