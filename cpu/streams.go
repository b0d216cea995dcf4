package cpu

import (
	"context"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// beside is what a layer is given besides the residual stream.
type beside struct {
	cache   *cache      // that it reads
	input   []float32   // of each token, [tokens][LayerInputs.Width], if it takes one
	streams [][]float32 // other residual streams, [tokens][hidden] each
}

// streams are the tensors of a layer that mix residual streams, and those of the shortcut around attention.
type streams struct {
	norm                     *norm
	router, predict, correct *matrix
	scale                    []float32 // [hidden], or nil
	shortcutIn, shortcutOut  *matrix
	shortcutNorm             *norm
}

func (f *tensors) streams(i int) streams {
	y, h := f.e.spec.Layer(i), f.e.spec.Hidden
	s := streams{
		router: f.matrix(model.RoleStreamRouter, i), predict: f.matrix(model.RoleStreamPredict, i), correct: f.matrix(model.RoleStreamCorrect, i),
		scale: f.vector(model.RoleStreamScale, i), shortcutIn: f.matrix(model.RoleShortcutIn, i), shortcutOut: f.matrix(model.RoleShortcutOut, i),
	}
	if s.router != nil {
		s.norm = f.norm(model.RoleStreamNorm, "", i, h)
	}
	if y.Shortcut > 0 {
		s.shortcutNorm = f.norm(model.RoleShortcutNorm, "", i, h)
	}
	return s
}

// leastSquare is the least mean square that a stream is divided by the root of.
const leastSquare = 1e-5

// openStreams makes the other residual streams of x [tokens][hidden] before the first layer.
func (e *Engine) openStreams(ctx context.Context, r *room, x []float32, to [][]float32) error {
	h := e.spec.Hidden
	for i, s := range to {
		if err := e.product(ctx, r, x, len(x)/h, part{matrix: e.streamIn, row0: i * h, rows: h, y: s}); err != nil {
			return err
		}
		asLoud(s, x, h)
	}
	return nil
}

// closeStreams makes x the mean of all streams.
func (e *Engine) closeStreams(ctx context.Context, r *room, x []float32, others [][]float32) error {
	h := e.spec.Hidden
	tokens := len(x) / h
	sum, out := r.rows(tokens, h), r.rows(tokens, h)
	copy(sum, x)
	for i, s := range others {
		if err := e.product(ctx, r, s, tokens, part{matrix: e.streamOut, row0: i * h, rows: h, y: out}); err != nil {
			return err
		}
		asLoud(out, x, h)
		simd.Add(sum, out, 1)
	}
	copy(x, sum)
	simd.Scale(x, 1/float32(len(others)+1))
	return nil
}

// asLoud scales each row of s, of h elements, to the RMS of that of x.
func asLoud(s, x []float32, h int) {
	square := func(v []float32) (sum float64) {
		for _, e := range v {
			sum += float64(e) * float64(e)
		}
		return sum / float64(h)
	}
	for at := 0; at < len(s); at += h {
		row := s[at : at+h]
		simd.Scale(row, float32(math.Sqrt(square(x[at:at+h])/max(square(row), leastSquare))))
	}
}

// mixing returns what a matrix makes of tanh(RouterScale·(stream_router·stream_norm(x))), [tokens][rows].
func (e *Engine) mixing(ctx context.Context, r *room, s *streams, m *matrix, x []float32) ([]float32, error) {
	h, n := e.spec.Hidden, e.spec.Streams.Count
	tokens := len(x) / h
	normed, modalities, made := r.rows(tokens, h), r.rows(tokens, n), r.rows(tokens, m.rows)
	e.normalize(s.norm, normed, x, tokens)
	if err := e.product(ctx, r, normed, tokens, part{matrix: s.router, rows: n, y: modalities}); err != nil {
		return nil, err
	}
	for i, v := range modalities {
		modalities[i] = float32(math.Tanh(float64(v * e.spec.Streams.RouterScale)))
	}
	return made, e.product(ctx, r, modalities, tokens, part{matrix: m, rows: m.rows, y: made})
}

// predict mixes the streams before a layer.
func (e *Engine) predict(ctx context.Context, r *room, s *streams, x []float32, others [][]float32) error {
	h, n := e.spec.Hidden, e.spec.Streams.Count
	k, err := e.mixing(ctx, r, s, s.predict, x)
	if err != nil {
		return err
	}
	mixed := r.rows(n, h)
	of := func(a, t int) []float32 {
		if a == 0 {
			return x[t*h : (t+1)*h]
		}
		return others[a-1][t*h : (t+1)*h]
	}
	for t := range len(x) / h {
		for a := range n {
			row := mixed[a*h : (a+1)*h]
			copy(row, of(a, t))
			for b := range n {
				simd.Add(row, of(b, t), k[t*n*n+a*n+b])
			}
		}
		for a := range n {
			copy(of(a, t), mixed[a*h:(a+1)*h])
		}
	}
	return nil
}

// correct adds to all streams what the layer has changed in the first one, which was before; x is what it has become.
func (e *Engine) correct(ctx context.Context, r *room, s *streams, x, before []float32, others [][]float32) error {
	h, n := e.spec.Hidden, e.spec.Streams.Count
	c, err := e.mixing(ctx, r, s, s.correct, x)
	if err != nil {
		return err
	}
	for t := range len(x) / h {
		change, old := x[t*h:(t+1)*h], before[t*h:(t+1)*h]
		simd.Add(change, old, -1)
		for i, o := range others {
			simd.Add(o[t*h:(t+1)*h], change, 1+c[t*n+i+1])
		}
		simd.Scale(change, 1+c[t*n])
		simd.Add(change, old, 1)
	}
	return nil
}

// shortcut returns what the shortcut around the attention of layer i makes of the residual stream x [tokens][hidden].
func (e *Engine) shortcut(ctx context.Context, i int, r *room, x []float32, tap tap) ([]float32, error) {
	y, h := &e.layers[i], e.spec.Hidden
	s, tokens := &y.streams, len(x)/h
	normed, out, low := r.rows(tokens, h), r.rows(tokens, h), r.rows(tokens, y.Shortcut)
	e.normalize(y.attnNorm, normed, x, tokens)
	if tap.stops(model.RoleShortcutIn, normed) {
		return nil, errTapped
	}
	if err := e.product(ctx, r, normed, tokens, part{matrix: s.shortcutIn, rows: y.Shortcut, y: low}); err != nil {
		return nil, err
	}
	if tap.stops(model.RoleShortcutOut, low) {
		return nil, errTapped
	}
	err := e.product(ctx, r, low, tokens, part{matrix: s.shortcutOut, rows: h, y: out})
	e.normalize(s.shortcutNorm, out, out, tokens)
	simd.Add(out, normed, 1)
	return out, err
}

// sparsen keeps of each gate what lies more than cutoff deviations above the mean of the n gates of its token.
func sparsen(gates []float32, n int, cutoff float32) {
	for ; len(gates) > 0; gates = gates[n:] {
		mean, square := 0.0, 0.0
		for _, v := range gates[:n] {
			mean += float64(v)
		}
		mean /= float64(n)
		for _, v := range gates[:n] {
			square += (float64(v) - mean) * (float64(v) - mean)
		}
		bound := float32(mean + math.Sqrt(square/float64(n))*float64(cutoff))
		for i, v := range gates[:n] {
			gates[i] = max(0, v-bound)
		}
	}
}
