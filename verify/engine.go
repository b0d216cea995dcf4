package verify

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
)

// The arithmetic of ReferenceOptions.Vector. What is computed is said by Reference alone; here are its three
// inner loops, products, attention and activations, by tiles and with vector instructions.

// A worker decodes engineRows rows of a matrix at a time, and takes engineTokens queries of a head at a
// time: what it reads again and again then stays in the second-level cache.
const (
	engineRows   = 64
	engineTokens = 8 * simd.TileTokens
)

// multiplyTiles sets y [tokens][rows] to the rows row0 to row0+rows−1 of a matrix times x [tokens][cols].
func (r *Reference) multiplyTiles(ctx context.Context, role model.Role, layer, row0 int, x, y []float32, tokens, rows int) error {
	cols := len(x) / tokens
	inputs := padded(x, tokens, cols)
	chunks := (rows + engineRows - 1) / engineRows
	return r.parallel(ctx, chunks, func() func(int) error {
		w := simd.NewMatrix(min(rows, engineRows), cols, simd.TileRows)
		decoded := w.Data
		if w.Stride != cols {
			decoded = make([]float32, w.Rows*cols)
		}
		return func(c int) error {
			first := c * engineRows
			w.Rows = min(engineRows, rows-first)
			if err := r.rows(role, layer, row0+first, w.Rows, decoded[:w.Rows*cols]); err != nil {
				return err
			}
			for i := 0; w.Stride != cols && i < w.Rows; i++ {
				copy(w.Row(i), decoded[i*cols:])
			}
			simd.Product(y[first:], rows, inputs, w, false)
			return nil
		}
	})
}

// padded returns x [rows][cols] as the left factor of a product, which is x itself where it needs no padding.
func padded(x []float32, rows, cols int) simd.Matrix {
	if cols%simd.Lane == 0 && rows%simd.TileTokens == 0 {
		return simd.Matrix{Data: x, Rows: rows, Cols: cols, Stride: cols}
	}
	m := simd.NewMatrix(rows, cols, simd.TileTokens)
	for i := range rows {
		copy(m.Row(i), x[i*cols:])
	}
	return m
}

// attendTiles sets out [tokens][Heads·HeadDim] to what the queries q of tokens read.
func (r *Reference) attendTiles(ctx context.Context, layer int, q, out []float32, tokens int) error {
	a := &r.spec.Layer(layer).Attention
	first := r.oldest(a, r.length)
	n := r.length + tokens - first
	keys, values := make([]simd.Matrix, a.KVHeads), make([]simd.Matrix, a.KVHeads)
	err := r.parallel(ctx, a.KVHeads, func() func(int) error {
		return func(h int) error {
			keys[h], values[h] = r.cached(layer, h, first, n)
			return nil
		}
	})
	if err != nil {
		return err
	}
	tiles := (tokens + engineTokens - 1) / engineTokens
	return r.parallel(ctx, a.Heads*tiles, func() func(int) error {
		return func(i int) error {
			h, t := i/tiles, i%tiles*engineTokens
			kv := h / (a.Heads / a.KVHeads)
			r.attendTile(layer, q, out, h, t, min(engineTokens, tokens-t), first, &keys[kv], &values[kv])
			return nil
		}
	})
}

// cached returns the keys [n][HeadDim] and the values [HeadDim][n] of a head from position first on, with room
// for a tile that begins anywhere.
func (r *Reference) cached(layer, h, first, n int) (keys, values simd.Matrix) {
	a, c := &r.spec.Layer(layer).Attention, &r.caches[layer]
	d, width := a.HeadDim, a.KVHeads*a.HeadDim
	keys = simd.NewMatrix(n+simd.TileRows, d, simd.TileRows)
	values = simd.NewMatrix(d, n+simd.Lane, simd.TileRows)
	for i := range n {
		at := (first+i)%c.capacity*width + h*d
		copy(keys.Row(i), c.keys[at:][:d])
		for j, v := range c.values[at:][:d] {
			values.Data[j*values.Stride+i] = v
		}
	}
	return keys, values
}

// attendTile reads for the queries of head h of n tokens from number t on.
func (r *Reference) attendTile(layer int, q, out []float32, h, t, n, first int, keys, values *simd.Matrix) {
	a, sinks := &r.spec.Layer(layer).Attention, r.small[key{model.RoleSinks, layer}]
	d, width, from := a.HeadDim, a.Heads*a.HeadDim, r.length+t
	low := r.oldest(a, from)
	seen := from + n - low // positions that some query of the tile sees
	queries := simd.NewMatrix(n, d, simd.TileTokens)
	for i := range n {
		copy(queries.Row(i), q[(t+i)*width+h*d:][:d])
	}
	scores := simd.NewMatrix(n, seen, simd.TileTokens)
	visible := simd.Matrix{Data: keys.Data[(low-first)*keys.Stride:], Rows: seen, Cols: d, Stride: keys.Stride}
	simd.Product(scores.Data, scores.Stride, queries, visible, false)
	for i := range n {
		row := scores.Row(i)
		begin, end := r.oldest(a, from+i)-low, from+i+1-low
		clear(row[:begin])
		clear(row[end:])
		for j, v := range row[begin:end] {
			row[begin+j] = softcap(v*a.Scale, a.Softcap)
		}
		withSink(simd.Softmax, row[begin:end], sinks, h)
	}
	read := simd.Matrix{Data: values.Data[low-first:], Rows: d, Cols: seen, Stride: values.Stride}
	simd.Product(out[t*width+h*d:], width, scores, read, false)
}

// activateVector applies the activation to x, and reports whether it has a vector body.
func activateVector(kind model.Activation, x []float32) bool {
	switch kind {
	case model.SiLU:
		simd.SiLU(x)
	case model.GELUTanh:
		simd.GELUTanh(x)
	default:
		return false
	}
	return true
}
