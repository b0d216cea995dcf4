package verify

import (
	"math"
	"path/filepath"
	"testing"
)

// relativeRMS is the root mean square of the difference over that of want.
func relativeRMS(t *testing.T, have, want []float32) float64 {
	t.Helper()
	if len(have) != len(want) || len(have) == 0 {
		t.Fatalf("%d numbers, want %d", len(have), len(want))
	}
	var d, w float64
	for i, v := range want {
		d += (float64(have[i]) - float64(v)) * (float64(have[i]) - float64(v))
		w += float64(v) * float64(v)
	}
	return math.Sqrt(d / w)
}

// TestEngine holds the vector arithmetic to the reference on every family, in one go, in uneven pieces and token
// by token, with the rounded cache of a GPU and without.
func TestEngine(t *testing.T) {
	for _, dir := range families(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			w := open(t, dir)
			ids := readRecorded(t, dir).ids
			for _, o := range []ReferenceOptions{{}, {KVFloat16: true, MaxSeqLen: len(ids) - 5}} {
				allowed := 1e-5
				if o.KVFloat16 {
					allowed = 1e-3 // a key on the other side of a tie is off by 2⁻¹¹
				}
				want := feed(t, reference(t, w, o), ids, len(ids))
				o.Vector = true
				for _, sizes := range [][]int{{len(ids)}, {5, 1, 9, 2, 7}, {1}} {
					if rms := relativeRMS(t, feed(t, reference(t, w, o), ids, sizes...), want); !(rms <= allowed) {
						t.Errorf("%+v, fed by %v: relative RMS %.2g", o, sizes, rms)
					}
				}
			}
		})
	}
}

// TestEngineFar holds it to the reference over several tiles of queries and keys.
func TestEngineFar(t *testing.T) {
	w := open(t, "../testdata/tiny")
	ids := make([]int32, 700)
	for i := range ids {
		ids[i] = int32(i * i * 31 % 4096)
	}
	want := feed(t, reference(t, w, ReferenceOptions{}), ids, len(ids))
	have := feed(t, reference(t, w, ReferenceOptions{Vector: true}), ids, 600, 100)
	if rms := relativeRMS(t, have, want); !(rms <= 1e-5) {
		t.Errorf("relative RMS %.2g", rms)
	}
}

func BenchmarkEngine(b *testing.B) {
	w := open(b, "../testdata/tiny")
	ids := make([]int32, 512)
	for _, v := range []bool{false, true} {
		name := map[bool]string{false: "reference", true: "vector"}[v]
		b.Run(name, func(b *testing.B) {
			r, err := NewReference(w, ReferenceOptions{Vector: v})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				r.Reset()
				if err := r.Forward(b.Context(), ids, 0, func(int, []float32) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(512*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
