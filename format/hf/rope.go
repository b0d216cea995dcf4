package hf

import (
	"math"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// ropeParams is one set of RoPE parameters: a rope_parameters of transformers 5, or what
// rope_theta and rope_scaling of older files say together. The arithmetic below is that of
// transformers' modeling_rope_utils.py, rounded to float32 at the same steps.
type ropeParams struct {
	*object     // rope_parameters or rope_scaling; may be empty
	theta       float32
	dim         int // rotated elements of a head
	maxPosition int
	original    int // context before it was stretched
}

// rope reads the only RoPE of a model and gives it to all layers. A family whose heads may be
// rotated in part only says so. rope returns the parameters.
func (d *draft) rope(partial bool, names map[string]string) *object {
	params := d.ropeObject()
	d.noteRivals(params)
	d.spec.RoPE = []model.RoPE{d.frequencies(params, d.float("rope_theta", 0), partial, names)}
	d.each(func(_ int, y *model.Layer) { y.Attention.RoPE = 0 })
	return params
}

// noteRivals says which of two values counts where the parameters and the configuration around them
// disagree.
func (d *draft) noteRivals(params *object) {
	for _, key := range []string{"rope_theta", "partial_rotary_factor", "original_max_position_embeddings"} {
		inner, outer := params.values[key], d.values[key]
		if inner == nil || outer == nil || inner.Kind() == 'n' || outer.Kind() == 'n' {
			continue
		}
		first, second := params.path+key, d.path+key
		if key == "original_max_position_embeddings" { // the one that is not overruled
			first, inner, second, outer = second, outer, first, inner
		}
		d.noteDifference(first, inner, second, outer)
	}
}

// onlyIn drops a key that counts in the parameters of the RoPE alone.
func (d *draft) onlyIn(params *object, key string) {
	inner, outer := params.values[key], d.values[key]
	if inner != nil && outer != nil && outer.Kind() != 'n' {
		d.noteDifference(params.path+key, inner, d.path+key, outer)
	}
	delete(d.values, key)
}

// ropeObject returns rope_scaling, unless it is empty, else rope_parameters, else an empty object.
func (d *draft) ropeObject() *object {
	scaling, params := d.object.object("rope_scaling"), d.object.object("rope_parameters")
	scaled := scaling != nil && len(scaling.values) > 0
	switch {
	case scaled && params != nil && len(params.values) > 0:
		d.note("rope_scaling and rope_parameters are both there; rope_scaling counts, as in transformers")
	case !scaled && params != nil:
		scaling = params
	case !scaled:
		return d.emptyRoPE()
	}
	for key, v := range scaling.values {
		if strings.HasSuffix(key, "attention") && v.Kind() == '{' {
			scaling.fail(key, "this family has one RoPE for all layers, not one for each kind")
		}
	}
	return scaling
}

// emptyRoPE stands for parameters that are not there.
func (d *draft) emptyRoPE() *object {
	empty := &object{path: "rope_parameters.", values: map[string]jsontext.Value{}, read: map[string]bool{}}
	d.children = append(d.children, empty)
	return empty
}

// ropeNames are the supported types, by the names that files give them. Of text, mrope rotates as the
// default does: all its positions are the token's.
var ropeNames = map[string]string{
	"mrope":   "default",
	"default": "default", "linear": "linear", "dynamic": "dynamic", "yarn": "yarn",
	"longrope": "longrope", "llama3": "llama3",
}

// frequencies computes a RoPE from its parameters. Names maps the type that the file names to the
// one that is meant.
func (d *draft) frequencies(o *object, theta float64, partial bool, names map[string]string) model.RoPE {
	a := &d.layers[0].Attention
	p := &ropeParams{object: o, maxPosition: d.spec.MaxPositions}
	p.theta = float32(o.float("rope_theta", theta))
	if !(p.theta > 0) {
		o.fail("rope_theta", "want a number above 0, have %g", p.theta)
		p.theta = 1
	}
	factor := o.float("partial_rotary_factor", d.float("partial_rotary_factor", 1))
	size := a.HeadDim
	if a.KVRank > 0 {
		size = a.SharedDim
	}
	p.dim = int(float64(size) * factor)
	switch {
	case factor != 1 && !partial:
		o.fail("partial_rotary_factor", "%g: this family rotates whole heads", factor)
	case !(factor > 0 && factor <= 1) || p.dim < 2 || p.dim%2 != 0:
		o.fail("partial_rotary_factor", "%g of a head of %d: want an even number of rotated elements", factor, size)
	}
	if o.err != nil || d.err != nil {
		return model.RoPE{}
	}
	p.original = o.int("original_max_position_embeddings", 0)
	p.original = d.int("original_max_position_embeddings", p.original)
	if p.original == 0 {
		p.original = p.maxPosition
	}
	named := o.string("rope_type", o.string("type", "default"))
	compute, ok := ropeTypes[names[named]]
	if p.original < 1 {
		o.fail("original_max_position_embeddings", "want a number above 0, have %d", p.original)
		return model.RoPE{}
	}
	if !ok {
		o.fail("rope_type", "unsupported rope type %q; supported: default, dynamic, linear, llama3, longrope, yarn", named)
		return model.RoPE{}
	}
	r := model.RoPE{Dim: p.dim, Scale: 1, InvFreq: model.Frequencies(p.theta, p.dim)}
	compute(p, &r)
	p.checkFinite(&r)
	return r
}

// ropeTypes change the frequencies of the default type in place.
var ropeTypes = map[string]func(*ropeParams, *model.RoPE){
	"default":  func(*ropeParams, *model.RoPE) {},
	"linear":   (*ropeParams).linear,
	"dynamic":  (*ropeParams).dynamic,
	"yarn":     (*ropeParams).yarn,
	"longrope": (*ropeParams).longrope,
	"llama3":   (*ropeParams).llama3,
}

// wave returns the wavelength of pair j over 2π, in positions.
func (p *ropeParams) wave(j int) float32 {
	exponent := float32(2*j) / float32(p.dim)
	return float32(math.Pow(float64(p.theta), float64(exponent)))
}

// positive reads a required number above 0; 1 stands for a wrong one.
func (p *ropeParams) positive(key string) float64 {
	if f := p.positiveFloat(key); f > 0 {
		return f
	}
	return 1
}

func (p *ropeParams) linear(r *model.RoPE) {
	factor := float32(p.positive("factor"))
	for j := range r.InvFreq {
		r.InvFreq[j] /= factor
	}
}

func (p *ropeParams) dynamic(r *model.RoPE) {
	if p.dim < 4 {
		p.fail("rope_type", "dynamic needs heads of 4 elements or more")
	}
	r.LongFrom = p.maxPosition
	r.DynamicBase = p.theta
	r.DynamicFactor = float32(p.positive("factor"))
}

func (p *ropeParams) llama3(r *model.RoPE) {
	factor := float32(p.positive("factor"))
	low, high := p.positive("low_freq_factor"), p.positive("high_freq_factor")
	context := float64(p.original)
	for j, f := range r.InvFreq {
		wavelength := float32(2*math.Pi) / f
		switch {
		case wavelength > float32(context/low):
			r.InvFreq[j] = f / factor
		case wavelength >= float32(context/high):
			smooth := (float32(context)/wavelength - float32(low)) / float32(high-low)
			r.InvFreq[j] = (1-smooth)*f/factor + smooth*f
		}
	}
}

func (p *ropeParams) yarn(r *model.RoPE) {
	factor := p.float("factor", float64(p.maxPosition)/float64(p.original))
	if !(factor > 0) {
		p.fail("factor", "want a number above 0")
		return
	}
	r.Scale = float32(p.yarnScale(factor))
	low, high := p.yarnRange()
	if low == high {
		high += 0.001
	}
	for j, f := range r.InvFreq {
		stretched := 1 / (float32(factor) * p.wave(j))
		ramp := min(max((float32(j)-float32(low))/float32(high-low), 0), 1)
		keep := 1 - ramp
		r.InvFreq[j] = stretched*(1-keep) + f*keep
	}
}

// yarnScale returns the factor of cos and sin.
func (p *ropeParams) yarnScale(factor float64) float64 {
	mscale := func(m float64) float64 {
		if factor <= 1 {
			return 1
		}
		return 0.1*m*math.Log(factor) + 1
	}
	m, all := p.float("mscale", 0), p.float("mscale_all_dim", 0)
	fallback := mscale(1)
	if m != 0 && all != 0 {
		fallback = mscale(m) / mscale(all)
	}
	return p.float("attention_factor", fallback)
}

// yarnRange returns between which pairs the frequencies blend from their own to the stretched.
func (p *ropeParams) yarnRange() (low, high float64) {
	pair := func(rotations float64) float64 {
		return float64(p.dim) * math.Log(float64(p.original)/(rotations*2*math.Pi)) / (2 * math.Log(float64(p.theta)))
	}
	or := func(x, fallback float64) float64 {
		if x == 0 {
			return fallback
		}
		return x
	}
	low, high = pair(or(p.float("beta_fast", 32), 32)), pair(or(p.float("beta_slow", 1), 1))
	if p.bool("truncate", true) {
		low, high = math.Floor(low), math.Ceil(high)
	}
	return max(low, 0), min(high, float64(p.dim-1))
}

func (p *ropeParams) longrope(r *model.RoPE) {
	short, long := p.floats("short_factor"), p.floats("long_factor")
	if len(short) != p.dim/2 || len(long) != p.dim/2 {
		p.fail("short_factor", "short_factor has %d and long_factor %d numbers, want %d", len(short), len(long), p.dim/2)
		return
	}
	factor := p.float("factor", float64(p.maxPosition)/float64(p.original))
	scale := 1.0
	if factor > 1 {
		scale = math.Sqrt(1 + math.Log(factor)/math.Log(float64(p.original)))
	}
	r.Scale = float32(p.float("attention_factor", scale))
	r.LongScale = r.Scale
	r.LongFrom = p.original
	r.LongInvFreq = make([]float32, p.dim/2)
	for j := range r.InvFreq {
		r.InvFreq[j] = 1 / (float32(short[j]) * p.wave(j))
		r.LongInvFreq[j] = 1 / (float32(long[j]) * p.wave(j))
	}
}

// checkFinite refuses parameters that make no rotation.
func (p *ropeParams) checkFinite(r *model.RoPE) {
	sum := float64(r.Scale) + float64(r.LongScale) + float64(r.DynamicFactor)
	for _, list := range [][]float32{r.InvFreq, r.LongInvFreq} {
		for _, f := range list {
			sum += float64(f)
		}
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		p.fail("rope_type", "the parameters give frequencies that are no finite numbers")
	}
}
