package quant

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
)

// Feedback rounds rows so that their products with typical inputs stay right: the columns after a
// column compensate for its error (GPTQ, Frantar et al. 2022, in the form of LDLQ, Chee et al.
// 2023), with the blocks' scales and zero-points fixed before, and the columns of the strongest
// inputs first. It may be used by several goroutines.
type Feedback struct {
	n     int
	order []int     // column at each step
	unit  []float32 // [n][n], by steps, how an error moves on to later ones: R̃ above the diagonal, R̃ᵀ below
	pivot []float32 // by step, R_ii²: hess in the order of steps is R̃·diag(pivot)·R̃ᵀ
	hess  []float32 // [n][n] damped, in the order of columns
	diag  []float32 // its diagonal

	gap, debt []float32 // [n][n] and [rows][n], see Toward; or nil

	mu   sync.Mutex
	sums map[int]*blockSums // by block size
}

// NewFeedback prepares rounding for rows of n columns whose inputs x have Σ x·xᵀ = h, [n][n], of which the lower
// triangle is read. To each number on the diagonal, damp times the geometric mean of it and of the diagonal's mean is
// added: so a column with huge inputs, which dominate the mean, does not cause too much damping of the others.
func NewFeedback(h []float32, n int, damp float64) (*Feedback, error) {
	if len(h) != n*n {
		return nil, fmt.Errorf("a matrix of %d numbers for %d columns", len(h), n)
	}
	f := &Feedback{n: n, hess: make([]float32, n*n), diag: make([]float32, n), sums: map[int]*blockSums{}}
	if err := f.damped(h, damp); err != nil {
		return nil, err
	}
	for j := range n {
		f.order = append(f.order, j)
	}
	slices.SortStableFunc(f.order, func(a, b int) int { return cmp.Compare(f.diag[b], f.diag[a]) })
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
		f.diag[i] = float32(d + damp*math.Sqrt(d*mean))
		f.hess[i*n+i] = f.diag[i]
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
	if i := cholesky(l); i >= 0 {
		return fmt.Errorf("the inputs of column %d depend on the others': more damping or more calibration text is needed", f.order[n-1-i])
	}
	f.unit, f.pivot = make([]float32, n*n), make([]float32, n)
	for i := range n { // step i is row n−1−i of l; R[i][j] = l[n−1−i][n−1−j]
		f.pivot[i] = float32(l[n-1-i][n-1-i] * l[n-1-i][n-1-i])
		for j := i + 1; j < n; j++ {
			v := float32(l[n-1-i][n-1-j] / l[n-1-j][n-1-j])
			f.unit[i*n+j], f.unit[j*n+i] = v, v
		}
	}
	return nil
}

// panel is how many columns cholesky finishes at a time.
const panel = 64

// cholesky replaces a lower triangle by its Cholesky factor, with several threads, and returns −1, or the
// first row that depends on those before.
func cholesky(l [][]float64) int {
	for j0 := 0; j0 < len(l); j0 += panel {
		j1 := min(j0+panel, len(l))
		for i := j0; i < j1; i++ {
			eliminate(l, i, j0, i)
			sum := l[i][i] - dot64(l[i][:i], l[i][:i])
			if !(sum > 0) {
				return i
			}
			l[i][i] = math.Sqrt(sum)
		}
		threads := min(runtime.GOMAXPROCS(0), (len(l)-j1)/panel+1)
		var group sync.WaitGroup
		for k := range threads {
			group.Go(func() {
				for i := j1 + k; i < len(l); i += threads {
					eliminate(l, i, j0, j1)
				}
			})
		}
		group.Wait()
	}
	return -1
}

// eliminate finishes the columns j0 to j1 of row i, those before it being done.
func eliminate(l [][]float64, i, j0, j1 int) {
	for j := j0; j < j1; j++ {
		l[i][j] = (l[i][j] - dot64(l[i][:j], l[j][:j])) / l[j][j]
	}
}
