package block

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

// TestPacking decodes a row of every kind of floats, and one of blocks as its Scheme does.
func TestPacking(t *testing.T) {
	want := []float32{0, -1.5, 65504, 0x1p-24, 3}
	half, single := make([]byte, 10), make([]byte, 20)
	for i, v := range want {
		binary.LittleEndian.PutUint16(half[2*i:], Float16(v))
		binary.LittleEndian.PutUint32(single[4*i:], math.Float32bits(v))
	}
	blocks := make([]byte, Scheme{4, 32}.RowBytes(5))
	blocks[1], blocks[3] = 0x3c, 0x21 // a scale of 1; codes 1, 2, 0, …
	for _, c := range []struct {
		p    Packing
		name string
		row  []byte
		want []float32
	}{
		{Packing{16, 0}, "f16", half, want},
		{Packing{32, 0}, "f32", single, want},
		{Packing{4, 32}, "int4/32", blocks, []float32{1, 2, 0, 0, 0}},
	} {
		got := make([]float32, 5)
		c.p.DecodeRow(got, c.row)
		if !slices.Equal(got, c.want) || c.p.String() != c.name || c.p.RowBytes(5) != len(c.row) {
			t.Errorf("%v, rows of %d bytes: %v, want %v", c.p, c.p.RowBytes(5), got, c.want)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v: a row that is too short was decoded", c.p)
				}
			}()
			c.p.DecodeRow(got, c.row[1:])
		}()
	}
}

// TestFromFloat16s compares with FromFloat16, bit by bit but for NaN, in rows of every length.
func TestFromFloat16s(t *testing.T) {
	src := make([]byte, 1<<17)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(src[2*i:], uint16(i))
	}
	dst := make([]float32, 1<<16)
	for n := range 70 {
		FromFloat16s(dst[:n], src[1000:])
		for i, v := range dst[:n] {
			if want := FromFloat16(uint16(500 + i)); v != want {
				t.Fatalf("%d of %d: %v, want %v", i, n, v, want)
			}
		}
	}
	FromFloat16s(dst, src)
	for i, v := range dst {
		if want := FromFloat16(uint16(i)); math.Float32bits(v) != math.Float32bits(want) && (v == v || want == want) {
			t.Fatalf("%#04x: %v, want %v", i, v, want)
		}
	}
}
