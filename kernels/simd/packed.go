package simd

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// Format says how the rows of a Packed matrix are stored.
type Format struct {
	block.Packing
	Brain bool // floats of 16 bits are bfloat16
}

// Decode fills dst with the weights of a stored row.
func (f Format) Decode(dst []float32, row []byte) {
	if !f.Brain {
		f.DecodeRow(dst, row)
		return
	}
	row = row[:2*len(dst)]
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(row[2*i:])) << 16)
	}
}

// Packed is a matrix as it is stored: rows that follow each other without padding, f.RowBytes(Cols) bytes each. Its
// bytes may lie at any address, in a mapped file.
type Packed struct {
	Format
	Data []byte
	Rows int
	Cols int
}

// padded returns how many numbers the products of a row are taken of: all columns of its blocks, or, of floats, those
// before the last few.
func (m *Packed) padded() int {
	if m.Block > 0 {
		return Pad(m.Cols, m.Block)
	}
	return m.Cols
}

// Arranged returns how many numbers Arrange writes.
func (m *Packed) Arranged() int {
	if n := m.integral(); n.block > 0 {
		return n.floats()
	}
	return m.padded()
}

// Order says how a vector is arranged for products with a matrix: two of one Order need it once.
type Order struct {
	integral             integral
	group, codes, padded int
}

// Order returns the order in which products with m want their vector.
func (m *Packed) Order() Order {
	o := Order{m.integral(), 1, 1, m.padded()}
	if n := m.lanes(); o.integral.block == 0 && n > 1 && m.Block > 0 && m.Bits < 8 {
		o.group, o.codes = n, 8/m.Bits
	}
	return o
}

// Arrange writes x, of Cols numbers, to dst in the order in which MultiplyVector wants it.
func (m *Packed) Arrange(dst, x []float32) {
	o := m.Order()
	if x = x[:m.Cols]; o.integral.block > 0 {
		o.integral.arrange(dst[:o.integral.floats()], x)
		return
	}
	if dst = dst[:o.padded]; o.codes == 1 {
		clear(dst[copy(dst, x):])
		return
	}
	step := o.group * o.codes
	for from := 0; from < o.padded; from += step {
		to := dst[from : from+step]
		if from+step <= len(x) {
			spread(to, x[from:from+step], o)
			continue
		}
		var last [64]float32
		copy(last[:step], x[min(from, len(x)):])
		spread(to, last[:step], o)
	}
}

// spread writes codes of bytes next to each other: the first of all bytes, then the second.
func spread(dst, x []float32, o Order) {
	for b := range o.group {
		for k := range o.codes {
			dst[k*o.group+b] = x[b*o.codes+k]
		}
	}
}

// MultiplyVector sets y to the rows from row0 on times the vector that Arrange wrote to x.
func (m *Packed) MultiplyVector(y []float32, row0 int, x []float32) {
	n, size := m.integral(), m.RowBytes(m.Cols)
	want := n.floats()
	if n.block == 0 {
		want = m.padded()
	}
	if row0 < 0 || row0+len(y) > m.Rows || len(m.Data) < m.Rows*size || len(x) < want {
		panic(fmt.Sprintf("simd: rows %d to %d of a matrix %d×%d in %d bytes, times %d numbers", row0, row0+len(y), m.Rows, m.Cols, len(m.Data), len(x)))
	}
	switch w := m.Data[row0*size:]; {
	case len(y) == 0:
	case n.block > 0:
		m.multiplyIntegers(n, y, w, x)
	default:
		m.multiply(y, w, x)
	}
}

// multiplyGo is the definition of MultiplyVector, for rows in the order of their columns.
func (m *Packed) multiplyGo(y []float32, w []byte, x []float32) {
	size := m.RowBytes(m.Cols)
	for i := range y {
		y[i] = m.dotGo(w[i*size:(i+1)*size], x)
	}
}

// dotGo adds up a row, Lane sums at a time.
func (m *Packed) dotGo(row []byte, x []float32) float32 {
	const piece = 256
	var (
		part  [piece]float32
		lanes [Lane]float32
	)
	n := piece
	if m.Block > 0 {
		n = m.Block
	}
	for from := 0; from < m.Cols; from += n {
		w := part[:min(n, m.Cols-from)]
		size := m.RowBytes(len(w))
		m.Decode(w, row[:size])
		row = row[size:]
		for i, v := range w {
			lanes[i%Lane] += v * x[from+i]
		}
	}
	s := float32(0)
	for _, v := range lanes {
		s += v
	}
	return s
}

// Dots sets y[i] to the product of row i of w with x. Rows have at least len(x) numbers and begin stride numbers apart.
func Dots(y, w []float32, stride int, x []float32) {
	if len(y) == 0 {
		return
	}
	_ = w[(len(y)-1)*stride+len(x)-1]
	dots(y, w, stride, x)
}

// dotsGo is the definition of Dots.
func dotsGo(y, w []float32, stride int, x []float32) {
	for i := range y {
		var lanes [Lane]float32
		for j, v := range w[i*stride:][:len(x)] {
			lanes[j%Lane] += v * x[j]
		}
		s := float32(0)
		for _, v := range lanes {
			s += v
		}
		y[i] = s
	}
}
