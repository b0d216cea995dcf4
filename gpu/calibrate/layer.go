package calibrate

import (
	"context"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/quant/overlay"
)

// layer is one layer of a model on the device, in float32, for windows of text that are read one at a time.
type layer struct {
	*graph.Graph
	weights *graph.Weights
	arena   *arena.Arena
}

// openLayer loads a layer onto the device, for windows of up to the given number of tokens. Close it. Keys and values
// are cached as float32: a window is short, and activations may be beyond float16.
func openLayer(ctx context.Context, dev *gpu.Device, src *layerSource, tokens int) (*layer, error) {
	limit := dev.Limits().MaxBinding
	w, err := graph.Plan(dev, src, limit, graph.Choice{})
	if err != nil {
		return nil, err
	}
	l := &layer{weights: w, arena: arena.New(dev)}
	l.Graph, err = graph.New(dev, w, l.arena, limit, graph.Options{MaxSeqLen: tokens, Chunk: tokens, MaxBatch: 1, KVBits: 32})
	switch {
	case err != nil:
	case l.arena.Largest(graph.PurposeActivations) > limit:
		err = fmt.Errorf("%w: windows of %d tokens: what a layer makes of them is larger than this device's binding limit; use shorter windows", graph.ErrTooLarge, tokens)
	default:
		err = l.fill(ctx, src)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// fill allocates the memory and loads the weights.
func (l *layer) fill(ctx context.Context, src *layerSource) error {
	if free, ok := l.Device().FreeMemory(); ok {
		var need uint64
		for _, m := range []map[string]uint64{l.arena.Need(), l.weights.Need()} {
			for _, n := range m {
				need += n
			}
		}
		if need > free {
			return fmt.Errorf("%w: %s are needed for a layer, %s are there", graph.ErrTooLarge, graph.Size(need), graph.Size(free))
		}
	}
	if err := l.arena.Allocate(); err != nil {
		return err
	}
	if err := l.Begin(); err != nil {
		return err
	}
	return l.weights.Load(ctx, src, graph.LoadOptions{})
}

func (l *layer) close() {
	if l != nil {
		l.arena.Close()
		l.weights.Close()
	}
}

// matrices returns the weights of the layer.
func (l *layer) matrices() *graph.Layer { return &l.weights.Layers[0] }

// spec describes the layer.
func (l *layer) spec() *model.Layer { return l.weights.Spec().Layer(0) }

// layerSource is a Source of one layer of a model, all float32.
type layerSource struct {
	model   *overlay.Model
	spec    model.Spec
	tensors []model.Tensor
	index   []int // in the model
}

func newLayerSource(o *overlay.Model, layer int) *layerSource {
	s := &layerSource{model: o, spec: *o.Spec()}
	s.spec.Layers, s.spec.KVFloat32 = []int{s.spec.Layers[layer]}, nil
	s.spec.Vocab, s.spec.Positions, s.spec.TiedHead = 1, 0, true
	for i, t := range o.Tensors() {
		if t.Layer == layer {
			t.Layer = 0
			s.tensors, s.index = append(s.tensors, t), append(s.index, i)
		}
	}
	return s
}

// Spec implements graph.Source.
func (s *layerSource) Spec() *model.Spec { return &s.spec }

// Tensors implements graph.Source.
func (s *layerSource) Tensors() []model.Tensor { return s.tensors }

// Rows implements graph.Source.
func (s *layerSource) Rows(i, row0, n int, dst []float32) error {
	return s.model.Rows(s.index[i], row0, n, dst)
}

// Packing implements graph.Source.
func (s *layerSource) Packing(int) (bits, block int) { return 32, 0 }

// ReadAt implements graph.Source.
func (s *layerSource) ReadAt(i int, p []byte, off int64) error {
	row := 4 * int64(s.tensors[i].Cols()) // the runtime reads whole rows
	rows := make([]float32, len(p)/4)
	if err := s.model.Rows(s.index[i], int(off/row), len(p)/int(row), rows); err != nil {
		return err
	}
	copy(p, graph.FloatBytes(rows))
	return nil
}
