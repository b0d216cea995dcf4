package verify

import (
	"context"
	"errors"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Tap sees the inputs [tokens][cols] of the product with each matrix of a layer, in order, before it is computed.
// They are not to be kept or changed. If it returns true, the layer ends there.
type Tap func(role model.Role, inputs []float32) (end bool)

var errTapped = errors.New("ended by a tap")

// Embed returns the residual stream [tokens][hidden] of a sequence before the first layer.
func (r *Reference) Embed(tokens []int32) ([]float32, error) {
	r.Reset()
	return r.embed(tokens)
}

// Layer passes the residual stream x [tokens][hidden] of a whole sequence through one layer, in place, and forgets
// the KV cache. tap may be nil. If it ends the layer, x is the residual stream that the branch of that matrix is
// added to.
func (r *Reference) Layer(ctx context.Context, layer int, x []float32, tap Tap) error {
	tokens := len(x) / r.spec.Hidden
	r.length, r.tap = 0, tap
	r.caches[layer] = cache{capacity: tokens}
	r.turn(tokens)
	err := r.layer(ctx, layer, x, tokens)
	r.tap, r.caches[layer] = nil, cache{capacity: r.reach(layer) + batchTokens}
	if errors.Is(err, errTapped) {
		return nil
	}
	return err
}

// Weights returns the weights that the reference computes with.
func (r *Reference) Weights() model.Weights { return r.weights }
