package quant

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// Rounder encodes rows with a Feedback, several at a time: most of the work on a row is passes over matrices of
// [n][n], and what is read for one row serves the others. A row gets the same bits whatever rows are rounded with
// it. A Rounder is not for use by several goroutines at a time.
type Rounder struct {
	// Losses are Σ (w−ŵ)ᵀ·h·(w−ŵ) of the rows of the last call, with the damped h of the Feedback.
	Losses []float64

	f      *Feedback
	check  *Encoder // says whether a row can be encoded at all, and counts
	grid   *Encoder // finds the first scales and zero-points
	rounds int
	row    int // number of the next row
	shift  int // column >> shift is its block
	sums   *blockSums
	rows   []*rounding

	codes  []uint8     // of a block, from 0
	normal [][]float64 // see fitScales
	target []float64
	moves  []float32
}

// RowsAtATime is how many rows are rounded together, unless the matrix is so large that their state would take more
// than rowsBytes.
const (
	RowsAtATime = 8
	rowsBytes   = 16 << 20
)

// NewRounder returns a Rounder for rows in the scheme. Blocks get their first scales and zero-points
// by the search, columns weighted by their inputs. rounds is how often scales, codes and zero-points
// are improved after the feedback, by least squares and coordinate descent.
func NewRounder(f *Feedback, s block.Scheme, o Options, rounds int) (*Rounder, error) {
	o.Method, o.Weights = RTN, nil
	check, err := NewEncoder(s, o)
	if err != nil {
		return nil, err
	}
	o.Method, o.Weights, o.Saturate = Search, f.diag, true // that the row itself can be encoded is known by then
	grid, err := NewEncoder(s, o)
	if err != nil {
		return nil, err
	}
	n, blocks := f.n, s.Blocks(f.n)
	r := &Rounder{
		f: f, check: check, grid: grid, rounds: rounds, sums: f.blockSums(s.Block),
		codes: make([]uint8, s.Block), target: make([]float64, blocks), moves: make([]float32, blocks),
	}
	for 1<<r.shift < s.Block {
		r.shift++
	}
	for b := range blocks {
		r.normal = append(r.normal, make([]float64, b+1))
	}
	for range min(max(rowsBytes/(4*blocks*n), 1), RowsAtATime) {
		r.rows = append(r.rows, newRounding(n, blocks, rounds > 0))
	}
	return r, nil
}

// blockSums are sums over the columns of each block.
type blockSums struct {
	rows   []float32 // [blocks][n]: Σ of the block's rows of hess
	curves []float32 // [blocks]: Σ of these over the block
}

// blockSums returns the sums for blocks of a length.
func (f *Feedback) blockSums(length int) *blockSums {
	f.mu.Lock()
	defer f.mu.Unlock()
	if sums := f.sums[length]; sums != nil {
		return sums
	}
	n := f.n
	sums := &blockSums{}
	for at := 0; at < n; at += length {
		sum, end := make([]float32, n), min(at+length, n)
		for j := at; j < end; j++ {
			axpy(sum, 1, f.hess[j*n:(j+1)*n])
		}
		var curve float32
		for _, v := range sum[at:end] {
			curve += v
		}
		sums.rows, sums.curves = append(sums.rows, sum...), append(sums.curves, curve)
	}
	f.sums[length] = sums
	return sums
}

// Stats reports the losses of the rows so far.
func (r *Rounder) Stats() Stats { return r.check.Stats }

// Seek says which row of the matrix comes next; at first it is 0.
func (r *Rounder) Seek(row int) { r.row = row }

// Rows encodes the next rows, w [rows][n], to dst, as Encoder.Row does. With an error, which is a *WeightError, it
// returns the number of the row in w that cannot be encoded.
func (r *Rounder) Rows(dst []byte, w []float32) (int, error) {
	n, size := r.f.n, r.check.scheme.RowBytes(r.f.n)
	rows := len(w) / n
	r.Losses = r.Losses[:0]
	for at := 0; at < rows; at += len(r.rows) {
		to := min(at+len(r.rows), rows)
		if bad, err := r.together(dst[at*size:to*size], w[at*n:to*n], r.rows[:to-at]); err != nil {
			return at + bad, err
		}
	}
	return rows, nil
}

// together encodes rows at the same time.
func (r *Rounder) together(dst []byte, w []float32, rows []*rounding) (int, error) {
	n, size, loss := r.f.n, len(dst)/len(rows), r.check.Stats.Error
	for i, x := range rows {
		if err := r.check.Row(dst[i*size:(i+1)*size], w[i*n:(i+1)*n]); err != nil {
			return i, err
		}
		r.take(x, w[i*n:(i+1)*n])
	}
	if r.f.gap != nil {
		r.f.aim(rows, r.row)
	}
	for i, x := range rows {
		if err := r.grid.Row(dst[i*size:(i+1)*size], x.w); err != nil {
			return i, err
		}
		r.open(x, dst[i*size:(i+1)*size])
	}
	r.round(rows)
	for i, x := range rows {
		r.close(x, dst[i*size:(i+1)*size])
		for j, v := range x.given {
			d := float64(v) - float64(r.value(x, j))
			loss += d * d
		}
		r.Losses = append(r.Losses, x.best.cost)
	}
	r.check.Stats.Error = loss
	r.row += len(rows)
	return 0, nil
}

// restarts is how often feedback begins anew, with the scales and zero-points that suited the codes
// before: it finds other codes than small moves do.
const restarts = 2

// round finds codes, scales and zero-points for rows.
func (r *Rounder) round(rows []*rounding) {
	for _, x := range rows {
		x.best.cost = math.Inf(1)
	}
	active := append(make([]*rounding, 0, RowsAtATime), rows...)
	for range restarts + 1 {
		r.feed(active)
		r.gradients(active)
		better := active[:0]
		for _, x := range active {
			before := x.best.cost
			r.refine(x)
			x.restore()
			if x.best.cost < before && r.rounds > 0 {
				better = append(better, x)
			}
		}
		active = better
	}
}

// refine improves a row in rounds, as long as they do, and keeps the best.
func (r *Rounder) refine(x *rounding) {
	x.saveIfBetter(r.cost(x))
	last := math.Inf(1)
	for range r.rounds {
		r.fitScales(x)
		r.moveCodes(x)
		r.moveZeros(x)
		r.moveCodes(x)
		cost := r.cost(x)
		x.saveIfBetter(cost)
		if !(cost < last) {
			return
		}
		last = cost
	}
}
