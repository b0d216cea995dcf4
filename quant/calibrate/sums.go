package calibrate

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/kernels/simd"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// sums are quant.Sums in the making.
type sums struct {
	*quant.Sums
	cols, rows int  // rows of Debt
	remembered bool // see model.Input
}

func newSums(t model.Tensor, spec *model.Spec, exact, debt bool) *sums {
	s := &sums{Sums: &quant.Sums{}, cols: t.Cols(), rows: spec.Hidden, remembered: t.Role.Input().Remembered()}
	s.Inputs = make([]float32, s.cols*s.cols)
	if exact {
		s.Gap = make([]float32, s.cols*s.cols)
	}
	if exact && debt {
		s.Debt = make([]float32, s.rows*s.cols)
	}
	return s
}

// add adds what one window says.
func (s *sums) add(seen, should inputs, tokens int, residualScale float32) {
	if tokens == 0 {
		return
	}
	s.Tokens += tokens
	x := transposed(seen.x, nil, tokens, 1)
	weighted, first := x, 1
	if s.remembered {
		first = quant.FirstCounts(tokens)
		weighted = weighFirst(transposed(seen.x, nil, tokens, 1), first)
	}
	outer(s.Inputs, weighted, x, true)
	if s.Gap != nil {
		outer(s.Gap, weighFirst(transposed(should.x, seen.x, tokens, 1), first), x, false)
	}
	if s.Debt != nil {
		outer(s.Debt, transposed(should.stream, seen.stream, tokens, 1/residualScale), x, false)
	}
}

// weighFirst makes the first token of m [cols][tokens] count several times, and returns m.
func weighFirst(m simd.Matrix, times int) simd.Matrix {
	if times > 1 {
		for c := range m.Rows {
			m.Data[c*m.Stride] *= float32(times)
		}
	}
	return m
}

// transposed returns ((a−b)·scale)ᵀ, [cols][tokens], for a and b [tokens][cols]; a nil b is all zeros.
func transposed(a, b []float32, tokens int, scale float32) simd.Matrix {
	const block = 16 // columns that are written side by side
	cols := len(a) / tokens
	m := simd.NewMatrix(cols, tokens, simd.TileTokens*simd.TileRows)
	parallel((cols+block-1)/block, func(k int) {
		from, to := k*block, min((k+1)*block, cols)
		for t := range tokens {
			for c := from; c < to; c++ {
				v := a[t*cols+c]
				if b != nil {
					v = (v - b[t*cols+c]) * scale
				}
				m.Data[c*m.Stride+t] = v
			}
		}
	})
	return m
}

// outer adds y·xᵀ to h [y.Rows][x.Rows]: the sum over tokens of the outer products. lower: what is above the
// diagonal may be left out.
func outer(h []float32, y, x simd.Matrix, lower bool) {
	const block = 8 * simd.TileTokens
	parallel((y.Rows+block-1)/block, func(k int) {
		from := k * block
		part := simd.Matrix{Data: y.Data[from*y.Stride:], Rows: min(block, y.Rows-from), Cols: y.Cols, Stride: y.Stride}
		columns := x
		if lower {
			columns.Rows = min(x.Rows, from+block)
		}
		simd.Product(h[from*x.Rows:], x.Rows, part, columns, true)
	})
}

// parallel calls do(0) to do(n−1) on all processors.
func parallel(n int, do func(int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	group.Wait()
}
