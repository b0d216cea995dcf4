package quant

import (
	"encoding/binary"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// rounding is a row on its way.
type rounding struct {
	given, w []float32 // the row, and what it aims at
	back     []float32 // by step: what the columns so far leave for the later ones to make good
	misses   []float32 // w−ŵ of the columns or steps of a panel
	g        []float32 // hess·(w−ŵ)
	hu       []float32 // [blocks][n], hess times the levels of each block; nil if nothing is refined
	state
	best state
}

// state is what a row is encoded as.
type state struct {
	u    []float32 // levels q−z
	s    []float32 // scales, by block
	low  []float32 // the least level that there is a code for, by block: it says what z is
	cost float64
}

func newRounding(n, blocks int, refined bool) *rounding {
	floats := func(n int) []float32 { return make([]float32, n) }
	x := &rounding{given: floats(n), w: floats(n), back: floats(n), misses: floats(panelRows), g: floats(n)}
	if refined {
		x.hu = floats(blocks * n)
	}
	for _, s := range []*state{&x.state, &x.best} {
		s.u, s.s, s.low = floats(n), floats(blocks), floats(blocks)
	}
	return x
}

func (s *state) set(from *state) {
	copy(s.u, from.u)
	copy(s.s, from.s)
	copy(s.low, from.low)
	s.cost = from.cost
}

func (x *rounding) saveIfBetter(cost float64) {
	if cost < x.best.cost {
		x.cost = cost
		x.best.set(&x.state)
	}
}

func (x *rounding) restore() { x.set(&x.best) }

// take takes a row that was encoded, with what the encoder had to replace replaced.
func (r *Rounder) take(x *rounding, w []float32) {
	copy(x.given, w)
	length := r.check.scheme.Block
	for at := 0; at < len(w); at += length {
		b := x.given[at:min(at+length, len(w))]
		if r.check.opts.Sanitize {
			Sanitize(b)
		}
		if r.check.opts.Saturate {
			for i, v := range b {
				b[i] = min(max(v, -block.MaxFloat16), block.MaxFloat16)
			}
		}
	}
	copy(x.w, x.given)
}

// open takes scales and zero-points from an encoded row.
func (r *Rounder) open(x *rounding, src []byte) {
	s := r.check.scheme
	for b := range x.s {
		p := block.ReadParams(src[b*s.BlockBytes():])
		x.s[b], x.low[b] = p.Scale, float32(s.Low()-int(p.Zero))
	}
}

// level returns the level nearest to v in block b. float32 is enough, as lanes.go says.
func (r *Rounder) level(x *rounding, b int, v float32) float32 {
	if x.s[b] == 0 {
		return 0
	}
	return round32(v/x.s[b], x.low[b], x.low[b]+float32(r.check.scheme.Steps()))
}

func (r *Rounder) value(x *rounding, j int) float32 { return x.u[j] * x.s[j>>r.shift] }

// cost returns (w−ŵ)ᵀ·hess·(w−ŵ).
func (r *Rounder) cost(x *rounding) (cost float64) {
	for j, g := range x.g {
		cost += float64(x.w[j]-r.value(x, j)) * float64(g)
	}
	return cost
}

// moveCodes gives every column in turn the code that costs least while the others stay.
func (r *Rounder) moveCodes(x *rounding) {
	const near = 0.9999 // of half a step: rounding does not bring such a code to another
	n := r.f.n
	for _, j := range r.f.order {
		b, g, h := j>>r.shift, x.g[j], r.f.diag[j]
		s := x.s[b]
		if half := near / 2 * s * h; g < half && g > -half {
			continue
		}
		u := r.level(x, b, x.u[j]*s+g/h)
		d := (u - x.u[j]) * s
		if d*d*h < 2*d*g {
			row := r.f.hess[j*n : (j+1)*n]
			axpy(x.g, -d, row)
			axpy(x.hu[b*n:(b+1)*n], u-x.u[j], row)
			x.u[j] = u
		}
	}
}

// moveZeros shifts whole blocks by a step where that costs less.
func (r *Rounder) moveZeros(x *rounding) {
	n, length, low := r.f.n, r.check.scheme.Block, float32(r.check.scheme.Low())
	for b, s := range x.s {
		at, end := b*length, min((b+1)*length, n)
		var slope float32
		for _, g := range x.g[at:end] {
			slope += g
		}
		for _, dz := range []float32{1, -1} { // ŵ falls by dz·s
			d := dz * s
			z := low - (x.low[b] - dz)
			if z < -128 || z > 127 || !(d*d*r.sums.curves[b] < -2*d*slope) {
				continue
			}
			x.low[b] -= dz
			for j := at; j < end; j++ {
				x.u[j] -= dz
			}
			row := r.sums.rows[b*n : (b+1)*n]
			axpy(x.g, d, row)
			axpy(x.hu[b*n:(b+1)*n], -dz, row)
			break
		}
	}
}

// close writes scales, zero-points and codes to dst.
func (r *Rounder) close(x *rounding, dst []byte) {
	s := r.check.scheme
	for b := range x.s {
		rec := dst[b*s.BlockBytes() : (b+1)*s.BlockBytes()]
		binary.LittleEndian.PutUint16(rec, block.Float16(x.s[b]))
		rec[2] = byte(int8(s.Low() - int(x.low[b])))
		pad := min(max(-x.low[b], 0), float32(s.Steps())) // level 0, if there is a code for it
		for i := range r.codes {
			q := pad
			if j := b*s.Block + i; j < len(x.u) {
				q = x.u[j] - x.low[b]
			}
			r.codes[i] = uint8(q)
		}
		s.Pack(rec[block.HeaderBytes:], r.codes)
	}
}
