package graph

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// streams are the activations of residual streams beside the first.
type streams struct {
	side   Vectors // [n][Count−1][stride of Hidden]
	out    Vectors // as side: what is made of them behind the layers
	before Vectors // the first one before a layer's branches
	mixing Vectors // what a router makes of it
}

// reserveStreams asks for their memory, if there are several.
func reserveStreams(s *model.Spec, n int, vectors func(tokens, stride int) Vectors) streams {
	others, hidden := s.Streams.Count-1, Stride(s.Hidden)
	if others < 1 {
		return streams{}
	}
	return streams{vectors(n, others*hidden), vectors(n, others*hidden), vectors(n, hidden), vectors(n, Stride(s.Streams.Count))}
}

// Side are the residual streams other than the first, one after the other; without a buffer if there are none.
func (g *Graph) Side() Vectors { return g.act.streams.side }

// one returns one of the other streams, or of what lies like them.
func (r *layers) one(v Vectors, i int) Vectors {
	at := uint64(4 * i * r.g.act.x.Stride)
	if i > 0 {
		v.Buffer = v.Buffer.Part(at, v.Buffer.Size()-at)
	}
	v.limbs = r.g.act.mlpIn.limbs // free where these are multiplied
	return v
}

// openStreams records the other residual streams before the first layer.
func (r *layers) openStreams() {
	a, w := &r.g.act, r.g.w
	for i, m := range w.streamIn {
		r.plain(m, nil, a.x, r.one(a.streams.side, i), 1)
	}
	if w.streamIn != nil {
		r.loud(a.streams.side, 0)
	}
}

// closeStreams records the mean of all streams.
func (r *layers) closeStreams() {
	a, w := &r.g.act, r.g.w
	for i, m := range w.streamOut {
		r.plain(m, nil, r.one(a.streams.side, i), r.one(a.streams.out, i), 1)
	}
	if w.streamOut != nil {
		r.loud(a.streams.out, 1)
	}
}

func (r *layers) loud(v Vectors, closing int) {
	s, x := r.g.spec, r.g.act.x
	r.Dispatch("loud", kernels.Consts{"WIDTH": s.Hidden, "STRIDE": x.Stride, "COUNT": s.Streams.Count, "CLOSE": closing}, r.n, 1, x.Buffer, v.Buffer)
}

// mixStreams records how streams change before a layer's branches, or after them.
func (r *layers) mixStreams(w *Layer, after bool) {
	a, coefficients, scale := &r.g.act, w.streamPredict, r.g.spec.Streams.RouterScale
	mode := kernels.Consts{"MODE": flag(after)}
	if after {
		coefficients = w.streamCorrect
		mode["SCALED"] = flag(w.streamScale != nil)
	}
	r.norm(a.x, a.mlpIn, w.streamNorm, nil, nil)
	r.plain(w.StreamRouter, nil, a.mlpIn, a.streams.mixing, scale)
	r.streams(mode, coefficients, w.streamScale, a.streams.before)
}

// streams records one of the ways in which streams change.
func (r *layers) streams(c kernels.Consts, coefficients, scale *Vector, y Vectors) {
	a, hidden := &r.g.act, r.g.spec.Hidden
	c["WIDTH"], c["STRIDE"], c["M_STRIDE"], c["COUNT"] = hidden, a.x.Stride, a.streams.mixing.Stride, r.g.spec.Streams.Count
	r.Dispatch("streams", c, (hidden+63)/64, r.n,
		a.streams.mixing.Buffer, r.read(coefficients), r.read(scale), a.x.Buffer, a.streams.side.Buffer, y.Buffer)
}

// shortcutFrom records what goes around attention, which is given in, and returns where it is.
func (r *layers) shortcutFrom(w *Layer, y *model.Layer, in Vectors) Vectors {
	a := &r.g.act
	low := a.of(y.Shortcut)
	r.plain(w.ShortcutIn, nil, in, low, 1)
	r.plain(w.ShortcutOut, nil, low, a.branch, 1)
	r.norm(a.branch, a.mlpIn, w.shortcutNorm, nil, nil)
	return a.mlpIn
}

// joinShortcut records x = ShortcutScale·(x + in + made).
func (r *layers) joinShortcut(y *model.Layer, in, made Vectors) {
	a, hidden := &r.g.act, r.g.spec.Hidden
	c := kernels.Consts{"MODE": 3, "SCALE": y.ShortcutScale, "WIDTH": hidden, "STRIDE": a.x.Stride}
	r.Dispatch("streams", c, (hidden+63)/64, r.n, r.unread, in.Buffer, r.unread, a.x.Buffer, r.unwritten, made.Buffer)
}
