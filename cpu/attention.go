package cpu

import (
	"context"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

const (
	// queryTokens is how many queries of a head are taken at a time: their scores stay in the second-level cache.
	queryTokens = 8 * simd.TileTokens
	// sharedTokens is from how many tokens on what is done for each is shared with other goroutines.
	sharedTokens = 16
)

// attend returns the output [tokens][hidden] of a layer's attention and recurrence, for the residual stream x, the first
// token of which is at position from, and stores keys and values.
func (e *Engine) attend(ctx context.Context, i int, r *room, c *cache, x []float32, from int, tap tap) ([]float32, error) {
	y, h := &e.layers[i], e.spec.Hidden
	tokens := len(x) / h
	a := &y.Attention
	if y.attnNorm != nil {
		normed := r.rows(tokens, h)
		e.normalize(y.attnNorm, normed, x, tokens)
		x = normed
	}
	var heads []float32
	var err error
	switch {
	case !y.Attends():
		heads, err = e.recur(ctx, i, r, c.state, x, tap)
	case a.KVRank > 0:
		heads, err = e.readLatent(ctx, i, r, c, x, from, tap)
	default:
		heads, err = e.readHeads(ctx, i, r, c, x, from, tap)
	}
	if err != nil {
		return nil, err
	}
	if tap.stops(model.RoleO, heads) {
		return nil, errTapped
	}
	out := r.rows(tokens, h)
	if err := e.product(ctx, r, heads, tokens, part{matrix: y.o, rows: h, y: out, bias: y.oBias}); err != nil || !y.Twofold() {
		return out, err
	}
	return out, e.recurBeside(ctx, i, r, c.state, x, out, tap)
}

// recurBeside adds to out [tokens][hidden] what a recurrence beside attention makes of the normalized stream x.
func (e *Engine) recurBeside(ctx context.Context, i int, r *room, s *state, x, out []float32, tap tap) error {
	y, h := &e.layers[i], e.spec.Hidden
	heads, err := e.recur(ctx, i, r, s, x, nil)
	if err != nil {
		return err
	}
	if tap.stops(model.RoleStateO, heads) {
		return errTapped
	}
	made := r.rows(len(x)/h, h)
	err = e.product(ctx, r, heads, len(x)/h, part{matrix: y.recurrence.o, rows: h, y: made})
	simd.Add(out, made, 1)
	return err
}

// readHeads returns the outputs [tokens][Heads·HeadDim] of the heads for the normalized stream x, and stores keys and
// values.
func (e *Engine) readHeads(ctx context.Context, i int, r *room, c *cache, x []float32, from int, tap tap) ([]float32, error) {
	y := &e.layers[i]
	a, tokens := &y.Attention, len(x)/e.spec.Hidden
	if tap.stops(model.RoleQ, x) {
		return nil, errTapped
	}
	qn, kn := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	if a.SharedKV {
		kn = 0
	}
	q, k, v := r.rows(tokens, qn), r.rows(tokens, kn), r.rows(tokens, kn)
	parts := [3]part{
		{matrix: y.q, rows: qn, y: q, bias: y.qBias},
		{matrix: y.k, rows: kn, y: k, bias: y.kBias},
		{matrix: y.v, rows: kn, y: v, bias: y.vBias},
	}
	n := len(parts)
	switch {
	case a.SharedKV:
		n = 1
	case a.KeyValues:
		n--
	}
	if err := e.product(ctx, r, x, tokens, parts[:n]...); err != nil {
		return nil, err
	}
	if a.KeyValues {
		copy(v, k)
	}
	e.enter(i, c, q, k, v, tokens, from)
	heads := r.rows(tokens, qn)
	e.read(y, c, q, heads, tokens, from)
	if a.Gated {
		return heads, e.gateRead(ctx, y, r, x, heads, tokens)
	}
	return heads, nil
}

// entries is the task of preparing queries and keys, and storing keys and values.
type entries struct {
	e            *Engine
	layer, from  int
	cache        *cache
	q, k, v      []float32
	norm         *norm // if it is set, the task is to normalize x into y instead
	y, x         []float32
	tokens, each int // that one piece takes
}

func (e *Engine) enter(layer int, c *cache, q, k, v []float32, tokens, from int) {
	w := &e.work.entries
	w.norm, w.layer, w.from, w.cache, w.q, w.k, w.v = nil, layer, from, c, q, k, v
	w.run(tokens)
}

// normalize sets every row of y to that of x, normalized; y may be x.
func (e *Engine) normalize(n *norm, y, x []float32, tokens int) {
	w := &e.work.entries
	w.norm, w.y, w.x = n, y, x
	w.run(tokens)
}

func (w *entries) run(tokens int) {
	w.tokens, w.each = tokens, sharedTokens/2
	threads := w.e.options.Threads
	if tokens < sharedTokens {
		threads, w.each = 1, tokens
	}
	if tokens > 0 {
		everybody.run(threads, (tokens+w.each-1)/w.each, w)
	}
}

// do implements task.
func (w *entries) do(_, i int) {
	for t := i * w.each; t < min(w.tokens, (i+1)*w.each); t++ {
		if w.norm != nil {
			n := len(w.norm.weight)
			w.e.normRow(w.norm, w.y[t*n:(t+1)*n], w.x[t*n:(t+1)*n])
			continue
		}
		w.one(t)
	}
}

// one prepares and stores a token.
func (w *entries) one(t int) {
	y := &w.e.layers[w.layer]
	a, p := &y.Attention, w.from+t
	qn := a.Heads * a.HeadDim
	q := w.q[t*qn : (t+1)*qn]
	w.e.normAndRotate(a, y.qNorm, q, p)
	simd.Scale(q, scaleAt(a, p))
	if a.SharedKV {
		return
	}
	kn := a.KVHeads * a.HeadDim
	k, v := w.k[t*kn:(t+1)*kn], w.v[t*kn:(t+1)*kn]
	w.e.normAndRotate(a, y.kNorm, k, p)
	if y.vNorm != nil {
		for at := 0; at < kn; at += a.HeadDim {
			w.e.normRow(y.vNorm, v[at:at+a.HeadDim], v[at:at+a.HeadDim])
		}
	}
	clip(v, a.Clip)
	w.e.watch(w.layer, k)
	w.e.watch(w.layer, v)
	if w.e.options.KVFloat16 && w.e.spec.KVBits(w.layer, 16) == 16 {
		if beyondFloat16(k) || beyondFloat16(v) {
			w.e.overflowed.note(w.layer)
		}
		simd.RoundFloat16(k)
		simd.RoundFloat16(v)
	}
	w.cache.put(p, k, v)
}

// scaleAt is what queries at position p are multiplied by.
func scaleAt(a *model.Attention, p int) float32 {
	if a.TemperatureFloor == 0 {
		return a.Scale
	}
	if !a.TemperatureFromZero {
		p++
	}
	steps := math.Floor(float64(p) / float64(a.TemperatureFloor))
	return a.Scale * (1 + a.TemperatureScale*float32(math.Log1p(steps)))
}

// beyondFloat16 reports whether a number becomes infinite in float16.
func beyondFloat16(x []float32) bool {
	const least = block.MaxFloat16 + 16 // half a step more
	for _, v := range x {
		if v >= least || v <= -least {
			return true
		}
	}
	return false
}

// normAndRotate normalizes and rotates the heads x at position p.
func (e *Engine) normAndRotate(a *model.Attention, n *norm, x []float32, p int) {
	after := a.QKNorm == model.QKNormUnweighted || a.QKNorm == model.QKNormRotated
	switch {
	case n == nil || after:
	case a.QKNorm == model.QKNormHeads:
		for at := 0; at < len(x); at += a.HeadDim {
			head := x[at : at+a.HeadDim]
			e.normRow(&norm{n.weight[at:][:a.HeadDim], n.bias[at:][:a.HeadDim]}, head, head)
		}
	default:
		for at := 0; at < len(x); at += len(n.weight) {
			row := x[at : at+len(n.weight)]
			e.normRow(n, row, row)
		}
	}
	clip(x, a.Clip)
	for at := 0; at < len(x); at += a.HeadDim {
		head := x[at : at+a.HeadDim]
		if a.RoPE >= 0 {
			e.ropes[a.RoPE].rotate(head, p)
		}
		if n != nil && after {
			e.normRow(n, head, head)
		}
	}
}

// clip bounds the elements of x by ±c, unless c is 0.
func clip(x []float32, c float32) {
	if c == 0 {
		return
	}
	for i, v := range x {
		x[i] = min(max(v, -c), c)
	}
}

// attention is the task of reading what queries see.
type attention struct {
	e            *Engine
	a            *model.Attention // as model.Attention.Core describes it
	sinks        []float32        // [Heads], or nil
	cache        *cache
	q, out       []float32 // [tokens][Heads·HeadDim], [tokens][Heads·ValueWidth]
	tokens, from int
	tiles        int // of queries
}

// read sets out [tokens][Heads·ValueWidth] to what the queries q read, which are scaled.
func (e *Engine) read(y *layer, c *cache, q, out []float32, tokens, from int) {
	w, a := &e.work.attention, &y.core
	w.a, w.sinks, w.cache, w.q, w.out, w.tokens, w.from = a, y.sinks, c, q, out, tokens, from
	w.tiles = (tokens + queryTokens - 1) / queryTokens
	threads := e.options.Threads
	if seen := from + tokens - e.oldest(a, from); 4*seen*tokens*a.Heads*a.HeadDim < sharedWork {
		threads = 1
	}
	everybody.run(threads, a.Heads*w.tiles, w)
}

// do implements task: a tile of queries of one head.
func (w *attention) do(helper, i int) {
	s := &w.e.work.scratch[helper]
	h, t := i/w.tiles, i%w.tiles*queryTokens
	n := min(queryTokens, w.tokens-t)
	if w.tokens <= vectorTokens {
		for k := range n {
			w.one(s, h, t+k)
		}
		return
	}
	w.tile(s, h, t, n)
}

// span is where the cache has successive positions: two runs of slots, the second of which may be empty.
type span struct{ slot, first, second int }

func (c *cache) span(position, n int) span {
	slot := position % c.capacity
	first := min(n, c.capacity-slot)
	return span{slot, first, n - first}
}

// one reads for the query of head h of token t.
func (w *attention) one(s *scratch, h, t int) {
	a, c, p := w.a, w.cache, w.from+t
	d, vd, kv := a.HeadDim, a.ValueWidth(), h/(a.Heads/a.KVHeads)
	low := w.e.oldest(a, p)
	n := p + 1 - low
	at := c.span(low, n)
	query, out := w.q[t*a.Heads*d+h*d:][:d], w.out[t*a.Heads*vd+h*vd:][:vd]
	s.scores = grown(s.scores, n+2*simd.Lane)
	scores := s.scores[:n+2*simd.Lane]
	simd.Dots(scores[:at.first], c.keysOf(kv, at.slot, 0).Data, c.dim, query)
	simd.Dots(scores[at.first:n], c.keysOf(kv, 0, 0).Data, c.dim, query)
	w.soften(scores, 0, n, h)
	clear(scores[n:])
	simd.Dots(out, c.valuesOf(kv, at.slot, 0).Data, c.stride, scores[:w.whole(at.first, at.second == 0)])
	if at.second > 0 {
		s.values = grown(s.values, vd)
		simd.Dots(s.values[:vd], c.valuesOf(kv, 0, 0).Data, c.stride, scores[at.first:][:simd.Pad(at.second, simd.Lane)])
		simd.Add(out, s.values[:vd], 1)
	}
}

// whole returns n, rounded up to whole lanes where what follows is weighted by 0.
func (w *attention) whole(n int, last bool) int {
	if last {
		return simd.Pad(n, simd.Lane)
	}
	return n
}

// soften turns the scores from begin to before end into weights, together with the sink of head h, if there are sinks:
// what that one gets is read from nothing. It uses the element behind the scores.
func (w *attention) soften(scores []float32, begin, end, h int) {
	if c := w.a.Softcap; c != 0 {
		for i, v := range scores[begin:end] {
			scores[begin+i] = softcap(v, c)
		}
	}
	if w.a.ALiBi != 0 {
		slope := w.a.Slope(h)
		for i := begin; i < end; i++ {
			scores[i] -= slope * float32(end-1-i)
		}
	}
	if w.sinks == nil {
		simd.Softmax(scores[begin:end])
		return
	}
	scores[end] = w.sinks[h]
	simd.Softmax(scores[begin : end+1])
}

// tile reads for the queries of head h of n tokens from number t on.
func (w *attention) tile(s *scratch, h, t, n int) {
	a, c, from := w.a, w.cache, w.from+t
	d, width, kv := a.HeadDim, a.Heads*a.HeadDim, h/(a.Heads/a.KVHeads)
	low := w.e.oldest(a, from)
	seen := from + n - low // positions that some query of the tile sees
	at := c.span(low, seen)
	queries := simd.Matrix{Rows: n, Cols: c.dim, Stride: c.dim}
	s.queries = grown(s.queries, queryTokens*c.dim)
	queries.Data = s.queries
	for i := range n {
		row := queries.Data[i*c.dim:][:c.dim]
		clear(row[copy(row, w.q[(t+i)*width+h*d:][:d]):])
	}
	stride := simd.Pad(seen, simd.Lane) + simd.Lane
	s.scores = grown(s.scores, queryTokens*stride)
	scores := s.scores[:queryTokens*stride]
	simd.Product(scores, stride, queries, c.keysOf(kv, at.slot, at.first), false)
	if at.second > 0 {
		simd.Product(scores[at.first:], stride, queries, c.keysOf(kv, 0, at.second), false)
	}
	for i := range n {
		row := scores[i*stride:][:stride]
		begin, end := w.e.oldest(a, from+i)-low, from+i+1-low
		w.soften(row, begin, end, h)
		clear(row[:begin])
		clear(row[end:])
	}
	vd := a.ValueWidth()
	out := w.out[t*a.Heads*vd+h*vd:]
	width = a.Heads * vd
	weights := simd.Matrix{Data: scores, Rows: n, Cols: at.first, Stride: stride}
	if at.second == 0 {
		simd.Product(out, width, weights, c.valuesOf(kv, at.slot, at.first), false)
		return
	}
	// The first run ends with the slots, behind which there are zeros; so does what the second run is multiplied by.
	simd.Product(out, width, weights, c.valuesOf(kv, at.slot, at.first), false)
	weights.Data, weights.Cols = scores[at.first:], at.second
	simd.Product(out, width, weights, c.valuesOf(kv, 0, at.second), true)
}
