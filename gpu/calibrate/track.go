package calibrate

import (
	"context"
	"errors"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/quant/overlay"
)

// track holds the hidden states of the calibration text on its way through a model.
type track struct {
	*overlay.Model
	keeper *keeper
	layer  *layer // nil before its first pass

	input  *stream // residual stream before the layer
	heads  *stream // outputs of its attention heads, if have says so
	middle *stream // residual stream after attention, if have says so
	have   graph.Place

	number int // of the layer in the model
	beside
}

func newTrack(src model.Weights, keeper *keeper) (*track, error) {
	k := &track{Model: overlay.New(src, keeper.windows), keeper: keeper}
	var errI, errM error
	k.input, errI = keeper.stream(src.Spec().Hidden)
	k.middle, errM = keeper.stream(src.Spec().Hidden)
	return k, errors.Join(errI, errM)
}

func (k *track) close() error {
	if k == nil {
		return nil
	}
	k.unload()
	return errors.Join(k.input.close(), k.middle.close(), k.heads.close(), k.closeBeside())
}

// unload takes the layer from the device.
func (k *track) unload() {
	k.layer.close()
	k.layer = nil
}

// load loads the layer onto the device or, if it is there, the tensors that were set since.
func (k *track) load(ctx context.Context, layer int) error {
	src := newLayerSource(k.Model, layer)
	late := k.Late(src.index)
	if k.layer == nil {
		longest := 0
		for _, w := range k.keeper.windows {
			longest = max(longest, len(w))
		}
		var err error
		k.layer, err = openLayer(ctx, k.keeper.dev, src, longest)
		return err
	}
	for _, i := range late {
		if err := k.layer.weights.Reload(ctx, src, i); err != nil {
			return err
		}
	}
	return nil
}

// next forgets everything that belongs to layers before the given one, whose inputs are complete.
func (k *track) next(layer int) error {
	k.unload()
	k.have = graph.AtInput
	k.Forget(layer)
	err := k.heads.close()
	k.heads, k.number = nil, layer
	return errors.Join(err, k.give(layer))
}

// embed fills input with the embeddings of all tokens.
func (k *track) embed(windows [][]int32) error {
	for w, tokens := range windows {
		x, err := cpu.Embed(k.Model, tokens)
		if err != nil {
			return err
		}
		if err := k.input.write(w, x); err != nil {
			return err
		}
		if err := k.openStreams(w, x); err != nil {
			return err
		}
	}
	return nil
}
