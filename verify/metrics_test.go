package verify

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %.15g, want %.15g", what, got, want)
	}
}

func randomRow(r *rand.Rand, n int, scale float64) []float32 {
	l := make([]float32, n)
	for i := range l {
		l[i] = float32(r.NormFloat64() * scale)
	}
	return l
}

// p = (½, ¼, ¼) against q = (¼, ¼, ½): KLD is ½·ln 2 − ¼·ln 2. The tokens 0, 0, 2 follow.
func TestMetricsByHand(t *testing.T) {
	p, q := lnOf(.5, .25, .25), lnOf(.25, .25, .5)
	var m Metrics
	for _, next := range []int32{0, 0, 2} {
		if err := m.Add(p, q, next); err != nil {
			t.Fatal(err)
		}
	}
	d, ln2 := m.Drift(), math.Ln2
	near(t, "KLD", d.MeanKLD, ln2/4, 1e-7)
	near(t, "its error", d.MeanKLDError, 0, 1e-9)
	near(t, "median", d.KLD.Median, ln2/4, 1e-7)
	near(t, "top-1", d.Top1, 0, 0)
	near(t, "perplexity", d.PPL, math.Exp((2+2+1)*ln2/3), 1e-6)
	near(t, "reference's", d.PPLReference, math.Exp((1+1+2)*ln2/3), 1e-6)
	near(t, "ln ratio", d.LnPPLRatio, ln2/3, 1e-7)
	// The differences of nll are ln 2 · (1, 1, −1): variance 8/9·ln²2, over n−1 = 2.
	near(t, "its error", d.LnPPLRatioError, ln2*math.Sqrt(4.0/9), 1e-7)
	near(t, "mean Δp", d.MeanDeltaP, -.25/3, 1e-7)
	near(t, "RMS Δp", d.RMSDeltaP, .25, 1e-7)
	near(t, "min Δp", d.DeltaP.Min, -.25, 1e-7)
	near(t, "max Δp", d.DeltaP.Max, .25, 1e-7)
}

func TestTop1Error(t *testing.T) {
	var m Metrics
	p, q := lnOf(.5, .25, .25), lnOf(.25, .25, .5)
	for i := range 10 {
		other := p
		if i < 3 {
			other = q
		}
		if err := m.Add(p, other, 1); err != nil {
			t.Fatal(err)
		}
	}
	near(t, "top-1", m.Drift().Top1, .7, 1e-12)
	near(t, "its error", m.Drift().Top1Error, math.Sqrt(.7*.3/9), 1e-12)
}

// Everything again, from the definitions and with all values kept.
func TestMetricsAgainstBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	const n, vocab = 400, 70
	var m Metrics
	var kld, nllP, nllQ, dp, diff []float64
	same := 0
	for range n {
		a := randomRow(r, vocab, 3)
		b := randomRow(r, vocab, .4)
		for i := range b {
			b[i] += a[i] + 100 // a shift of all logits changes nothing
		}
		next := int32(r.IntN(vocab))
		if err := m.Add(a, b, next); err != nil {
			t.Fatal(err)
		}
		p, q := probabilities(a), probabilities(b)
		k := 0.0
		for i := range p {
			k += p[i] * math.Log(p[i]/q[i])
		}
		kld = append(kld, k)
		nllP, nllQ = append(nllP, -math.Log(p[next])), append(nllQ, -math.Log(q[next]))
		dp = append(dp, q[next]-p[next])
		diff = append(diff, math.Log(p[next])-math.Log(q[next]))
		if slices.Index(p, slices.Max(p)) == slices.Index(q, slices.Max(q)) {
			same++
		}
	}
	d := m.Drift()
	mean, se := meanAndError(kld)
	near(t, "KLD", d.MeanKLD, mean, 1e-12)
	near(t, "KLD error", d.MeanKLDError, se, 1e-12)
	mean, se = meanAndError(nllQ)
	near(t, "perplexity", d.PPL, math.Exp(mean), 1e-8)
	near(t, "its error", d.PPLError, math.Exp(mean)*se, 1e-8)
	mean, se = meanAndError(nllP)
	near(t, "reference's", d.PPLReference, math.Exp(mean), 1e-8)
	near(t, "its error", d.PPLReferenceError, math.Exp(mean)*se, 1e-8)
	mean, se = meanAndError(diff)
	near(t, "ln ratio", d.LnPPLRatio, mean, 1e-12)
	near(t, "its error", d.LnPPLRatioError, se, 1e-12)
	mean, se = meanAndError(dp)
	near(t, "Δp", d.MeanDeltaP, mean, 1e-12)
	near(t, "its error", d.MeanDeltaPError, se, 1e-12)
	squares := make([]float64, n)
	for i := range dp {
		squares[i] = dp[i] * dp[i]
	}
	mean, se = meanAndError(squares)
	near(t, "RMS Δp", d.RMSDeltaP, math.Sqrt(mean), 1e-12)
	near(t, "its error", d.RMSDeltaPError, se/2/math.Sqrt(mean), 1e-12)
	near(t, "top-1", d.Top1, float64(same)/n, 1e-12)
	slices.Sort(kld)
	near(t, "max", d.KLD.Max, kld[n-1], 1e-6)
	near(t, "min", d.KLD.Min, kld[0], 1e-6)
	near(t, "median", d.KLD.Median, (kld[199]+kld[200])/2, 1e-6)
	near(t, "90 %", d.KLD.P90, .9*kld[359]+.1*kld[360], 1e-6)   // rank 359.1
	near(t, "99 %", d.KLD.P99, .99*kld[395]+.01*kld[396], 1e-6) // rank 395.01
	near(t, "99.9 %", d.KLD.P999, .399*kld[398]+.601*kld[399], 1e-6)
}

func probabilities(l []float32) []float64 {
	p, sum := make([]float64, len(l)), 0.0
	for i := range l {
		p[i] = math.Exp(float64(l[i]) - 100)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

func meanAndError(x []float64) (mean, err float64) {
	n := float64(len(x))
	for _, v := range x {
		mean += v / n
	}
	for _, v := range x {
		err += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(err / n / (n - 1))
}

func TestKLDIsAMeasureOfDifference(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 300 {
		scale := math.Pow(10, 4*r.Float64()-2)
		a, b := randomRow(r, 1+r.IntN(200), scale), []float32(nil)
		b = append(b, a...)
		if c, err := compare(a, a); err != nil || c.kld != 0 {
			t.Fatalf("KLD(x, x) = %v, %v", c.kld, err)
		}
		b[r.IntN(len(b))] += float32(r.NormFloat64() * scale * 1e-4)
		if c, err := compare(a, b); err != nil || c.kld < 0 {
			t.Fatalf("KLD = %v, %v", c.kld, err)
		}
	}
}

func TestMetricsRefuseBadInput(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	good := []float32{1, 2, 3}
	for _, c := range []struct {
		a, b []float32
		next int32
		want string
	}{
		{[]float32{1, nan, 3}, good, 0, "reference logit 1 is NaN"},
		{good, []float32{1, 2, inf}, 0, "candidate logit 2 is +Inf"},
		{good, []float32{-inf, 2, 3}, 0, "candidate logit 0 is -Inf"},
		{[]float32{-inf, 2, 3}, good, 0, "reference logit 0 is -Inf"},
		{good, good[:2], 0, "2 candidate logits"},
		{good, good, 3, "token 3"},
		{good, good, -1, "token -1"},
	} {
		var m Metrics
		if err := m.Add(c.a, c.b, c.next); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %v %d: error %v, want %q", c.a, c.b, c.next, err, c.want)
		}
		if d := m.Drift(); d.Scored != 0 {
			t.Errorf("a refused position was counted")
		}
	}
}
