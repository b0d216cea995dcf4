package quant

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// fitScales gives all blocks of the row the scales that cost least while the levels stay: with U the
// levels, one column a block, they differ by ds from what they are, UᵀHU·ds = Uᵀ·g. A scale that float16 cannot hold,
// or that would turn the block around, stays what it was.
func (r *Rounder) fitScales(x *rounding) {
	n, length := r.f.n, r.check.scheme.Block
	for b := range x.s {
		hu := x.hu[b*n : (b+1)*n]
		for c := range b + 1 {
			at, end := c*length, min((c+1)*length, n)
			r.normal[b][c] = inner(hu[at:end], x.u[at:end])
		}
		at, end := b*length, min((b+1)*length, n)
		r.target[b] = inner(x.g[at:end], x.u[at:end])
	}
	for b, ds := range solve(r.normal, r.target) {
		r.moves[b] = 0
		s := block.RoundFloat16(float64(x.s[b]) + ds)
		if s >= block.NormalFloat16 && s*float64(r.check.scheme.Steps()) <= block.MaxFloat16 {
			r.moves[b] = x.s[b] - float32(s)
			x.s[b] = float32(s)
		}
	}
	sweep(x.g, r.moves, x.hu, n)
}

// solve returns x with a·x = y for a symmetric a of which the lower triangle is given and replaced
// by its Cholesky factor. Where a is singular, x is 0.
func solve(a [][]float64, y []float64) []float64 {
	n := len(y)
	for i := range n {
		for j := range i + 1 {
			sum := a[i][j] - dot64(a[i][:j], a[j][:j])
			switch {
			case j < i && a[j][j] > 0:
				a[i][j] = sum / a[j][j]
			case j < i:
				a[i][j] = 0
			case sum > 1e-12*math.Abs(a[i][i]):
				a[i][i] = math.Sqrt(sum)
			default:
				a[i][i] = 0
			}
		}
	}
	x := make([]float64, n)
	for i := range n {
		if a[i][i] > 0 {
			x[i] = (y[i] - dot64(a[i][:i], x[:i])) / a[i][i]
		}
	}
	for i := n - 1; i >= 0; i-- {
		if a[i][i] > 0 {
			x[i] /= a[i][i]
		}
		for j := range i {
			x[j] -= a[i][j] * x[i]
		}
	}
	return x
}
