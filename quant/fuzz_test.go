package quant

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

func FuzzEncode(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 192}, byte(0), byte(0))
	f.Add([]byte{0, 0, 192, 127, 0, 0, 128, 255}, byte(5), byte(3))
	f.Add([]byte{1, 0, 0, 0, 255, 255, 127, 127}, byte(11), byte(7))
	f.Fuzz(func(t *testing.T, data []byte, scheme, flags byte) {
		s := schemes()[int(scheme)%len(schemes())]
		w := make([]float32, min(len(data)/4, 600))
		for i := range w {
			w[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		o := Options{Method: RTN, Sanitize: flags&1 != 0, Saturate: flags&2 != 0}
		if flags&4 != 0 {
			o.Method = Search
		}
		e, err := NewEncoder(s, o)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]byte, s.RowBytes(len(w)))
		if err := e.Row(row, w); err != nil {
			var we *WeightError
			if !errors.As(err, &we) || we.Col < 0 || we.Col >= len(w) {
				t.Fatalf("not an error that names a column: %v", err)
			}
			if o.Saturate && (o.Sanitize || !errors.Is(err, block.ErrNotFinite)) {
				t.Fatalf("error though it was to be mended: %v", err)
			}
			return
		}
		if err := s.Check(row, len(w)); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(w))
		s.DecodeRow(got, row)
		for i, v := range got {
			if math.Abs(float64(v)) > block.MaxFloat16 || v != v {
				t.Fatalf("column %d: %v becomes %v", i, w[i], v)
			}
		}
	})
}
