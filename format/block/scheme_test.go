package block

import (
	"errors"
	"math"
	"testing"
)

// schemes lists all that the format has.
func schemes() []Scheme {
	var all []Scheme
	for _, bits := range []int{8, 4, 2} {
		for _, length := range []int{32, 64, 128, 256} {
			all = append(all, Scheme{Bits: bits, Block: length})
		}
	}
	return all
}

// readCode reads code i of a block bit by bit, knowing nothing but the format.
func readCode(s Scheme, block []byte, i int) int {
	q := 0
	for b := range s.Bits {
		at := i*s.Bits + b
		q |= int(block[3+at/8]>>(at%8)&1) << b
	}
	if s.Bits == 8 && q > 127 {
		q -= 256
	}
	return q
}

// naive decodes a row that way.
func naive(s Scheme, src []byte, cols int) []float32 {
	w := make([]float32, cols)
	for i := range w {
		record := src[i/s.Block*s.BlockBytes():]
		scale := FromFloat16(uint16(record[0]) | uint16(record[1])<<8)
		w[i] = float32(readCode(s, record, i%s.Block)-int(int8(record[2]))) * scale
	}
	return w
}

func TestCheck(t *testing.T) {
	s := Scheme{Bits: 4, Block: 32}
	row := make([]byte, s.RowBytes(70))
	if err := s.Check(row, 70); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []uint16{0x7c00, 0x7e00, 0x8000, 0xbc00, 0xffff} {
		broken := append([]byte(nil), row...)
		broken[s.BlockBytes()], broken[s.BlockBytes()+1] = byte(bad), byte(bad>>8)
		var se *ScaleError
		if err := s.Check(broken, 70); !errors.As(err, &se) || se.Block != 1 {
			t.Errorf("scale %#04x: %v", bad, err)
		}
	}
	if err := s.Check(row[1:], 70); !errors.Is(err, ErrLength) {
		t.Errorf("short row: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 60, 0, 1, 2, 3}, byte(4), uint16(5))
	f.Add([]byte{255, 255, 255, 255}, byte(0), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, scheme byte, cols uint16) {
		s := schemes()[int(scheme)%len(schemes())]
		n := int(cols) % 700
		err := s.Check(data, n)
		if len(data) != s.RowBytes(n) {
			if !errors.Is(err, ErrLength) {
				t.Fatalf("%d bytes for %d weights: %v", len(data), n, err)
			}
			data = append(data, make([]byte, s.RowBytes(n))...)[:s.RowBytes(n)]
		}
		got, want := make([]float32, n), naive(s, data, n)
		s.DecodeRow(got, data)
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) && got[i] == got[i] {
				t.Fatalf("column %d: %v, bit by bit %v", i, got[i], want[i])
			}
			if err == nil && len(data) == s.RowBytes(n) && s.Check(data, n) == nil && got[i]-got[i] != 0 && math.Abs(float64(got[i])) <= MaxFloat16 {
				t.Fatalf("column %d: %v from a row that passed", i, got[i])
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, s := range []Scheme{{Bits: 8, Block: 128}, {Bits: 4, Block: 128}, {Bits: 2, Block: 256}} {
		b.Run(s.String(), func(b *testing.B) {
			w := make([]float32, 1<<14)
			src := make([]byte, s.RowBytes(len(w)))
			for b.Loop() {
				s.DecodeRow(w, src)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(w)), "ns/weight")
		})
	}
}
