package verify

import (
	"context"
	"errors"
	"iter"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// errTapped ends a layer before it is done.
var errTapped = errors.New("ended by a tap")

// Embed returns the residual stream [tokens][hidden] of a sequence before the first layer.
func (r *Reference) Embed(tokens []int32) ([]float32, error) {
	r.Reset()
	return r.embed(tokens)
}

// Layer passes the residual stream x [tokens][hidden] of a whole sequence through one layer, in place, and forgets
// the KV cache.
func (r *Reference) Layer(ctx context.Context, layer int, x []float32) error {
	r.ready(layer, len(x)/r.spec.Hidden)
	err := r.layer(ctx, layer, x, len(x)/r.spec.Hidden)
	r.caches[layer] = cache{capacity: r.reach(layer) + batchTokens}
	return err
}

// Logits hands out the logits of the tokens from first on of x [tokens][hidden], the residual stream behind the layers, which
// it overwrites.
func (r *Reference) Logits(ctx context.Context, x []float32, first int, each func(i int, logits []float32) error) error {
	return r.head(ctx, x, first, len(x)/r.spec.Hidden, each)
}

// ready prepares a layer for a sequence of so many tokens.
func (r *Reference) ready(layer, tokens int) {
	r.length = 0
	r.caches[layer] = cache{capacity: tokens}
	r.turn(tokens)
}

// A Passage is a sequence on its way through one layer. It stops before the product with each matrix. Several may be
// under way in one Reference, as long as only one of them moves at a time, and the Reference is used for no other
// sequences meanwhile.
type Passage struct {
	Role   model.Role // of the matrix that comes next; "": the layer is done
	Inputs []float32  // [tokens][cols], its inputs: not to be changed, nor kept beyond Next

	next func() (stop, bool)
	end  func()
	err  error
}

type stop struct {
	role   model.Role
	inputs []float32
}

// Enter takes the residual stream x [tokens][hidden] of a whole sequence to the first stop in a layer. When the passage
// is done, x is what the layer has made of it; before, it is what the next branch is added to. The passage is to be closed.
func (r *Reference) Enter(ctx context.Context, layer int, x []float32) (*Passage, error) {
	p := &Passage{}
	p.next, p.end = iter.Pull(func(yield func(stop) bool) {
		var tap func(model.Role, []float32) bool
		tap = func(role model.Role, inputs []float32) bool {
			r.tap = nil
			more := yield(stop{role, inputs})
			if role.Input() == model.InputAttention { // another sequence may have used the cache since
				r.ready(layer, len(x)/r.spec.Hidden)
			}
			r.tap = tap
			return !more
		}
		r.tap = tap
		p.err = r.Layer(ctx, layer, x)
		r.tap = nil
	})
	return p, p.Next()
}

// Next goes on to the next stop, or to the end of the layer.
func (p *Passage) Next() error {
	s, _ := p.next()
	p.Role, p.Inputs = s.role, s.inputs
	return p.err
}

// Close ends the passage wherever it is.
func (p *Passage) Close() { p.end() }

// Weights returns the weights that the reference computes with.
func (r *Reference) Weights() model.Weights { return r.weights }
