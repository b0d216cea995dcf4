package hf

import (
	"math"
	"slices"
)

// change is what an adapter does to a matrix or vector.
type change interface {
	// rows changes dst, [n][cols], rows row to row+n−1 of the matrix.
	rows(row, n int, dst []float32)
}

// delta adds scale·L·R, where L is [rows][rank] and R is [rank][cols].
type delta struct {
	left       func(row, n int, dst []float32) // rows of L
	right      func(k, n int, dst []float32)   // rows of R
	rank, cols int
	scale      float32
}

// together is how many rows of R are multiplied at a time.
const together = 4

// rows adds to dst. Products are summed up in float32 in the order of the rank.
func (d *delta) rows(row, n int, dst []float32) {
	left := make([]float32, n*d.rank)
	d.left(row, n, left)
	sum := make([]float32, len(dst))
	right := make([]float32, together*d.cols)
	for k := 0; k < d.rank; k += together {
		m := min(together, d.rank-k)
		d.right(k, m, right[:m*d.cols])
		for r := range n {
			line := sum[r*d.cols : (r+1)*d.cols]
			b := left[r*d.rank+k : r*d.rank+k+m]
			if m == together {
				addFour(line, b, right)
				continue
			}
			for j, f := range b {
				multiplyAdd(line, f, right[j*d.cols:(j+1)*d.cols])
			}
		}
	}
	for i, v := range sum {
		dst[i] += float32(d.scale * v)
	}
}

// addFour is multiplyAdd for four factors and as many rows of v, one after the other.
func addFour(sum, f, v []float32) {
	n := len(sum)
	v0, v1, v2, v3 := v[:n], v[n:2*n], v[2*n:3*n], v[3*n:4*n]
	f0, f1, f2, f3 := f[0], f[1], f[2], f[3]
	for i, s := range sum {
		s += float32(f0 * v0[i])
		s += float32(f1 * v1[i])
		s += float32(f2 * v2[i])
		sum[i] = s + float32(f3*v3[i])
	}
}

// multiplyAdd adds f·v to sum. The conversion keeps every processor from fusing the two.
func multiplyAdd(sum []float32, f float32, v []float32) {
	v = v[:len(sum)]
	for i := range sum {
		sum[i] += float32(f * v[i])
	}
}

// dora is a delta after which every row has the length that the adapter learned for it.
type dora struct {
	delta
	lengths stored // [rows]
}

func (d *dora) rows(row, n int, dst []float32) {
	d.delta.rows(row, n, dst)
	lengths := make([]float32, n)
	d.lengths.decode(row, lengths)
	for r, length := range lengths {
		line := dst[r*d.cols : (r+1)*d.cols]
		var squares float64
		for _, v := range line {
			squares += float64(v) * float64(v)
		}
		scaleRow(line, length/float32(math.Sqrt(squares)))
	}
}

func scaleRow(line []float32, f float32) {
	for i := range line {
		line[i] *= f
	}
}

// doraColumns is a delta of an embedding after which every column has the length that the adapter learned.
type doraColumns struct {
	delta
	factors []float32 // of the columns
}

func (d *doraColumns) rows(row, n int, dst []float32) {
	d.delta.rows(row, n, dst)
	for i := range dst {
		dst[i] *= d.factors[i%d.cols]
	}
}

// trained puts a whole tensor in the place of the model's.
type trained struct {
	stored
	total, cols int
	transposed  bool // stored [cols][total]
}

func (w *trained) rows(row, n int, dst []float32) {
	if !w.transposed {
		w.decode(row*w.cols, dst[:n*w.cols])
		return
	}
	column := make([]float32, n)
	for c := range w.cols {
		w.decode(c*w.total+row, column)
		for r, v := range column {
			dst[r*w.cols+c] = v
		}
	}
}

// someRows puts trained rows in the place of a few of the model's.
type someRows struct {
	stored
	cols int
	at   map[int]int // by the row, where it is
}

func (s *someRows) rows(row, n int, dst []float32) {
	for r := range n {
		if at, ok := s.at[row+r]; ok {
			s.decode(at*s.cols, dst[r*s.cols:(r+1)*s.cols])
		}
	}
}

// addition adds scale times a vector.
type addition struct {
	stored
	scale float32
}

func (a *addition) rows(row, n int, dst []float32) {
	v := make([]float32, n)
	a.decode(row, v)
	multiplyAdd(dst, a.scale, v)
}

// partly goes a part of the way that a change goes.
type partly struct {
	change
	scale float32
}

func (p *partly) rows(row, n int, dst []float32) {
	before := slices.Clone(dst)
	p.change.rows(row, n, dst)
	for i, v := range dst {
		dst[i] = before[i] + p.scale*(v-before[i])
	}
}
