package block

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/x448/float16"
)

func TestFromFloat16(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		got, want := FromFloat16(h), float16.Frombits(h).Float32()
		if math.Float32bits(got) != math.Float32bits(want) && want == want || want != want && got == got {
			t.Fatalf("%#04x: got %v, want %v", h, got, want)
		}
		if got == got && Float16(got) != h {
			t.Fatalf("%#04x: back to %#04x", h, Float16(got))
		}
	}
}

// TestFloat16 rounds every float16, every middle between two, their float32 neighbors, and random
// numbers.
func TestFloat16(t *testing.T) {
	check := func(x float32) {
		t.Helper()
		want := uint16(float16.Fromfloat32(x))
		if got := Float16(x); got != want {
			t.Fatalf("%v (%#08x): got %#04x, want %#04x", x, math.Float32bits(x), got, want)
		}
		if got := RoundFloat16(math.Abs(float64(x))); got != float64(float16.Frombits(want&0x7fff).Float32()) {
			t.Fatalf("%v: rounds to %v, want %v", x, got, float16.Frombits(want&0x7fff))
		}
	}
	inf := float32(math.Inf(1))
	for i := range InfFloat16 {
		a, b := FromFloat16(uint16(i)), FromFloat16(uint16(i+1))
		if b == inf {
			b = 65536
		}
		for _, x := range []float32{a, a + (b-a)/2} {
			for _, y := range []float32{x, math.Nextafter32(x, 0), math.Nextafter32(x, inf)} {
				check(y)
				check(-y)
			}
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1 << 18 {
		if x := math.Float32frombits(rnd.Uint32()); x == x {
			check(x)
		}
	}
	if h := Float16(float32(math.NaN())); h&0x7fff <= InfFloat16 {
		t.Errorf("NaN becomes %#04x", h)
	}
}

// TestFloat16s compares Float16s with Float16 around every float16 and every middle of two, and for
// random bits, NaN included, in rows of every length.
func TestFloat16s(t *testing.T) {
	var w []float32
	for i := range 1 << 16 {
		v := FromFloat16(uint16(i))
		b := math.Float32bits(v)
		w = append(w, v, math.Float32frombits(b+1), math.Float32frombits(b-1), math.Float32frombits(b+0x1000), math.Float32frombits(b+0xfff), math.Float32frombits(b+0x1001))
	}
	rnd := rand.New(rand.NewPCG(3, 3))
	for range 1 << 18 {
		w = append(w, math.Float32frombits(rnd.Uint32()))
	}
	for n := range 70 {
		checkFloat16s(t, w[n*100:n*100+n])
	}
	checkFloat16s(t, w)
}

func checkFloat16s(t *testing.T, w []float32) {
	t.Helper()
	got := make([]byte, 2*len(w))
	Float16s(got, w)
	for i, v := range w {
		if h := binary.LittleEndian.Uint16(got[2*i:]); h != Float16(v) {
			t.Fatalf("%v (%#08x) becomes %#04x, want %#04x", v, math.Float32bits(v), h, Float16(v))
		}
	}
}
