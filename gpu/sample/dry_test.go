package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// longest is how many tokens at the end of the text, without a breaker among them, are also those before place i.
func longest(text []int32, i int, breaks Mask) (n int) {
	for n < i && !breaks.Has(text[len(text)-1-n]) && text[len(text)-1-n] == text[i-1-n] {
		n++
	}
	return n
}

// On random texts of few tokens, the penalties are those that a plain search finds.
func TestDRYAgainstSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		o := Options{DRYMultiplier: .5 + r.Float32(), DRYBase: 1 + r.Float32(), DRYAllowedLength: 1 + r.IntN(3), DRYLast: []int{0, -1, 7, 40}[r.IntN(4)]}
		breaks := Mask{uint64(r.IntN(2))} // token 0, or none
		s := newSampler(t, o)
		s.Break(breaks)
		text := make([]int32, 1+r.IntN(60))
		for i := range text {
			text[i] = int32(r.IntN(3))
			s.Accept(text[i])
		}
		if o.DRYLast > 0 && len(text) > o.DRYLast {
			text = text[len(text)-o.DRYLast:]
		}
		want := map[int32]int{}
		for i := 1; i < len(text); i++ {
			if n := longest(text, i, breaks); n >= o.DRYAllowedLength && !breaks.Has(text[i]) {
				want[text[i]] = max(want[text[i]], n)
			}
		}
		got := s.repeated()
		if len(got) != len(want) {
			t.Fatalf("%+v, %v: %v, want those of %v", o, text, got, want)
		}
		for id, n := range want {
			if w := float64(o.DRYMultiplier) * math.Pow(float64(o.DRYBase), float64(n-o.DRYAllowedLength)); math.Abs(float64(got[id])-w) > 1e-5*w {
				t.Fatalf("%+v, %v: %v is taken from token %d, want %v: %d tokens are repeated", o, text, got[id], id, w, n)
			}
		}
	}
}

// A model that would repeat itself without end leaves the circle.
func TestDRYEndsACircle(t *testing.T) {
	s := newSampler(t, Options{DRYMultiplier: .8})
	logits := func(last int32) []float32 {
		l := make([]float32, 8)
		l[(last+1)%4] = 3 // 0 1 2 3 0 1 2 3 …
		l[4+last%4] = 1
		return l
	}
	var text []int32
	last := int32(3)
	for range 24 {
		last = sampled(t, s, logits(last))
		s.Accept(last)
		text = append(text, last)
	}
	left := slices.IndexFunc(text, func(id int32) bool { return id >= 4 })
	if left < 4 || left > 12 {
		t.Errorf("the circle was left after %d tokens: %v", left, text)
	}
}

// A repetition as long as can be leaves finite logits, and one that is forbidden anyway stays so.
func TestDRYIsFinite(t *testing.T) {
	s := newSampler(t, Options{DRYMultiplier: math.MaxFloat32, DRYBase: 1e9, LogitBias: map[int32]float32{1: float32(math.Inf(-1))}})
	for range 3000 {
		s.Accept(0)
	}
	if id := sampled(t, s, []float32{5, 9, 1}); id != 2 {
		t.Errorf("token %d", id)
	}
}

func FuzzDRY(f *testing.F) {
	f.Add([]byte("abcabcabc"), 2)
	f.Fuzz(func(t *testing.T, data []byte, allowed int) {
		if allowed < 1 || allowed > 100 || len(data) > 300 {
			return
		}
		s := newSampler(t, Options{DRYMultiplier: 1, DRYAllowedLength: allowed})
		text := make([]int32, len(data))
		for i, b := range data {
			text[i] = int32(b)
			s.Accept(text[i])
		}
		for i, n := range suffixes(text, longestRepeat) {
			if i > 0 && n != longest(text, len(text)-i, nil) {
				t.Fatalf("%v, %d from its end: %d tokens, want %d", text, i, n, longest(text, len(text)-i, nil))
			}
		}
		sampled(t, s, make([]float32, 256))
	})
}
