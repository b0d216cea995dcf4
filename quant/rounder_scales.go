package quant

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// fitScales gives all blocks of the row the scales that cost least while the levels stay: with U the
// levels, one column a block, UᵀHU·s = UᵀH·w. A scale that float16 cannot hold, or that would turn
// the block around, stays what it was.
func (r *Rounder) fitScales() {
	n, length, blocks := r.f.n, r.e.scheme.Block, len(r.s)
	a := make([][]float64, blocks)
	rhs := make([]float64, blocks)
	hu := make([]float32, n)
	for b := range blocks {
		clear(hu)
		for j := b * length; j < min((b+1)*length, n); j++ {
			if r.u[j] != 0 {
				axpy(hu, float32(r.u[j]), r.f.hess[j*n:(j+1)*n])
			}
		}
		a[b] = make([]float64, b+1)
		for c := range b + 1 {
			for j := c * length; j < min((c+1)*length, n); j++ {
				a[b][c] += float64(hu[j]) * float64(r.u[j])
			}
		}
		for j := range n {
			rhs[b] += float64(hu[j]) * float64(r.w[j])
		}
	}
	for b, s := range solve(a, rhs) {
		if s = block.RoundFloat16(s); s >= block.NormalFloat16 && s*float64(r.e.scheme.Steps()) <= block.MaxFloat16 {
			r.s[b] = float32(s)
		}
	}
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
