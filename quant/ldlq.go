package quant

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// Feedback rounds rows so that their products with typical inputs stay right: the error of a
// column is made good by the columns after it (GPTQ, Frantar et al. 2022, in the form of LDLQ,
// Chee et al. 2023), with the blocks' scales and zero-points fixed before, and the columns of the
// strongest inputs first. It may be used by several goroutines.
type Feedback struct {
	n     int
	order []int       // column at each step
	unit  [][]float32 // [step][later steps] how an error moves on: row i of R̃ from column i+1 on
	pivot []float32   // by step, R_ii²: hess in the order of steps is R̃·diag(pivot)·R̃ᵀ
	hess  []float32   // [n][n] damped, in the order of columns

	gap, debt []float32 // [n][n] and [rows][n], see Toward; or nil

	mu   sync.Mutex
	sums map[int][][]float32 // by block size, see blockSums
}

// NewFeedback prepares rounding for rows of n columns whose inputs x have Σ x·xᵀ = h, [n][n], of
// which the lower triangle is read. damp times the mean of the diagonal is added to the diagonal.
func NewFeedback(h []float32, n int, damp float64) (*Feedback, error) {
	if len(h) != n*n {
		return nil, fmt.Errorf("a matrix of %d numbers for %d columns", len(h), n)
	}
	f := &Feedback{n: n, hess: make([]float32, n*n), sums: map[int][][]float32{}}
	if err := f.damped(h, damp); err != nil {
		return nil, err
	}
	for j := range n {
		f.order = append(f.order, j)
	}
	slices.SortStableFunc(f.order, func(a, b int) int { return cmp.Compare(f.hess[b*n+b], f.hess[a*n+a]) })
	return f, f.factor()
}

// damped fills hess with the mirrored, damped matrix. A column without input gets 1, so that it is
// rounded to the nearest.
func (f *Feedback) damped(h []float32, damp float64) error {
	n := f.n
	var mean float64
	for j := range n {
		d := float64(h[j*n+j])
		if math.IsNaN(d) || math.IsInf(d, 0) || d < 0 {
			return fmt.Errorf("column %d: Σ x² is %v", j, d)
		}
		mean += d / float64(n)
	}
	if mean == 0 {
		return errors.New("all inputs are zero")
	}
	for i := range n {
		for j := range i {
			f.hess[i*n+j], f.hess[j*n+i] = h[i*n+j], h[i*n+j]
		}
		d := float64(h[i*n+i])
		if d == 0 {
			d = mean
		}
		f.hess[i*n+i] = float32(d + damp*mean)
	}
	return nil
}

// factor finds R̃: with J the reversal, JHJ = LLᵀ makes R = JLJ, H = RRᵀ, and R̃ is R with a unit
// diagonal.
func (f *Feedback) factor() error {
	n := f.n
	l := make([][]float64, n) // lower triangle of the reversed, ordered matrix
	for i := range n {
		l[i] = make([]float64, i+1)
		for j := range l[i] {
			l[i][j] = float64(f.hess[f.order[n-1-i]*n+f.order[n-1-j]])
		}
	}
	for i := range n {
		for j := range i + 1 {
			sum := l[i][j] - dot64(l[i][:j], l[j][:j])
			if j < i {
				l[i][j] = sum / l[j][j]
				continue
			}
			if !(sum > 0) {
				return fmt.Errorf("the inputs of column %d depend on the others': more damping or more calibration text is needed", f.order[n-1-i])
			}
			l[i][i] = math.Sqrt(sum)
		}
	}
	f.unit, f.pivot = make([][]float32, n), make([]float32, n)
	for i := range n { // step i is row n−1−i of l; R[i][j] = l[n−1−i][n−1−j]
		f.pivot[i] = float32(l[n-1-i][n-1-i] * l[n-1-i][n-1-i])
		f.unit[i] = make([]float32, n-1-i)
		for j := i + 1; j < n; j++ {
			f.unit[i][j-i-1] = float32(l[n-1-i][n-1-j] / l[n-1-j][n-1-j])
		}
	}
	return nil
}

func dot64(a, b []float64) float64 {
	var s0, s1, s2, s3 float64
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i := range a {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}
