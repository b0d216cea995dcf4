package cpu

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

const (
	// batchTokens is how many tokens pass through a layer together: each row of weights is decoded once for all of
	// them.
	batchTokens = 512
	// headFloats bounds the logits that are held at a time.
	headFloats = 8 << 20
)

// Options say how an Engine computes.
type Options struct {
	// KVFloat16 rounds keys (after RoPE) and values to float16, as a GPU cache stores them.
	KVFloat16 bool
	// WatchKV notes the layers with keys or values beyond block.SafeKV, see Engine.LargeKV.
	WatchKV bool
	// Threads is how many goroutines share the work; 0: one for each CPU.
	Threads int
	// MaxSeqLen is the context: a token sees itself and the MaxSeqLen−1 tokens before it, and rotations that depend
	// on the length of the context take this one. 0: Spec.MaxPositions.
	MaxSeqLen int
}

// Engine runs one sequence of tokens. Sums depend, by rounding, on how a prompt is cut. It is not safe for concurrent
// use, but several Engines may run at once.
type Engine struct {
	spec    *model.Spec
	weights model.Weights
	options Options

	layers          []layer
	embed           *matrix
	positions, head *matrix // positions: nil if none are learned
	finalNorm       *norm
	embedNorm       *norm // nil if there is none

	layerEmbed, layerProject *matrix // of what layers are given of each token, nil if they are given nothing
	layerNorm                *norm
	streamIn, streamOut      *matrix // of the other residual streams, nil if there is one

	headBias []float32

	ropes   []rotation
	caches  []cache // one for each layer; empty where it reads another's
	length  int     // tokens in the caches, also those that fell out of them
	reached int     // how far the caches were written since they were empty: what a window overwrote there, going back does not restore
	kept    int     // where the states of recurrences were kept; −1: nowhere
	floor   int     // no position between 0 and this one can be returned to: a shift has lost what tokens there see

	batch      int   // tokens that pass through a layer together
	room       *room // for their activations
	stream     []float32
	inputs     []float32   // of the batch that is under way: [layers][tokens][LayerInputs.Width]
	streams    [][]float32 // residual streams beside the first, of the batch that is under way, with room for a whole one
	logits     []float32
	work       worker // what runs on several cores
	routing    routing
	overflowed overflow
	large      []atomic.Bool        // by layer, if Options.WatchKV: keys or values beyond block.SafeKV have come
	trace      func(int, []float32) // nil if nobody looks
}

// New prepares an engine for the weights, which must stay open as long as it is used.
func New(w model.Weights, o Options) (*Engine, error) {
	spec := w.Spec()
	if err := spec.Validate(); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.MaxSeqLen <= 0 {
		o.MaxSeqLen = spec.MaxPositions
	}
	if o.MaxSeqLen <= 0 {
		return nil, fmt.Errorf("the model does not say its context: MaxSeqLen must be set")
	}
	e := &Engine{spec: spec, weights: w, options: o, batch: min(batchTokens, o.MaxSeqLen), kept: -1}
	if err := e.load(); err != nil {
		return nil, err
	}
	for i := range spec.RoPE {
		e.ropes = append(e.ropes, newRotation(&spec.RoPE[i], o.MaxSeqLen))
	}
	if o.WatchKV {
		e.large = make([]atomic.Bool, len(spec.Layers))
	}
	e.work.init(e)
	return e, nil
}

// Weights returns the weights that the engine computes with.
func (e *Engine) Weights() model.Weights { return e.weights }

// VocabSize reports how many logits a token has.
func (e *Engine) VocabSize() int { return e.spec.Vocab }

// SetTrace makes Forward call f with the residual stream [tokens][hidden]: after the embedding (layer 0), after each
// layer (1 to N) and after the final norm (N+1). The slice is reused. A nil f ends it.
func (e *Engine) SetTrace(f func(layer int, hidden []float32)) { e.trace = f }

// Position reports how many tokens have been fed since the last Reset.
func (e *Engine) Position() int { return e.length }

// Room reports how many more tokens can be fed so that they all see each other: those of the context.
func (e *Engine) Room() int {
	most := e.options.MaxSeqLen
	if n := e.spec.Most(); n > 0 {
		most = min(most, n)
	}
	return max(0, most-e.length)
}

// CanRewind reports whether the caches still hold all that a token at the given position may see: those of layers with
// a window forget what lies behind it, and states of recurrences are those of now, unless they were kept.
func (e *Engine) CanRewind(position int) bool {
	if position == 0 { // whose token sees none before it
		return true
	}
	if position < e.floor || position > e.length || !e.spec.CanReturn(position, e.length, e.kept) {
		return false
	}
	for i := range e.spec.Layers {
		if !e.spec.Layer(i).Attends() {
			continue
		}
		reach := e.reach(i)
		if first := max(0, position-reach+1); first+reach+e.batch < e.Reached() {
			return false
		}
	}
	return true
}

// Rewind makes the next token one at the given position, of which CanRewind says that it may be.
func (e *Engine) Rewind(position int) error {
	if !e.CanRewind(position) {
		return fmt.Errorf("position %d: %d tokens were fed, and the caches do not reach back so far", position, e.length)
	}
	for i := range e.caches {
		e.caches[i].forget(position, e.length)
		if s := e.caches[i].state; s != nil && position == e.kept && position != e.length {
			s.now.copy(s.kept)
		}
	}
	e.reached = e.Reached()
	if e.length = position; e.kept > position {
		e.kept = -1
	}
	if position == 0 {
		e.reached, e.floor = 0, 0
	}
	return nil
}

// Reached reports how many tokens the sequence has had at most since it was empty, those of a batch that failed included.
func (e *Engine) Reached() int { return max(e.length, e.reached) }

// Recurrent reports whether layers remember by states.
func (e *Engine) Recurrent() bool { return e.spec.Recurrent() }

// Keep makes this position one that Rewind can come back to, whatever is fed then. It takes the place of the position
// that was kept before.
func (e *Engine) Keep() error {
	e.prepare()
	for i := range e.caches {
		if s := e.caches[i].state; s != nil {
			s.kept.copy(s.now)
		}
	}
	e.kept = e.length
	return nil
}

// Reset forgets the sequence.
func (e *Engine) Reset() {
	for i := range e.caches {
		e.caches[i].forget(0, e.length)
	}
	e.length, e.kept, e.reached, e.floor = 0, -1, 0, 0
	e.overflowed.reset()
}

// KVOverflow returns the first layer with a key or value that float16 cannot hold, of what was fed since the last
// Reset; −1 if there is none.
func (e *Engine) KVOverflow(context.Context) (int, error) { return e.overflowed.layer(), nil }

// LargeKV returns the layers, in order, that have had keys or values beyond block.SafeKV since the engine was made, if
// Options.WatchKV is set.
func (e *Engine) LargeKV() []int {
	var layers []int
	for i := range e.large {
		if e.large[i].Load() {
			layers = append(layers, i)
		}
	}
	return layers
}

// watch notes large keys or values of a layer.
func (e *Engine) watch(layer int, x []float32) {
	if e.large != nil && !e.large[layer].Load() && slices.ContainsFunc(x, func(v float32) bool { return max(v, -v) > block.SafeKV }) {
		e.large[layer].Store(true)
	}
}

// Forward feeds tokens and calls each with the logits [VocabSize] of tokens[i] for every i ≥ from, in order. The slice
// is reused. After an error the KV cache is as it was before the batch that failed.
func (e *Engine) Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error {
	return e.forward(ctx, tokens, from, func(x []float32, first, n, start int) error {
		return e.readout(ctx, e.room, x, first, n, start, each)
	})
}

// Hidden is Forward for what the head multiplies: the hidden states [Hidden] after the final norm.
func (e *Engine) Hidden(ctx context.Context, tokens []int32, from int, each func(i int, hidden []float32) error) error {
	h := e.spec.Hidden
	return e.forward(ctx, tokens, from, func(x []float32, first, n, start int) error {
		e.normalize(e.finalNorm, x, x, n)
		for i := first; i < n; i++ {
			if err := each(start+i, x[i*h:(i+1)*h]); err != nil {
				return err
			}
		}
		return nil
	})
}

// forward feeds tokens, and calls finish with the residual stream x of n tokens at a time, of which tokens[start] is the
// first; x[first] is the first of them that is asked for.
func (e *Engine) forward(ctx context.Context, tokens []int32, from int, finish func(x []float32, first, n, start int) error) error {
	e.prepare()
	for start := 0; start < len(tokens); start += e.batch {
		batch := tokens[start:min(start+e.batch, len(tokens))]
		e.reached = max(e.reached, e.length+len(batch))
		x, err := e.run(ctx, batch)
		if err == nil {
			err = finish(x, min(max(from-start, 0), len(batch)), len(batch), start)
		}
		if err != nil {
			return err
		}
		e.length += len(batch)
		for i := range e.caches {
			if s := e.caches[i].state; s != nil {
				s.now, s.next = s.next, s.now
			}
		}
	}
	return nil
}

// run computes the layers for a batch, and returns the residual stream [tokens][Hidden].
func (e *Engine) run(ctx context.Context, tokens []int32) ([]float32, error) {
	x := e.stream[:len(tokens)*e.spec.Hidden]
	if err := e.embedTokens(x, tokens, e.length); err != nil {
		return nil, err
	}
	e.show(0, x)
	e.turn(e.length, len(tokens))
	if e.spec.LayerInputs.Width > 0 {
		e.room.reset()
		if err := e.layerInputs(ctx, e.room, tokens, x, 0, len(e.layers), e.inputs); err != nil {
			return nil, err
		}
	}
	e.room.reset()
	for i, s := range e.streams {
		e.streams[i] = s[:len(x)]
	}
	if err := e.openStreams(ctx, e.room, x, e.streams); err != nil {
		return nil, err
	}
	for i := range e.layers {
		e.room.reset()
		b := beside{&e.caches[e.spec.KVLayer(i)], e.ofBatch(i, len(tokens)), e.streams}
		if err := e.runLayer(ctx, i, e.room, b, x, e.length, nil); err != nil {
			return nil, err
		}
		e.show(i+1, x)
	}
	e.room.reset()
	return x, nil
}

// prepare allocates what Forward needs, once: calibration, which runs single layers, does without.
func (e *Engine) prepare() {
	if e.caches != nil {
		return
	}
	e.caches = make([]cache, len(e.spec.Layers))
	for i := range e.caches {
		e.caches[i] = newCache(e.spec.Layer(i), e.reach(i)+e.batch)
	}
	e.room = newRoom(e.plan(e.batch))
	e.stream = make([]float32, e.batch*e.spec.Hidden)
	for range max(0, e.spec.Streams.Count-1) {
		e.streams = append(e.streams, make([]float32, len(e.stream)))
	}
	e.inputs = make([]float32, e.batch*len(e.spec.Layers)*e.spec.LayerInputs.Width)
}

// embedTokens sets x [tokens][hidden] to the residual stream before the first layer, the first token being at a
// position.
func (e *Engine) embedTokens(x []float32, tokens []int32, position int) error {
	h := e.spec.Hidden
	for t, token := range tokens {
		row := x[t*h : (t+1)*h]
		if token < 0 || int(token) >= e.spec.Vocab {
			return fmt.Errorf("token %d is not in the vocabulary of %d", token, e.spec.Vocab)
		}
		if err := e.weights.Rows(e.embed.index, int(token), 1, row); err != nil {
			return err
		}
		for i := range row {
			row[i] *= e.spec.EmbedScale
		}
		p := position + t
		if most := e.spec.Most(); most > 0 && p >= most {
			return fmt.Errorf("position %d: the model has %d positions", p, most)
		}
		if e.positions == nil {
			continue
		}
		learned := e.work.row(h)
		if err := e.weights.Rows(e.positions.index, p, 1, learned); err != nil {
			return err
		}
		for i, v := range learned {
			row[i] += v
		}
	}
	if e.embedNorm != nil {
		for t := range tokens {
			row := x[t*h : (t+1)*h]
			e.normRow(e.embedNorm, row, row)
		}
	}
	return nil
}

func (e *Engine) show(layer int, x []float32) {
	if e.trace != nil {
		e.trace(layer, x)
	}
}
