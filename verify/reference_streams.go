package verify

import (
	"context"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// leastSquare is the mean square that a stream is taken to have at least, so that one of zeros is not divided by 0.
const leastSquare = 1e-5

// openStreams makes the other residual streams, [tokens][hidden] each, of x before the first layer.
func (r *Reference) openStreams(ctx context.Context, x []float32, tokens int) error {
	h := r.spec.Hidden
	r.streams = nil
	for i := range max(0, r.spec.Streams.Count-1) {
		s, err := r.multiplyRows(ctx, model.RoleStreamIn, model.NoLayer, i*h, x, tokens, h)
		if err != nil {
			return err
		}
		asLoud(s, x, h)
		r.streams = append(r.streams, s)
	}
	return nil
}

// closeStreams makes x the mean of all streams.
func (r *Reference) closeStreams(ctx context.Context, x []float32, tokens int) error {
	h := r.spec.Hidden
	sum := slices.Clone(x)
	for i, s := range r.streams {
		out, err := r.multiplyRows(ctx, model.RoleStreamOut, model.NoLayer, i*h, s, tokens, h)
		if err != nil {
			return err
		}
		asLoud(out, x, h)
		add(sum, out, 1)
	}
	copy(x, sum)
	scale(x, 1/float32(len(r.streams)+1))
	return nil
}

// asLoud scales each row of s, of h elements, to the RMS of the same row of x.
func asLoud(s, x []float32, h int) {
	square := func(v []float32) (sum float64) {
		for _, e := range v {
			sum += float64(e) * float64(e) / float64(h)
		}
		return sum
	}
	for at := 0; at < len(s); at += h {
		row := s[at : at+h]
		scale(row, float32(math.Sqrt(square(x[at:at+h])/max(square(row), leastSquare))))
	}
}

// modalities returns tanh(RouterScale·(stream_router·stream_norm(x))), [tokens][Count].
func (r *Reference) modalities(ctx context.Context, layer int, x []float32, tokens int) ([]float32, error) {
	normed := slices.Clone(x)
	r.norm(normed, model.RoleStreamNorm, "", layer)
	m, err := r.multiply(ctx, model.RoleStreamRouter, layer, normed, tokens, r.spec.Streams.Count)
	for i, v := range m {
		m[i] = float32(math.Tanh(float64(v * r.spec.Streams.RouterScale)))
	}
	return m, err
}

// predict mixes the streams before a layer.
func (r *Reference) predict(ctx context.Context, layer int, x []float32, tokens int) error {
	n, h := r.spec.Streams.Count, r.spec.Hidden
	m, err := r.modalities(ctx, layer, x, tokens)
	if err != nil {
		return err
	}
	k, err := r.multiply(ctx, model.RoleStreamPredict, layer, m, tokens, n*n)
	if err != nil {
		return err
	}
	all := append([][]float32{x}, r.streams...)
	old := make([]float32, n)
	for e := range x {
		for b := range all {
			old[b] = all[b][e]
		}
		for a := range all {
			all[a][e] += dot(k[e/h*n*n+a*n:][:n], old)
		}
	}
	return nil
}

// correct adds to all streams what the layer has changed in the first one, which was before; x is what it has become.
func (r *Reference) correct(ctx context.Context, layer int, x, before []float32, tokens int) error {
	n, h := r.spec.Streams.Count, r.spec.Hidden
	m, err := r.modalities(ctx, layer, x, tokens)
	if err != nil {
		return err
	}
	c, err := r.multiply(ctx, model.RoleStreamCorrect, layer, m, tokens, n)
	if err != nil {
		return err
	}
	for e := range x {
		d := x[e] - before[e]
		of := c[e/h*n:][:n]
		x[e] = before[e] + (1+of[0])*d
		for i, s := range r.streams {
			s[e] += (1 + of[i+1]) * d
		}
	}
	return nil
}

// shortcut adds to x what goes around attention, which was given the normalized stream.
func (r *Reference) shortcut(ctx context.Context, layer int, x, normed []float32, tokens int) error {
	y := r.spec.Layer(layer)
	low, err := r.multiply(ctx, model.RoleShortcutIn, layer, normed, tokens, y.Shortcut)
	if err != nil {
		return err
	}
	out, err := r.multiply(ctx, model.RoleShortcutOut, layer, low, tokens, r.spec.Hidden)
	if err != nil {
		return err
	}
	r.norm(out, model.RoleShortcutNorm, "", layer)
	add(x, normed, 1)
	add(x, out, 1)
	scale(x, y.ShortcutScale)
	return nil
}

// sparsen subtracts from each token's gates, [tokens][…], their mean plus Cutoff deviations; what is below that becomes 0.
func sparsen(m *model.MLP, gates []float32, tokens int) {
	if !m.Sparse {
		return
	}
	for row := range slices.Chunk(gates, len(gates)/tokens) {
		n := float64(len(row))
		mean, square := 0.0, 0.0
		for _, v := range row {
			mean += float64(v) / n
		}
		for _, v := range row {
			square += (float64(v) - mean) * (float64(v) - mean) / n
		}
		bound := float32(mean + math.Sqrt(square)*float64(m.Cutoff))
		for i, v := range row {
			row[i] = max(0, v-bound)
		}
	}
}
