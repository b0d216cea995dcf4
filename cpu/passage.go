package cpu

import (
	"context"
	"errors"
	"iter"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Embed returns the residual stream [tokens][hidden] of a sequence before the first layer of a model, of which nothing
// else is loaded.
func Embed(w model.Weights, tokens []int32) ([]float32, error) {
	e := &Engine{spec: w.Spec(), weights: w}
	e.work.scratch = make([]scratch, 1)
	find := tensorsOf(e)
	if find.entrance(); find.err != nil {
		return nil, find.err
	}
	return e.Embed(tokens)
}

// Embed returns the residual stream [tokens][hidden] of a sequence before the first layer.
func (e *Engine) Embed(tokens []int32) ([]float32, error) {
	x := make([]float32, len(tokens)*e.spec.Hidden)
	return x, e.embedTokens(x, tokens, 0)
}

// Layer passes the residual stream x [tokens][hidden] of a whole sequence through one layer, in place.
func (e *Engine) Layer(ctx context.Context, layer int, x []float32) error {
	return e.whole(ctx, layer, x, nil)
}

// whole passes a whole sequence through a layer, with memory of its own.
func (e *Engine) whole(ctx context.Context, layer int, x []float32, tap tap) error {
	tokens := len(x) / e.spec.Hidden
	e.turn(0, tokens)
	c := newCache(e.spec.Layer(layer), tokens)
	return e.runLayer(ctx, layer, &room{}, &c, x, 0, tap)
}

// Logits hands out the logits of the tokens from first on of x [tokens][hidden], the residual stream behind the layers,
// which it overwrites.
func (e *Engine) Logits(ctx context.Context, x []float32, first int, each func(i int, logits []float32) error) error {
	return e.readout(ctx, &room{}, x, first, len(x)/e.spec.Hidden, 0, each)
}

// A Passage is a sequence on its way through one layer. It stops before the matrices, once for those that share their
// inputs. Several may be under way in one Engine, as long as only one of them moves at a time.
type Passage struct {
	Role   model.Role // of the first matrix that comes next; "": the layer is done
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
// is done, x is what the layer has made of it; before, it is what the next branch is added to. The passage is to be
// closed.
func (e *Engine) Enter(ctx context.Context, layer int, x []float32) (*Passage, error) {
	p := &Passage{}
	p.next, p.end = iter.Pull(func(yield func(stop) bool) {
		p.err = e.whole(ctx, layer, x, func(role model.Role, inputs []float32) bool {
			more := yield(stop{role, inputs})
			e.turn(0, len(x)/e.spec.Hidden) // another sequence may have been longer
			return !more
		})
		if errors.Is(p.err, errTapped) {
			p.err = nil
		}
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
