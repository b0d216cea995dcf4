package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// top does what a device does: the n first logits in rank order, shuffled, and a sum that is as
// wrong as SampleTop allows.
func top(r *rand.Rand, logits []float32, n int) ([]Candidate, float64) {
	all := make([]Candidate, len(logits))
	sum := 0.0
	for i, l := range logits {
		all[i] = Candidate{int32(i), l}
		sum += math.Exp(float64(l))
	}
	slices.SortFunc(all, func(a, b Candidate) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	all = all[:n]
	r.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all, math.Log(sum * (1 + (2*r.Float64()-1)*lseTolerance*.9))
}

// Whatever the options, the logits and the number of candidates: SampleTop chooses what Sample
// chooses, or says that it cannot, and then Sample chooses the same as if it had not been asked.
func TestTopEqualsAll(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	pick := func(v ...float32) float32 { return v[r.IntN(len(v))] }
	decided, asked := map[string]int{}, map[string]int{}
	for range 1500 {
		o := Options{
			Temperature: pick(0, .5, 1, 1, 2), TopK: int(pick(0, 0, 1, 5, 20, 40)),
			TopP: new(pick(0, .3, .9, .99, 1)), MinP: pick(0, 0, .1), RepeatPenalty: pick(0, 1.1, 2, .7),
			RepeatLast: int(pick(0, 3, -1)), Seed: r.Uint64(),
			PresencePenalty: pick(0, 0, 0, 1, -.5), FrequencyPenalty: pick(0, 0, 0, .5, -.2),
		}
		masked := r.IntN(3) == 0
		if r.IntN(4) == 0 && !masked { // together they might forbid all
			o.LogitBias = map[int32]float32{0: pick(-3, 2, float32(math.Inf(-1))), 3: pick(-100, 1, 5)}
		}
		rarer := r.IntN(4) == 0
		if rarer {
			o.TypicalP, o.XTCProbability, o.XTCThreshold = pick(0, .5, .95), pick(0, .5, 1), pick(.02, .1, .4)
			o.DynamicRange, o.DynamicExponent, o.DRYMultiplier = pick(0, .5, 3), pick(1, 2), pick(0, .8, 5)
		}
		all, few := newSampler(t, o), newSampler(t, o)
		vocab := 5 + r.IntN(300)
		n := 1 + r.IntN(min(vocab, 40))
		if r.IntN(10) == 0 {
			n = vocab
		}
		class := fmt.Sprintf("k=%d, masked %t, rarer %t", min(o.TopK, 1), masked, rarer)
		for range 8 {
			if masked {
				mask := randomMask(r, vocab)
				all.Allow(mask)
				few.Allow(mask)
			}
			logits := randomLogits(r, vocab, float64(pick(.5, 3, 10)))
			if r.IntN(3) == 0 { // many ties
				for i := range logits {
					logits[i] = float32(math.Round(float64(logits[i])))
				}
			}
			want := sampled(t, all, logits)
			cands, lse := top(r, logits, n)
			got, ok := few.SampleTop(cands, lse, vocab)
			asked[class]++
			if ok {
				decided[class]++
			} else {
				got = sampled(t, few, logits)
			}
			if masked && !all.allowed.Has(want) {
				t.Fatalf("%+v: chose %d, which is not allowed", o, want)
			}
			if got != want {
				t.Fatalf("%+v, %d of %d candidates: SampleTop (%v) chose %d, Sample %d", o, n, vocab, ok, got, want)
			}
			all.Accept(want)
			few.Accept(want)
		}
	}
	for class := range asked {
		// One that always declines would pass the loop above.
		least := 3
		if strings.Contains(class, "true") { // few of the candidates may be allowed
			least = 5
		}
		if decided[class]*least < asked[class] {
			t.Errorf("%s: SampleTop decided only %d of %d", class, decided[class], asked[class])
		}
	}
}

// randomMask allows one token at least: few, or most.
func randomMask(r *rand.Rand, vocab int) Mask {
	mask := make(Mask, (vocab+63)/64+r.IntN(2))
	share := r.Float64()
	for id := range vocab {
		if r.Float64() < share {
			mask[id/64] |= 1 << (id % 64)
		}
	}
	id := r.IntN(vocab)
	mask[id/64] |= 1 << (id % 64)
	return mask
}

// TestMaskedDistribution draws from what is allowed, in the proportions that it has among itself.
func TestMaskedDistribution(t *testing.T) {
	logits := []float32{3, 1, 2, 1, 0}
	s := newSampler(t, Options{Temperature: 1, Seed: 1})
	s.Allow(Mask{0b11010})
	counts := make([]float64, len(logits))
	const n = 20000
	for range n {
		counts[sampled(t, s, logits)]++
	}
	sum := 2*math.E + 1
	for id, want := range []float64{0, math.E / sum, 0, math.E / sum, 1 / sum} {
		if got := counts[id] / n; math.Abs(got-want) > .02 {
			t.Errorf("token %d: drawn at %.3f, want %.3f", id, got, want)
		}
	}
	s.Allow(Mask{0})
	if id, err := s.Sample(logits); err == nil {
		t.Errorf("nothing is allowed: chose %d", id)
	}
	s.Allow(nil)
	if got := sampled(t, newSampler(t, Options{}), logits); got != 0 {
		t.Errorf("with all allowed: chose %d", got)
	}
}

func TestTopDecides(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	logits := randomLogits(r, 1000, 3)
	for _, c := range []struct {
		o    Options
		n    int
		want bool
	}{
		{Options{}, 1, true},                                                  // greedy needs one
		{Options{Temperature: 1, TopK: 40}, 40, true},                         // top-k needs k
		{Options{Temperature: 1, TopK: 40}, 39, false},                        // the draw is in the tail
		{Options{Temperature: 2, TopK: 40, TopP: new(float32(.9))}, 64, true}, //
		{Options{Temperature: 1, TopP: new(float32(.999))}, 10, false},        // the nucleus is larger
		{Options{Temperature: 1, MinP: .5}, 64, true},                         // min-p needs no sum
		{Options{Temperature: 100}, 64, false},                                // flat: everything can be drawn
		{Options{Temperature: 1, TopK: 9, RepeatPenalty: 2}, 64, true},
		{Options{Temperature: 1, TopK: 9, RepeatPenalty: .5}, 64, false}, // raised an unknown token
	} {
		s := newSampler(t, c.o)
		s.Accept(int32(slices.Index(logits, slices.Min(logits))))
		s.draw = .9999
		cands, lse := top(r, logits, c.n)
		if _, ok := s.SampleTop(cands, lse, len(logits)); ok != c.want {
			t.Errorf("%+v with %d candidates: decided is %v, want %v", c.o, c.n, ok, c.want)
		}
	}
}

func TestTopDeclinesBadValues(t *testing.T) {
	s := newSampler(t, Options{})
	nan, inf := math.NaN(), math.Inf(1)
	one := []Candidate{{3, 1}}
	for _, c := range []struct {
		cands []Candidate
		lse   float64
		vocab int
	}{
		{nil, 1, 10},
		{one, nan, 10},
		{one, inf, 10},
		{[]Candidate{{3, float32(nan)}, {4, 1}}, 1, 10},
		{[]Candidate{{3, 1}, {4, float32(inf)}}, 1, 10},
		{[]Candidate{{3, 1}, {4, 1}}, 1, 1},
	} {
		if id, ok := s.SampleTop(c.cands, c.lse, c.vocab); ok {
			t.Errorf("%+v: chose %d", c, id)
		}
	}
}
