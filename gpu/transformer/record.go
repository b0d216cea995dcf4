package transformer

import (
	"fmt"
	"maps"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// recorder writes down the dispatches of a pass of n tokens.
type recorder struct {
	t      *Transformer
	n      int
	p      *gpu.Program
	splits int  // parts of the cached positions that attention of few tokens is cut into
	next   cost // of the dispatch that comes next
	err    error

	ahead ahead // what the product that came last has prepared in activations.ahead

	// Calibration records a part of a layer: from a place on, whose vectors are given, and up to the
	// product whose inputs are added up.
	begin place
	gram  *gram
	done  bool // nothing more is recorded
}

// ahead are the vectors of the residual stream times the weights of a norm, with sums of their squares
// behind: all that a product needs to normalize what it reads.
type ahead struct {
	norm    *vector // nil: nothing is prepared
	squares int     // sums for each token
}

// dispatch records one kernel. Bind groups are made once and shared by all programs.
func (r *recorder) dispatch(kernel string, c kernels.Consts, x, y int, ranges ...gpu.Range) {
	if r.err != nil || r.done || r.begin != atInput {
		return
	}
	k, err := r.t.specialize(kernel, c)
	if err != nil {
		r.err = err
		return
	}
	if r.t.collect != nil {
		r.t.collect(k)
		return
	}
	p, err := r.t.dev.Pipeline(k)
	if err != nil {
		r.err = err
		return
	}
	g, err := r.t.group(p, ranges)
	if err != nil {
		r.err = err
		return
	}
	r.p.Dispatch(p, g, uint32(x), uint32(y), 1)
	r.t.costs[r.p] = append(r.t.costs[r.p], r.next)
	r.next, r.err = cost{}, r.p.Err()
}

// specialize returns a kernel in the form that suits the device: a CPU takes longer to compile unrolled loops
// than it gains by them.
func specialize(dev *gpu.Device, name string, c kernels.Consts) (kernels.Kernel, error) {
	k, err := kernels.Specialize(name, c)
	if err != nil || dev.OnCPU() {
		return k, err
	}
	return k.Unrolled()
}

// specialize does what the function of this name does, once for each kernel: layers repeat them.
func (t *Transformer) specialize(name string, c kernels.Consts) (kernels.Kernel, error) {
	key := c.Key(name)
	if k, ok := t.specialized[key]; ok {
		return k, nil
	}
	k, err := specialize(t.dev, name, c)
	if err != nil {
		return k, err
	}
	if t.specialized == nil {
		t.specialized = map[string]kernels.Kernel{}
	}
	t.specialized[key] = k
	return k, nil
}

// group returns the bind group of a pipeline and ranges.
func (t *Transformer) group(p *gpu.Pipeline, ranges []gpu.Range) (*gpu.BindGroup, error) {
	var key strings.Builder
	key.WriteString(p.Key())
	for _, g := range ranges {
		fmt.Fprintf(&key, "%s%d:%d", groupName(g.Buffer), g.Offset, g.Size)
	}
	if g := t.groups[key.String()]; g != nil {
		return g, nil
	}
	g, err := t.dev.BindGroup(p, ranges...)
	if err != nil {
		return nil, err
	}
	t.groups[key.String()] = g
	return g, nil
}

// groupName is how the keys of bind groups name a buffer.
func groupName(b *gpu.Buffer) string { return fmt.Sprintf(" %p+", b) }

// body returns the programs of a pass of n tokens, the embedding, then each layer, at a context of the
// given length.
func (t *Transformer) body(n, context int) ([]*gpu.Program, error) {
	key := bodyKey{n, t.splits(n, context)}
	if ps := t.bodies[key]; ps != nil {
		return ps, nil
	}
	r := recorder{t: t, n: n, splits: key.splits}
	var ps []*gpu.Program
	next := func() {
		r.p = new(gpu.Program)
		ps = append(ps, r.p)
	}
	next()
	r.embed()
	for i := range t.spec.Layers {
		next()
		r.layer(i)
	}
	if r.err != nil {
		return nil, r.err
	}
	t.bodies[key] = ps
	t.squares[n] = r.ahead.squares
	return ps, nil
}

func (r *recorder) embed() {
	t := r.t
	r.lookUp(t.w.embed, kernels.Consts{"SCALE": t.spec.EmbedScale})
	if t.w.positions != nil {
		r.lookUp(t.w.positions, kernels.Consts{"FIELD": 1, "ADD": 1})
	}
}

func (r *recorder) lookUp(m *matrix, more kernels.Consts) {
	t := r.t
	for _, p := range m.parts {
		c := p.consts()
		maps.Copy(c, more)
		maps.Copy(c, kernels.Consts{"COLS": p.cols(m.width), "WIDTH": m.width, "ROW0": p.row0, "OUT": p.rows, "X_STRIDE": t.act.hidden})
		r.dispatch("embed", c, r.n, (p.cols(m.width)+255)/256, whole(p.codes), whole(p.heads), whole(t.rows), whole(t.act.x))
	}
}

func (r *recorder) layer(i int) {
	a, w, y := &r.t.act, &r.t.w.layers[i], r.t.spec.Layer(i)
	x := vectors{buffer: a.x, stride: a.hidden}
	in := r.normed(x, w.attnNorm, w.attnNormBias, a.normed, true)
	var mlpIn vectors
	afterAttn := w.mlpNorm
	if y.Parallel {
		afterAttn = nil
		mlpIn = r.normed(x, w.mlpNorm, w.mlpNormBias, a.mlpIn, false)
	}
	r.branch(w.postAttnNorm, y, afterAttn, func(out vectors, e epilogue) { r.attention(i, in, out, e) })
	r.reach(afterAttention)
	if !y.Parallel {
		mlpIn = r.normed(x, w.mlpNorm, w.mlpNormBias, a.mlpIn, w.router == nil)
	}
	r.branch(w.postMLPNorm, y, r.t.w.normAfter(i), func(out vectors, e epilogue) { r.mlp(w, &y.MLP, mlpIn, out, e) })
}

// normed returns x normalized, if there is a norm: by a pass of its own, or as the product before has
// prepared it, if only one product reads it.
func (r *recorder) normed(x vectors, w, bias *vector, to *gpu.Buffer, alone bool) vectors {
	if w == nil {
		return x
	}
	if alone && bias == nil && r.ahead.norm == w {
		return r.t.prepared(r.ahead.squares)
	}
	r.norm(x.buffer, to, w, bias, nil)
	return vectors{buffer: to, stride: x.stride}
}

// place is where in a layer recording begins.
type place int

const (
	atInput        place = iota
	afterHeads           // the outputs of attention's heads are there
	afterAttention       // what attention adds to the residual stream is there
)

// reach begins to record, if this is the place.
func (r *recorder) reach(p place) {
	if r.begin == p {
		r.begin = atInput
	}
}

// branch records a branch and its way back into the residual stream: added to it at once, or
// normalized before. next is the norm that comes after, if any.
func (r *recorder) branch(post *vector, y *model.Layer, next *vector, record func(out vectors, e epilogue)) {
	a := &r.t.act
	r.ahead = ahead{}
	if post == nil {
		if r.t.spec.Norm.Kind != model.RMSNorm || r.gram != nil || r.n > matvecTokens {
			next = nil
		}
		record(vectors{buffer: a.x, stride: a.hidden}, epilogue{add: true, scale: y.ResidualScale, next: next})
		return
	}
	record(vectors{buffer: a.branch, stride: a.hidden}, epilogue{scale: 1})
	r.norm(a.branch, a.x, post, nil, kernels.Consts{"ADD": 1, "SCALE": y.ResidualScale})
}

// norm records y = norm(x), both [n][hidden].
func (r *recorder) norm(x, y *gpu.Buffer, w, b *vector, more kernels.Consts) {
	t := r.t
	c := t.normConsts(b)
	maps.Copy(c, more)
	r.dispatch("norm", c, r.n, 1, whole(x), whole(w.buffer), t.bias(b), whole(y), t.stepAt(0))
}

func (t *Transformer) normConsts(bias *vector) kernels.Consts {
	s, lanes := t.spec, 128
	if s.Hidden >= 2048 && !t.dev.OnCPU() {
		lanes = 256 // for each to read few elements one after the other
	}
	return kernels.Consts{
		"LANES": lanes, "WIDTH": s.Hidden, "X_STRIDE": t.act.hidden, "Y_STRIDE": t.act.hidden, "EPS": s.Norm.Eps,
		"CENTER": flag(s.Norm.Kind == model.LayerNorm), "BIAS": flag(bias != nil),
	}
}

func (t *Transformer) bias(b *vector) gpu.Range {
	if b == nil {
		return whole(t.none)
	}
	return whole(b.buffer)
}

func (t *Transformer) stepAt(offset uint64) gpu.Range {
	return gpu.Range{Buffer: t.step, Offset: offset, Size: 16}
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

// matvecTokens is the most tokens that matvec takes; more are matmul's.
const matvecTokens = 8

// vectors are the activations of tokens: [tokens][stride] float32.
type vectors struct {
	buffer *gpu.Buffer
	stride int
	// squares is how many sums of squares lie behind each vector, if it is still to be divided by their
	// root mean square; it is multiplied with the norm's weights already.
	squares int
}

// epilogue is what becomes of a product v: v·scale, then softcap unless 0, then added or stored.
type epilogue struct {
	add            bool
	scale, softcap float32
	gate           *gate   // unless nil, the function between paired rows
	next           *vector // unless nil, the norm that reads the result: it is to be prepared
}

// linear records y = W·x for the n tokens of the pass.
func (r *recorder) linear(m *matrix, bias *vector, x, y vectors, e epilogue) {
	r.product(m, bias, x, y, e, r.t.stepAt(0))
}

func (r *recorder) product(m *matrix, bias *vector, x, y vectors, e epilogue, step gpu.Range) {
	if r.gram.ends(r, m) {
		r.gram.record(r, x)
		return
	}
	for _, p := range m.parts {
		if r.err != nil {
			return
		}
		sizes, err := r.t.shape(shape{
			cols: p.cols(p.width), rows: p.rows, xStride: x.stride, yStride: y.stride, y0: p.row0, bias: bias != nil, epilogue: e,
			width: p.width, eps: r.t.spec.Norm.Eps, squares: x.squares, nextStride: r.t.act.aheadStride,
		})
		r.err = err
		r.next = cost{p.bytes(), 2 * uint64(p.rows) * uint64(p.width) * uint64(r.n)}
		c := p.consts()
		if r.n <= matvecTokens {
			r.matvec(p, c, bias, x, y, e, sizes, len(m.parts) == 1)
			continue
		}
		tile := r.t.tuned("matmul", p, r.n, c, r.t.tileFor(r.n))
		r.dispatch("matmul", c, (p.rows+tile["TILE_ROWS"]-1)/tile["TILE_ROWS"], (r.n+tile["TILE_TOKENS"]-1)/tile["TILE_TOKENS"],
			whole(p.codes), whole(p.heads), whole(x.buffer), r.t.bias(bias), whole(y.buffer), sizes, step)
	}
}

// matvec records the product of a part with few vectors.
func (r *recorder) matvec(p *part, c kernels.Consts, bias *vector, x, y vectors, e epilogue, sizes gpu.Range, entire bool) {
	t := r.t
	maps.Copy(c, kernels.Consts{"TOKENS": powerOfTwo(r.n), "NORM": flag(x.squares > 0), "GATED": flag(e.gate != nil)})
	if e.gate != nil {
		c["SLOPE"], c["CUBIC"] = e.gate.slope, e.gate.cubic
	}
	kernel := t.opts.Kernels.matvec(p.scheme)
	if kernel == "matvec" {
		kernel = kernelFor(t.dev.OnCPU() && !t.opts.batch, r.n)
	}
	rows := r.tunedVectors(kernel, p, c)
	groups := (p.rows + rows - 1) / rows
	next := t.sink
	if e.next != nil && entire && r.begin == atInput {
		c["NEXT"], next = 1, t.act.ahead
		r.ahead = ahead{e.next, groups}
	}
	gx, gy := grid(groups)
	r.dispatch(kernel, c, int(gx), int(gy),
		whole(p.codes), whole(p.heads), whole(x.buffer), t.bias(e.next), t.bias(bias), whole(y.buffer), whole(next), sizes)
}

// kernelFor names the kernel that multiplies n vectors. A CPU has no use for inputs that threads share.
func kernelFor(cpu bool, n int) string {
	switch {
	case n > matvecTokens:
		return "matmul"
	case n > 2 && !cpu: // fewer gain less by it than it takes
		return "matvec_batch"
	}
	return "matvec"
}

// tunedVectors adds to c the constants of matvec, matvec_batch or what stands in for matvec, and returns how many
// rows a workgroup makes.
func (r *recorder) tunedVectors(kernel string, p *part, c kernels.Consts) int {
	if kernel == "matvec_batch" {
		with := r.t.tuned(kernel, p, r.n, c, r.batchDefaults(p))
		return with["ROWS"] * with["LANES"] / with["ALONG"]
	}
	rows := r.t.tuned("matvec", p, r.n, c, r.matvecDefaults(p))["ROWS"]
	if kernel != "matvec" {
		standsIn(kernel, c)
	}
	return rows
}

// batchDefaults are the constants of matvec_batch where nothing better is known: for many rows, threads that
// read inputs for four; for few, threads enough for a large GPU to be busy.
func (r *recorder) batchDefaults(p *part) Tuned {
	with := Tuned{"ROWS": 4, "ALONG": 8, "LANES": 128, "STEP": 4}
	roomy := r.t.dev.Limits().MaxWorkgroupBytes >= 32<<10 // more than every GPU has
	switch {
	case p.rows > 2*fullRows && roomy:
		with["LANES"] = 256
	case p.rows <= 2*fullRows:
		with["ROWS"], with["STEP"] = 2, 2
		if p.rows <= fullRows && p.bits >= 4 && roomy {
			with["ALONG"] = 16
		}
	}
	return with
}

// normAfter returns the norm that reads the residual stream after a layer.
func (w *weights) normAfter(layer int) *vector {
	if layer+1 < len(w.layers) {
		return w.layers[layer+1].attnNorm
	}
	return w.final
}

// prepared returns the vectors that a product has prepared for the norm after it.
func (t *Transformer) prepared(squares int) vectors {
	return vectors{buffer: t.act.ahead, stride: t.act.aheadStride, squares: squares}
}

// matmulTile is what a workgroup of matmul makes, and each of its threads.
var matmulTile = Tuned{"TILE_ROWS": 64, "TILE_TOKENS": 64, "ROWS": 8, "TOKENS": 8, "DEPTH": 4}

// tileFor returns the tile for n tokens. A GPU computes those past the last one in passing, a CPU does not.
func (t *Transformer) tileFor(n int) Tuned {
	if !t.dev.OnCPU() {
		return matmulTile
	}
	tile := maps.Clone(matmulTile)
	tile["TILE_TOKENS"] = max(16, min(tile["TILE_TOKENS"], powerOfTwo(n)))
	return tile
}

// matvecDefaults are the constants of matvec for the tokens of this pass where nothing better is known.
func (r *recorder) matvecDefaults(p *part) Tuned {
	tokens, vectors := powerOfTwo(r.n), powerOfTwo(p.codeBytes(p.width)/16)
	rows, lanes := 4, min(64, vectors) // no more threads share a row than it has vectors
	switch {
	case r.t.dev.OnCPU(): // which runs idle threads as well
		return Tuned{"ROWS": rows, "LANES": max(8, rows*tokens, lanes), "STEP": min(8, 32/p.bits)}
	case tokens > 1: // as few threads as make the outputs, for registers to be many
		lanes = 32
	case p.rows <= fullRows: // more threads a row, for all of a large GPU to be busy
		rows, lanes = 2, min(128, 64*fullRows/max(p.rows, 1), vectors)
	case p.rows > 16*fullRows: // few, for inputs to be read less often
		rows = 8
	}
	return Tuned{"ROWS": rows, "LANES": max(32, rows*tokens, powerOfTwo(lanes)), "STEP": min(8, 32/p.bits)}
}

// fullRows is about how many rows keep a large GPU busy with four rows a workgroup.
const fullRows = 4096

// powerOfTwo returns the least one that is at least n.
func powerOfTwo(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// attention records the attention of a layer.
func (r *recorder) attention(i int, in, out vectors, e epilogue) {
	t, a, w, at, kv := r.t, &r.t.act, &r.t.w.layers[i], &r.t.spec.Layer(i).Attention, &r.t.kv[i]
	r.linear(w.qkv, w.qkvBias, in, vectors{buffer: a.qkv, stride: a.qkvWidth}, epilogue{scale: 1})

	heads := a.of(at.Heads * at.HeadDim)
	angles, rot, interleaved := t.none, 0, false
	if at.RoPE >= 0 {
		rope := &t.spec.RoPE[at.RoPE]
		angles, rot, interleaved = t.angles[at.RoPE], rope.Dim, rope.Interleaved
	}
	weight := t.none
	if w.qkNorm != nil {
		weight = w.qkNorm.buffer
	}
	c := t.headConsts(at, kv)
	maps.Copy(c, kernels.Consts{
		"ROT": rot, "INTERLEAVED": flag(interleaved), "X_STRIDE": a.qkvWidth, "NORM": qkNorms[at.QKNorm], "EPS": t.spec.Norm.Eps,
		"SCALE": at.Scale, "TEMP_FLOOR": at.TemperatureFloor, "TEMP_SCALE": at.TemperatureScale,
	})
	r.dispatch("rope", c, at.Heads+2*at.KVHeads, r.n,
		whole(t.rows), whole(a.qkv), whole(angles), whole(weight), whole(a.q), whole(kv.k), whole(kv.v))

	r.attend(at, kv, heads)
	r.reach(afterHeads)
	r.linear(w.o, w.oBias, heads, out, e)
}

// headConsts returns what the kernels of attention are told of its heads and its cache.
func (t *Transformer) headConsts(at *model.Attention, kv *cache) kernels.Consts {
	return kernels.Consts{
		"HEADS": at.Heads, "KV_HEADS": at.KVHeads, "DIM": at.HeadDim, "Q_STRIDE": t.act.qWidth, "CAP": kv.cap, "KV_BITS": t.opts.KVBits,
	}
}

// qkNorms are what rope.wgsl calls these.
var qkNorms = map[model.QKNorm]int{model.QKNormNone: 0, model.QKNormHead: 1, model.QKNormProjection: 2, model.QKNormUnweighted: 3}

// head returns the program that makes the logits of n tokens, from step's row of the residual
// stream on. Of the first rows, the norm may be prepared.
func (t *Transformer) head(from, n int) (*gpu.Program, error) {
	squares := 0
	if from == 0 && n <= matvecTokens {
		squares = t.leaves
	}
	if p := t.heads[headKey{n, squares}]; p != nil {
		return p, nil
	}
	r := recorder{t: t, n: n, p: new(gpu.Program)}
	in := vectors{buffer: t.act.final, stride: t.act.hidden}
	if squares > 0 && t.w.finalBias == nil {
		in = t.prepared(squares)
	} else {
		r.finalNorm()
	}
	r.product(t.w.head, t.w.headBias, in, vectors{buffer: t.act.logits, stride: t.spec.Vocab},
		epilogue{scale: t.spec.LogitScale, softcap: t.spec.LogitSoftcap}, t.stepAt(headStep))
	if r.err != nil {
		return nil, r.err
	}
	t.heads[headKey{n, squares}] = r.p
	return r.p, nil
}

// headKey names a program of head.
type headKey struct {
	n       int
	squares int // the input is prepared with so many sums of squares, if not 0
}

// headStep is where the head's (n, from) lies in the step buffer.
const headStep = 256

func (r *recorder) finalNorm() {
	t := r.t
	r.dispatch("norm", t.normConsts(t.w.finalBias), r.n, 1,
		whole(t.act.x), whole(t.w.final.buffer), t.bias(t.w.finalBias), whole(t.act.final), t.stepAt(headStep))
}
