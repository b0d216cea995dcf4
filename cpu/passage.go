package cpu

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Embed returns the residual stream [tokens][hidden] of a sequence before the first layer of a model, of which nothing
// else is loaded.
func Embed(w model.Weights, tokens []int32) ([]float32, error) {
	e, err := entrance(w)
	if err != nil {
		return nil, err
	}
	return e.Embed(tokens)
}

// LayerInput is Engine.LayerInput of a model of which nothing else is loaded.
func LayerInput(ctx context.Context, w model.Weights, layer int, tokens []int32) ([]float32, error) {
	e, err := entrance(w)
	if err != nil {
		return nil, err
	}
	return e.LayerInput(ctx, layer, tokens)
}

// entrance returns an engine with nothing but what comes before the layers of a model.
func entrance(w model.Weights) (*Engine, error) {
	e := &Engine{spec: w.Spec(), weights: w, options: Options{Threads: runtime.GOMAXPROCS(0)}}
	e.work.init(e)
	find := tensorsOf(e)
	find.entrance()
	return e, find.err
}

// Embed returns the residual stream [tokens][hidden] of a sequence before the first layer.
func (e *Engine) Embed(tokens []int32) ([]float32, error) {
	x := make([]float32, len(tokens)*e.spec.Hidden)
	return x, e.embedTokens(x, tokens, 0)
}

// Text is a whole sequence that passes through one layer after the other: what layers read of it beside the residual stream.
type Text struct {
	tokens []int32
	caches map[int]*cache // keys and values of layers that later ones read

	streams [][]float32 // residual streams beside the first, before the next layer
}

// NewText prepares a sequence for the first layer.
func NewText(tokens []int32) *Text { return &Text{tokens: tokens, caches: map[int]*cache{}} }

// Clone returns the sequence where it is, to pass through further layers by itself.
func (t *Text) Clone() *Text {
	c := &Text{tokens: t.tokens, caches: maps.Clone(t.caches)}
	for _, s := range t.streams {
		c.streams = append(c.streams, slices.Clone(s))
	}
	return c
}

// Layer passes the residual stream x [tokens][hidden] of a text through one layer, in place.
func (e *Engine) Layer(ctx context.Context, layer int, text *Text, x []float32) error {
	return e.whole(ctx, layer, text, x, nil)
}

// whole passes a text through a layer, with memory of its own.
func (e *Engine) whole(ctx context.Context, layer int, text *Text, x []float32, tap tap) error {
	tokens := len(x) / e.spec.Hidden
	e.turn(0, tokens)
	own := newCache(e.spec.Layer(layer), tokens)
	c := &own
	if from := e.spec.KVLayer(layer); from != layer {
		if c = text.caches[from]; c == nil {
			return fmt.Errorf("layer %d: the text has not passed layer %d, whose keys and values it reads", layer, from)
		}
	} else if e.spec.KVRead(layer) {
		text.caches[layer] = c
	}
	b := beside{cache: c}
	if e.spec.Layer(layer).TakesInput {
		var err error
		if b.input, err = e.LayerInput(ctx, layer, text.tokens[:tokens]); err != nil {
			return err
		}
	}
	if layer == 0 {
		if err := e.open(ctx, text, x); err != nil {
			return err
		}
	}
	b.streams = text.streams
	return e.runLayer(ctx, layer, &room{}, b, x, 0, tap)
}

// open makes the text's other residual streams of x, which is before the first layer.
func (e *Engine) open(ctx context.Context, text *Text, x []float32) error {
	text.streams = nil
	for range max(0, e.spec.Streams.Count-1) {
		text.streams = append(text.streams, make([]float32, len(x)))
	}
	return e.openStreams(ctx, &room{}, x, text.streams)
}

// Streams returns the residual streams of a sequence beside the first, [tokens][hidden] each, before the first layer of a
// model, of which nothing else is loaded; x is the first.
func Streams(ctx context.Context, w model.Weights, x []float32) ([][]float32, error) {
	e, err := entrance(w)
	if err != nil {
		return nil, err
	}
	text := NewText(nil)
	err = e.open(ctx, text, x)
	return text.streams, err
}

// LayerInput returns what a layer is given of the tokens of a sequence, [tokens][LayerInputs.Width].
func (e *Engine) LayerInput(ctx context.Context, layer int, tokens []int32) ([]float32, error) {
	x, err := e.Embed(tokens)
	if err != nil {
		return nil, err
	}
	given := make([]float32, len(tokens)*e.spec.LayerInputs.Width)
	return given, e.layerInputs(ctx, &room{}, tokens, x, layer, 1, given)
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

// Enter takes the residual stream x [tokens][hidden] of a text to the first stop in a layer. When the passage
// is done, x is what the layer has made of it; before, it is what the next branch is added to. The passage is to be
// closed.
func (e *Engine) Enter(ctx context.Context, layer int, text *Text, x []float32) (*Passage, error) {
	p := &Passage{}
	p.next, p.end = iter.Pull(func(yield func(stop) bool) {
		p.err = e.whole(ctx, layer, text, x, func(role model.Role, inputs []float32) bool {
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
