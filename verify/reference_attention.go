package verify

import (
	"context"
	"math"
	"slices"

	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// cache holds the keys and values of one layer, [positions][KVHeads·HeadDim] each, or the values of another width. It grows up to
// capacity positions; from then on position p replaces p−capacity.
type cache struct {
	capacity     int
	keys, values []float32
}

func (c *cache) put(p int, k, v []float32) {
	if slot := p % c.capacity; slot*len(k) < len(c.keys) {
		copy(c.keys[slot*len(k):], k)
		copy(c.values[slot*len(v):], v)
		return
	}
	c.keys = append(c.keys, k...)
	c.values = append(c.values, v...)
}

// rotation is a RoPE for the context in use.
type rotation struct {
	freq        []float32
	scale       float32
	interleaved bool
}

func newRotation(r *model.RoPE, context int) rotation {
	freq, scale := r.For(context)
	return rotation{freq, scale, r.Interleaved}
}

// turns are the rotations of successive positions: cos and sin, times the scale, [positions][pairs].
type turns struct{ cos, sin []float32 }

// turn prepares the rotations of the next tokens. An angle is rounded to float32, as models were trained.
func (r *Reference) turn(tokens int) {
	for i := range r.ropes {
		rope, t := &r.ropes[i], &r.turns[i]
		t.cos, t.sin = t.cos[:0], t.sin[:0]
		for p := range tokens {
			for _, f := range rope.freq {
				sin, cos := math.Sincos(float64(float32(r.length+p) * f))
				t.cos, t.sin = append(t.cos, float32(cos)*rope.scale), append(t.sin, float32(sin)*rope.scale)
			}
		}
	}
}

// rotate rotates the head x of the token that is fed as number t.
func (r *Reference) rotate(rope int, x []float32, t int) {
	n := len(r.ropes[rope].freq)
	cos, sin := r.turns[rope].cos[t*n:][:n], r.turns[rope].sin[t*n:][:n]
	for j := range n {
		a, b := j, j+n
		if r.ropes[rope].interleaved {
			a, b = 2*j, 2*j+1
		}
		x[a], x[b] = x[a]*cos[j]-x[b]*sin[j], x[b]*cos[j]+x[a]*sin[j]
	}
}

// reach reports how many positions a token of the layer can see at most, itself included.
func (r *Reference) reach(layer int) int {
	return r.spec.Layer(layer).Attention.Reach(r.options.MaxSeqLen)
}

// oldest returns the first position that the one at p sees.
func (r *Reference) oldest(a *model.Attention, p int) int { return a.Oldest(p, r.options.MaxSeqLen) }

// attention returns the output [tokens][hidden] of a layer's attention for the residual stream x,
// and stores keys and values.
func (r *Reference) attention(ctx context.Context, layer int, x []float32, tokens int) ([]float32, error) {
	y := r.spec.Layer(layer)
	a := &y.Attention
	if y.PreNorm {
		x = append([]float32(nil), x...)
		r.norm(x, model.RoleAttnNorm, model.RoleAttnNormBias, layer)
	}
	project := r.project
	if a.KVRank > 0 {
		project = r.projectLatent
	}
	q, k, v, err := project(ctx, layer, x, tokens)
	if err != nil {
		return nil, err
	}
	kn, vn := a.KVHeads*a.HeadDim, a.KVHeads*a.ValueWidth()
	if !a.SharedKV {
		for t := range tokens {
			r.caches[layer].put(r.length+t, k[t*kn:(t+1)*kn], v[t*vn:(t+1)*vn])
		}
	}
	out := make([]float32, tokens*a.Heads*a.ValueWidth())
	if err := r.attendEach(ctx, layer, q, out, tokens); err != nil {
		return nil, err
	}
	if a.Gated {
		if err := r.gateRead(ctx, layer, x, out, tokens); err != nil {
			return nil, err
		}
	}
	o, err := r.multiply(ctx, model.RoleO, layer, out, tokens, r.spec.Hidden)
	r.bias(o, model.RoleOBias, layer)
	return o, err
}

// gateRead multiplies what heads have read by the sigmoid of out_gate·x.
func (r *Reference) gateRead(ctx context.Context, layer int, x, read []float32, tokens int) error {
	gate, err := r.multiply(ctx, model.RoleOutGate, layer, x, tokens, len(read)/tokens)
	if err != nil {
		return err
	}
	r.bias(gate, model.RoleOutGateBias, layer)
	for i, v := range gate {
		read[i] *= sigmoid(v)
	}
	return nil
}

// project returns queries [tokens][Heads·HeadDim], keys and values [tokens][KVHeads·HeadDim], normalized and rotated, as
// the cache stores them.
func (r *Reference) project(ctx context.Context, layer int, x []float32, tokens int) (q, k, v []float32, err error) {
	a := &r.spec.Layer(layer).Attention
	for _, p := range []struct {
		to           *[]float32
		weight, bias model.Role
		rows         int
	}{
		{&q, model.RoleQ, model.RoleQBias, a.Heads * a.HeadDim},
		{&k, model.RoleK, model.RoleKBias, a.KVHeads * a.HeadDim},
		{&v, model.RoleV, model.RoleVBias, a.KVHeads * a.HeadDim},
	} {
		if a.SharedKV && p.weight != model.RoleQ {
			continue
		}
		if p.weight == model.RoleV && a.KeyValues {
			v = slices.Clone(k)
			continue
		}
		*p.to, err = r.multiply(ctx, p.weight, layer, x, tokens, p.rows)
		if err != nil {
			return nil, nil, nil, err
		}
		r.bias(*p.to, p.bias, layer)
	}
	qn, kn := a.Heads*a.HeadDim, a.KVHeads*a.HeadDim
	for t := range tokens {
		r.prepareQuery(layer, a, q[t*qn:(t+1)*qn], r.length+t)
		if !a.SharedKV {
			r.prepareKey(layer, a, k[t*kn:(t+1)*kn], v[t*kn:(t+1)*kn], r.length+t)
		}
	}
	return q, k, v, nil
}

// prepareQuery normalizes, rotates and tempers the heads q at position p.
func (r *Reference) prepareQuery(layer int, a *model.Attention, q []float32, p int) {
	r.normAndRotate(layer, a, model.RoleQNorm, q, p)
	if a.TemperatureFloor > 0 {
		counted := p + 1
		if a.TemperatureFromZero {
			counted = p
		}
		steps := math.Floor(float64(counted) / float64(a.TemperatureFloor))
		scale := 1 + a.TemperatureScale*float32(math.Log1p(steps))
		for i := range q {
			q[i] *= scale
		}
	}
}

// prepareKey normalizes and rotates the heads k at position p, and rounds k and v as the cache
// stores them.
func (r *Reference) prepareKey(layer int, a *model.Attention, k, v []float32, p int) {
	r.normAndRotate(layer, a, model.RoleKNorm, k, p)
	if a.ValueNorm {
		for at := 0; at < len(v); at += a.HeadDim {
			r.normRow(v[at:at+a.HeadDim], nil, nil)
		}
	}
	if a.Clip > 0 {
		clip(v, a.Clip)
	}
	r.store(layer, k)
	r.store(layer, v)
}

// store rounds x as the cache does, and remembers if float16 cannot hold it.
func (r *Reference) store(layer int, x []float32) {
	r.peaks.note(layer, x)
	if !r.options.KVFloat16 || r.spec.KVBits(layer, 16) == 32 {
		return
	}
	roundFloat16(x)
	if hasInf(x) {
		r.overflowed.CompareAndSwap(0, int32(layer)+1)
	}
}

func (r *Reference) normAndRotate(layer int, a *model.Attention, role model.Role, x []float32, p int) {
	switch a.QKNorm {
	case model.QKNormHead, model.QKNormProjection:
		r.norm(x, role, "", layer)
	case model.QKNormHeads:
		weights := r.small[key{role, layer}]
		for at := 0; at < len(x); at += a.HeadDim {
			r.normRow(x[at:at+a.HeadDim], weights[at:at+a.HeadDim], nil)
		}
	}
	if a.Clip > 0 {
		clip(x, a.Clip)
	}
	for ; len(x) > 0; x = x[a.HeadDim:] {
		head := x[:a.HeadDim]
		if a.RoPE >= 0 {
			r.rotate(a.RoPE, head, p-r.length)
		}
		switch a.QKNorm {
		case model.QKNormUnweighted:
			r.normRow(head, nil, nil)
		case model.QKNormRotated:
			r.norm(head, role, "", layer)
		}
	}
}

// clip bounds the elements of x by ±c.
func clip(x []float32, c float32) {
	for i, v := range x {
		x[i] = min(max(v, -c), c)
	}
}

func roundFloat16(x []float32) {
	for i, v := range x {
		x[i] = float16.Fromfloat32(v).Float32()
	}
}

// attendEach sets out [tokens][Heads·ValueWidth] to what the queries q of tokens read.
func (r *Reference) attendEach(ctx context.Context, layer int, q, out []float32, tokens int) error {
	a := &r.spec.Layer(layer).Attention
	qn, vn := a.Heads*a.HeadDim, a.Heads*a.ValueWidth()
	return r.parallel(ctx, tokens, func() func(int) error {
		return func(t int) error {
			r.attend(layer, a, q[t*qn:(t+1)*qn], out[t*vn:(t+1)*vn], r.length+t)
			return nil
		}
	})
}

// attend sets out [Heads·ValueWidth] to what the queries q at position p read.
func (r *Reference) attend(layer int, a *model.Attention, q, out []float32, p int) {
	c := &r.caches[r.spec.KVLayer(layer)]
	d, width := a.HeadDim, a.KVHeads*a.HeadDim
	vd, vWidth := a.ValueWidth(), a.KVHeads*a.ValueWidth()
	sinks := r.small[key{model.RoleSinks, layer}]
	first := r.oldest(a, p)
	weights := make([]float32, p-first+1)
	for h := range a.Heads {
		kv := h / (a.Heads / a.KVHeads)
		query, read := q[h*d:(h+1)*d], out[h*vd:(h+1)*vd]
		for i := range weights {
			k := c.keys[(first+i)%c.capacity*width+kv*d:][:d]
			weights[i] = softcap(dot(k, query)*a.Scale, a.Softcap)
		}
		distanced(a, weights, h)
		withSink(softmax, weights, sinks, h)
		for i, w := range weights {
			add(read, c.values[(first+i)%c.capacity*vWidth+kv*vd:][:vd], w)
		}
	}
}

// distanced takes from the scores x of head h what their distance from the last one's position costs.
func distanced(a *model.Attention, x []float32, h int) {
	if a.ALiBi == 0 {
		return
	}
	slope := a.Slope(h)
	for i := range x {
		x[i] -= slope * float32(len(x)-1-i)
	}
}

// withSink turns scores x into probabilities by softmax, together with the sink of head h, if there are sinks. What that
// one gets is read from nothing.
func withSink(softmax func([]float32), x, sinks []float32, h int) {
	if sinks == nil {
		softmax(x)
		return
	}
	all := append(slices.Clip(x), sinks[h])
	softmax(all)
	copy(x, all)
}

// softmax turns x into probabilities.
func softmax(x []float32) {
	most := x[0]
	for _, v := range x {
		most = max(most, v)
	}
	sum := 0.0
	for i, v := range x {
		e := math.Exp(float64(v - most))
		x[i] = float32(e)
		sum += e
	}
	for i, v := range x {
		x[i] = float32(float64(v) / sum)
	}
}
