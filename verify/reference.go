package verify

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// batchTokens is how many tokens pass through a layer together: each weight row is decoded once
// for all of them. headFloats bounds the logits that are held at a time.
const (
	batchTokens = 512
	headFloats  = 8 << 20
)

// ReferenceOptions say how a Reference computes.
type ReferenceOptions struct {
	// KVFloat16 rounds keys (after RoPE) and values to float16, as a GPU cache stores them.
	KVFloat16 bool
	// Threads is how many goroutines share the work; 0: one for each CPU.
	Threads int
	// MaxSeqLen is the context: a token sees itself and the MaxSeqLen−1 tokens before it, and
	// rotations that depend on the length of the context take this one. 0: Spec.MaxPositions.
	MaxSeqLen int
}

// Reference runs a model on the CPU in float32, slowly and obviously. A sum is taken in the same
// order however many tokens are fed at a time, so that cutting a prompt changes no bit of its
// logits. It is not safe for concurrent use.
type Reference struct {
	spec    *model.Spec
	weights model.Weights
	options ReferenceOptions

	index      map[key]int          // tensors by role and layer
	small      map[key][]float32    // norms and biases, decoded
	overflowed atomic.Int32         // 1 + the first layer with a key or value that float16 cannot hold; 0: none
	peaks      peaks                // of keys and values, ever
	ropes      []rotation           // one for each Spec.RoPE
	turns      []turns              // for each of them, of the tokens that are fed
	caches     []cache              // one for each layer
	inputs     [][]float32          // of each layer, for the batch that is under way: [tokens][LayerInputs.Width]
	streams    [][]float32          // beside the first, for the batch that is under way: [tokens][hidden] each
	states     []*state             // of each layer with a recurrence, others nil
	fresh      []*state             // … behind the batch that is under way
	kept       []*state             // … at position keptAt
	keptAt     int                  // −1: nowhere
	reached    int                  // how far the cache was written, also by a batch that failed: what a window overwrote there, Rewind does not restore
	length     int                  // tokens in the KV cache, also those that fell out of it
	trace      func(int, []float32) // nil if nobody looks
}

var (
	_ Forwarder = (*Reference)(nil)
	_ Tracer    = (*Reference)(nil)
)

type key struct {
	role  model.Role
	layer int
}

// NewReference prepares a reference for the weights, which must stay open as long as it is used.
func NewReference(w model.Weights, o ReferenceOptions) (*Reference, error) {
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
	r := &Reference{
		spec: spec, weights: w, options: o,
		index: map[key]int{}, small: map[key][]float32{}, peaks: make(peaks, len(spec.Layers)),
	}
	if err := r.loadSmall(); err != nil {
		return nil, err
	}
	for i := range spec.RoPE {
		r.ropes = append(r.ropes, newRotation(&spec.RoPE[i], o.MaxSeqLen))
	}
	r.turns = make([]turns, len(r.ropes))
	r.Reset()
	return r, nil
}

// rowByRow are the roles whose rows are decoded when they are needed, although they are not quantized.
var rowByRow = []model.Role{model.RolePositions, model.RoleRouter, model.RoleSharedRouter, model.RoleExpertIn, model.RoleExpertOut, model.RoleWrite, model.RoleDecay, model.RoleStreamRouter, model.RoleStreamPredict, model.RoleStreamCorrect}

// loadSmall indexes the tensors and decodes the vectors among them.
func (r *Reference) loadSmall() error {
	for i, t := range r.weights.Tensors() {
		k := key{t.Role, t.Layer}
		r.index[k] = i
		if t.Quantizable() || slices.Contains(rowByRow, t.Role) {
			continue
		}
		v := make([]float32, t.Rows()*t.Cols())
		if err := r.weights.Rows(i, 0, t.Rows(), v); err != nil {
			return err
		}
		r.small[k] = v
	}
	for _, t := range r.spec.Tensors() {
		if _, ok := r.index[key{t.Role, t.Layer}]; !ok {
			return fmt.Errorf("the weights have no tensor %s of layer %d", t.Role, t.Layer)
		}
	}
	return nil
}

// VocabSize reports how many logits a token has.
func (r *Reference) VocabSize() int { return r.spec.Vocab }

// SetTrace implements Tracer.
func (r *Reference) SetTrace(f func(layer int, hidden []float32)) { r.trace = f }

// Position reports how many tokens have been fed since the last Reset.
func (r *Reference) Position() int { return r.length }

// Room reports how many more tokens fit into the context.
func (r *Reference) Room() int {
	most := r.options.MaxSeqLen
	if n := r.spec.Most(); n > 0 {
		most = min(most, n)
	}
	return max(0, most-r.length)
}

// CanRewind reports whether the caches still hold all that a token at the given position may see: layers with a window
// forget what is before it, and recurrences have only their current state and the one that Keep has stored.
func (r *Reference) CanRewind(position int) bool {
	if position == 0 { // whose token sees none before it
		return true
	}
	if position < 0 || position > r.length || !r.spec.CanReturn(position, r.length, r.keptAt) {
		return false
	}
	for i := range r.caches {
		if !r.spec.Layer(i).Attends() {
			continue
		}
		if first := max(0, position-r.reach(i)+1); first+r.caches[i].capacity < r.reached {
			return false
		}
	}
	return true
}

// Rewind makes the next token the one at the given position, for which CanRewind must be true.
func (r *Reference) Rewind(position int) error {
	if !r.CanRewind(position) {
		return fmt.Errorf("position %d: %d tokens were fed, and the caches do not reach back so far", position, r.length)
	}
	switch {
	case position == r.length:
	case position == 0:
		r.clearStates()
	case position == r.keptAt:
		copy(r.states, r.kept)
	}
	if r.keptAt > position {
		r.keptAt = -1
	}
	if r.length = position; position == 0 {
		r.reached = 0
	}
	return nil
}

// Recurrent reports whether there are layers with recurrences.
func (r *Reference) Recurrent() bool { return r.spec.Recurrent() }

// Keep stores the states of this position, so that Rewind can come back to it whatever is fed afterwards. It replaces
// the position that was kept before.
func (r *Reference) Keep() error {
	r.keptAt = r.length
	copy(r.kept, r.states)
	return nil
}

// Reset forgets the sequence.
func (r *Reference) Reset() {
	r.length, r.reached, r.keptAt = 0, 0, -1
	r.overflowed.Store(0)
	n := len(r.spec.Layers)
	r.caches, r.states, r.fresh, r.kept = make([]cache, n), make([]*state, n), make([]*state, n), make([]*state, n)
	r.clearStates()
	for i := range r.caches {
		r.caches[i].capacity = r.reach(i) + batchTokens
	}
}

// clearStates makes all states those of the first position.
func (r *Reference) clearStates() {
	for i := range r.states {
		if m := &r.spec.Layer(i).Recurrence; m.Taps > 0 {
			r.states[i] = newState(m)
		}
	}
}

// Forward implements Forwarder. After an error the KV cache is as it was before the batch that
// failed.
func (r *Reference) Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error {
	for start := 0; start < len(tokens); start += batchTokens {
		batch := tokens[start:min(start+batchTokens, len(tokens))]
		x, err := r.embed(batch)
		if err != nil {
			return err
		}
		if err := r.layerInputs(ctx, batch, x); err != nil {
			return err
		}
		if err := r.openStreams(ctx, x, len(batch)); err != nil {
			return err
		}
		r.reached = max(r.reached, r.length+len(batch))
		if err := r.layers(ctx, x, len(batch)); err != nil {
			return err
		}
		skip := min(max(from-start, 0), len(batch))
		err = r.head(ctx, x, skip, len(batch), func(i int, logits []float32) error {
			return each(start+i, logits)
		})
		if err != nil {
			return err
		}
		r.length += len(batch)
		copy(r.states, r.fresh)
	}
	return nil
}

// embed returns the residual stream [tokens][hidden] before the first layer.
func (r *Reference) embed(tokens []int32) ([]float32, error) {
	h := r.spec.Hidden
	x := make([]float32, len(tokens)*h)
	position := make([]float32, h)
	for t, token := range tokens {
		row := x[t*h : (t+1)*h]
		if token < 0 || int(token) >= r.spec.Vocab {
			return nil, fmt.Errorf("token %d is not in the vocabulary of %d", token, r.spec.Vocab)
		}
		if err := r.rows(model.RoleEmbed, model.NoLayer, int(token), 1, row); err != nil {
			return nil, err
		}
		for i := range row {
			row[i] *= r.spec.EmbedScale
		}
		p := r.length + t
		if most := r.spec.Most(); most > 0 && p >= most {
			return nil, fmt.Errorf("position %d: the model has %d positions", p, most)
		}
		if r.spec.Positions == 0 {
			continue
		}
		if err := r.rows(model.RolePositions, model.NoLayer, p, 1, position); err != nil {
			return nil, err
		}
		add(row, position, 1)
	}
	if r.spec.EmbedNorm {
		r.norm(x, model.RoleEmbedNorm, model.RoleEmbedNormBias, model.NoLayer)
	}
	r.show(0, x)
	return x, nil
}

// layers passes x [tokens][hidden] through all layers.
func (r *Reference) layers(ctx context.Context, x []float32, tokens int) error {
	r.turn(tokens)
	for i := range r.spec.Layers {
		if err := r.layer(ctx, i, x, tokens); err != nil {
			return err
		}
		r.show(i+1, x)
	}
	return nil
}

// layer passes x [tokens][hidden] through layer i.
func (r *Reference) layer(ctx context.Context, i int, x []float32, tokens int) error {
	y := r.spec.Layer(i)
	mlpInput, before := x, []float32(nil)
	if y.Parallel {
		mlpInput = append([]float32(nil), x...)
	}
	if r.streams != nil {
		if err := r.predict(ctx, i, x, tokens); err != nil {
			return fmt.Errorf("layer %d: residual streams: %w", i, err)
		}
		before = slices.Clone(x)
	}
	if y.Mixes() {
		if err := r.mix(ctx, i, x, tokens); err != nil {
			return fmt.Errorf("layer %d: attention: %w", i, err)
		}
	}
	if !y.Feeds() {
		return nil
	}
	m, err := r.mlp(ctx, i, mlpInput, tokens)
	if err != nil {
		return fmt.Errorf("layer %d: mlp: %w", i, err)
	}
	if y.PostNorm {
		r.norm(m, model.RolePostMLPNorm, "", i)
	}
	add(x, m, y.ResidualScale)
	if r.streams != nil {
		if err := r.correct(ctx, i, x, before, tokens); err != nil {
			return fmt.Errorf("layer %d: residual streams: %w", i, err)
		}
	}
	if y.TakesInput {
		if err := r.takeInput(ctx, i, x, tokens); err != nil {
			return fmt.Errorf("layer %d: its input: %w", i, err)
		}
	}
	if y.OutScale {
		scale(x, r.small[key{model.RoleOutScale, i}][0])
	}
	if r.streams != nil && i == len(r.spec.Layers)-1 {
		return r.closeStreams(ctx, x, tokens)
	}
	return nil
}

// mix adds what the attention and the recurrence of layer i make of x [tokens][hidden].
func (r *Reference) mix(ctx context.Context, i int, x []float32, tokens int) error {
	y := r.spec.Layer(i)
	a := make([]float32, len(x))
	if y.Attends() {
		made, err := r.attention(ctx, i, x, tokens)
		if err != nil {
			return err
		}
		add(a, made, 1)
	}
	if y.Recurrence.Taps > 0 {
		made, err := r.recurrence(ctx, i, x, tokens)
		if err != nil {
			return err
		}
		add(a, made, 1)
	}
	var normed []float32
	if y.Shortcut > 0 {
		normed = slices.Clone(x)
		r.norm(normed, model.RoleAttnNorm, model.RoleAttnNormBias, i)
	}
	if y.PostNorm {
		r.norm(a, model.RolePostAttnNorm, "", i)
	}
	add(x, a, y.ResidualScale)
	if y.Shortcut > 0 {
		return r.shortcut(ctx, i, x, normed, tokens)
	}
	return nil
}

// head hands out the logits of tokens first to tokens−1 of x [tokens][hidden].
func (r *Reference) head(ctx context.Context, x []float32, first, tokens int, each func(int, []float32) error) error {
	if first == tokens && r.trace == nil {
		return nil
	}
	r.norm(x, model.RoleFinalNorm, model.RoleFinalNormBias, model.NoLayer)
	r.show(len(r.spec.Layers)+1, x)
	role := model.RoleHead
	if r.spec.TiedHead {
		role = model.RoleEmbed
	}
	h, vocab := r.spec.Hidden, r.spec.Vocab
	step := max(1, headFloats/vocab)
	for ; first < tokens; first += step {
		n := min(step, tokens-first)
		logits, err := r.multiply(ctx, role, model.NoLayer, x[first*h:(first+n)*h], n, vocab)
		if err != nil {
			return fmt.Errorf("head: %w", err)
		}
		r.bias(logits, model.RoleHeadBias, model.NoLayer)
		for t := range n {
			row := logits[t*vocab : (t+1)*vocab]
			for i, v := range row {
				row[i] = softcap(v*r.spec.LogitScale, r.spec.LogitSoftcap)
			}
			if err := each(first+t, row); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Reference) show(layer int, x []float32) {
	if r.trace != nil {
		r.trace(layer, x)
	}
}

// rows reads rows of the tensor with the role.
func (r *Reference) rows(role model.Role, layer, row0, n int, dst []float32) error {
	return r.weights.Rows(r.index[key{role, layer}], row0, n, dst)
}
