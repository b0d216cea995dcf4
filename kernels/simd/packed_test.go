package simd

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// formats lists all that a matrix can be stored in.
func formats() []Format {
	all := []Format{{Packing: block.Packing{Bits: 16}}, {Packing: block.Packing{Bits: 16}, Brain: true}, {Packing: block.Packing{Bits: 32}}}
	for _, bits := range []int{8, 4, 2} {
		for _, size := range []int{32, 64, 128, 256} {
			all = append(all, Format{Packing: block.Packing{Bits: bits, Block: size}})
		}
	}
	return all
}

// made returns a matrix of random weights, beginning at an odd address.
func made(r *rand.Rand, f Format, rows, cols int) *Packed {
	size := f.RowBytes(cols)
	data := make([]byte, rows*size+1)[1:]
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for i := range rows {
		row := data[i*size:][:size]
		switch {
		case f.Block > 0:
			for at := 0; at < size; at += block.Scheme(f.Packing).BlockBytes() {
				binary.LittleEndian.PutUint16(row[at:], block.Float16(r.Float32()))
			}
		case f.Bits == 32:
			for at := 0; at < size; at += 4 {
				binary.LittleEndian.PutUint32(row[at:], math.Float32bits(float32(r.NormFloat64())))
			}
		case f.Brain:
			for at := 0; at < size; at += 2 {
				binary.LittleEndian.PutUint16(row[at:], uint16(math.Float32bits(float32(r.NormFloat64()))>>16))
			}
		default:
			for at := 0; at < size; at += 2 {
				binary.LittleEndian.PutUint16(row[at:], block.Float16(float32(r.NormFloat64())))
			}
		}
	}
	return &Packed{Format: f, Data: data, Rows: rows, Cols: cols}
}

// TestMultiplyVector compares with sums of float64 over decoded weights.
func TestMultiplyVector(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	eachLevel(t, func(t *testing.T) {
		for _, f := range formats() {
			for _, size := range [][2]int{{1, 1}, {2, 16}, {5, 40}, {7, 256}, {4, 576}, {3, 700}} {
				m := made(r, f, size[0], size[1])
				checkVector(t, r, m, 0, m.Rows)
				checkVector(t, r, m, m.Rows/2, m.Rows-m.Rows/2)
			}
		}
	})
}

func checkVector(t *testing.T, r *rand.Rand, m *Packed, row0, n int) {
	t.Helper()
	x, w := make([]float32, m.Cols), make([]float32, m.Cols)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	x[r.IntN(len(x))] *= 1000 // costs only its own block precision
	in, y := make([]float32, m.Arranged()), make([]float32, n)
	m.Arrange(in, x)
	m.MultiplyVector(y, row0, in)
	steps := stepsOf(m, x)
	for i, got := range y {
		m.Decode(w, m.Data[(row0+i)*m.RowBytes(m.Cols):][:m.RowBytes(m.Cols)])
		want, bound := 0.0, 1e-12
		for j, v := range w {
			p := float64(v) * float64(x[j])
			want += p
			bound += 1e-6*math.Abs(p) + math.Abs(float64(v))*steps[j]/2
		}
		if !(math.Abs(float64(got)-want) <= bound) {
			t.Fatalf("%v, brain %v, %d×%d: row %d is %v, want %v", m.Packing, m.Brain, m.Rows, m.Cols, row0+i, got, want)
		}
	}
}

// stepsOf returns by how much each element of x is rounded: not at all, unless it becomes an integer.
func stepsOf(m *Packed, x []float32) []float64 {
	steps, n := make([]float64, len(x)), m.integral()
	for from := 0; n.block > 0 && from < len(x); from += n.block {
		most, block := 0.0, x[from:min(len(x), from+n.block)]
		for _, v := range block {
			most = max(most, math.Abs(float64(v)))
		}
		for i := range block {
			steps[from+i] = most / float64(n.largest())
		}
	}
	return steps
}

// TestNotFinite: what is no number, or no finite one, makes no finite product.
func TestNotFinite(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	eachLevel(t, func(t *testing.T) {
		for _, f := range formats() {
			for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				m := made(r, f, 4, 600)
				x, in, y := make([]float32, 600), make([]float32, m.Arranged()), make([]float32, 4)
				x[599] = 1
				x[r.IntN(600)] = float32(v)
				m.Arrange(in, x)
				m.MultiplyVector(y, 0, in)
				for i, got := range y {
					if got := float64(got); !math.IsNaN(got) && !math.IsInf(got, 0) {
						t.Fatalf("%v times %v: row %d is %v", f.Packing, v, i, got)
					}
				}
			}
		}
	})
}

func TestDots(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	eachLevel(t, func(t *testing.T) {
		for _, size := range [][2]int{{1, 1}, {2, 16}, {5, 40}, {7, 300}} {
			rows, cols := size[0], size[1]
			w, x, y := make([]float32, rows*(cols+3)), make([]float32, cols), make([]float32, rows)
			for i := range w {
				w[i] = float32(r.NormFloat64())
			}
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			Dots(y, w, cols+3, x)
			for i, got := range y {
				want := 0.0
				for j, v := range x {
					want += float64(v) * float64(w[i*(cols+3)+j])
				}
				if math.Abs(float64(got)-want) > 1e-4 {
					t.Fatalf("%v: row %d is %v, want %v", size, i, got, want)
				}
			}
		}
	})
}

// TestVectorAllocates: nothing.
func TestVectorAllocates(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	eachLevel(t, func(t *testing.T) {
		for _, f := range formats() {
			m := made(r, f, 7, 70)
			x, in, y := make([]float32, 70), make([]float32, m.Arranged()), make([]float32, 7)
			if n := testing.AllocsPerRun(10, func() { m.Arrange(in, x); m.MultiplyVector(y, 0, in) }); n != 0 {
				t.Errorf("%v: %v allocations", f.Packing, n)
			}
		}
	})
}

func BenchmarkMultiplyVector(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range formats() {
		b.Run(fmt.Sprint(f.Packing, f.Brain), func(b *testing.B) {
			m := made(r, f, 256, 576)
			x := make([]float32, m.Arranged())
			y := make([]float32, m.Rows)
			for b.Loop() {
				m.MultiplyVector(y, 0, x)
			}
			b.ReportMetric(float64(len(m.Data))*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
		})
	}
}

// BenchmarkFromMemory reads matrices that no cache holds.
func BenchmarkFromMemory(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range formats() {
		if f.Block != 0 && f.Block != 64 && f.Block != 128 {
			continue
		}
		b.Run(fmt.Sprint(f.Packing, f.Brain), func(b *testing.B) {
			const cols, bytes = 1536, 256 << 20
			few := made(r, f, 256, cols)
			m := &Packed{Format: f, Cols: cols, Rows: bytes / f.RowBytes(cols)}
			m.Data = make([]byte, m.Rows*f.RowBytes(cols))
			for at := 0; at < len(m.Data); at += copy(m.Data[at:], few.Data) {
			}
			x, y := make([]float32, m.Arranged()), make([]float32, m.Rows)
			for b.Loop() {
				m.MultiplyVector(y, 0, x)
			}
			b.ReportMetric(float64(len(m.Data))*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
		})
	}
}
