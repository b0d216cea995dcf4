package llm

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// unit scales to length 1.
func unit(v ...float64) []float32 {
	squares := 0.0
	for _, x := range v {
		squares += x * x
	}
	u := make([]float32, len(v))
	for i, x := range v {
		u[i] = float32(x / math.Sqrt(squares))
	}
	return u
}

// An embedding is of the text alone, whatever was computed before it, alone or through a scheduler.
func TestEmbed(t *testing.T) {
	text := append([]int32{1}, numbers(5, 2000)...)
	for i := range text {
		text[i] %= fakeEOS
	}
	last := unit(float64(text[2000]), 2000)
	sum := 0.0
	for _, id := range text {
		sum += float64(id)
	}
	mean := unit(sum, 2000*2001/2)
	m, f := smallModel(2, 4000)
	s := session(t, m)
	scheduler, err := NewScheduler(m, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer scheduler.Close(t.Context())
	for range 2 { // the second time, all but the last token is cached
		for p, want := range map[Pooling][]float32{PoolLast: last, "": last, PoolMean: mean} {
			alone, err := s.Embed(t.Context(), text, p)
			if err != nil || !slices.Equal(alone, want) {
				t.Errorf("%q: %v, %v; want %v", p, alone, err, want)
			}
			served, err := scheduler.Embed(t.Context(), text, p)
			if err != nil || !slices.Equal(served, want) {
				t.Errorf("%q, served: %v, %v; want %v", p, served, err, want)
			}
		}
	}
	before := f.fed
	if _, err := s.Embed(t.Context(), text, PoolLast); err != nil || f.fed-before != 1 {
		t.Errorf("%d tokens were computed of a text in the cache: %v", f.fed-before, err)
	}
	var option *OptionError
	if _, err := s.Embed(t.Context(), text, "max"); !errors.As(err, &option) {
		t.Errorf("pooling max: %v", err)
	}
	if _, err := s.Embed(t.Context(), numbers(0, 4001), PoolLast); !errors.Is(err, ErrTooLong) {
		t.Errorf("a text that is too long: %v", err)
	}
}
