package verify

import (
	"fmt"
	"math"
	"slices"
)

// Metrics accumulates how far a candidate's predictions are from a reference's, position by
// position, with the definitions of llama-perplexity. It keeps two float32 for each position, never
// logits.
type Metrics struct {
	nll, nllRef moments // −ln p of the token that follows
	cross       float64 // Σ (nll − mean)(nllRef − mean)
	kld         moments
	dp, dp2     moments // p − p_ref of the token that follows, and its square
	same        int     // positions where both have the same most likely token
	klds, dps   []float32
	worst       worstList // filled by whoever knows the positions
}

// moments are a running mean and sum of squared deviations.
type moments struct {
	n        int
	mean, m2 float64
}

func (m *moments) add(x float64) {
	m.n++
	d := x - m.mean
	m.mean += d / float64(m.n)
	m.m2 += d * (x - m.mean)
}

// stderr is the standard error of the mean; 0 where one value cannot tell.
func (m *moments) stderr() float64 {
	if m.n < 2 {
		return 0
	}
	return math.Sqrt(m.m2 / float64(m.n) / float64(m.n-1))
}

// Add scores one position: reference and candidate are its logits [vocab] from the two models,
// next is the token that follows in the text.
func (m *Metrics) Add(reference, candidate []float32, next int32) error {
	_, err := m.add(reference, candidate, next)
	return err
}

// add is Add, and returns what it saw.
func (m *Metrics) add(reference, candidate []float32, next int32) (comparison, error) {
	if len(reference) != len(candidate) || next < 0 || int(next) >= len(reference) {
		return comparison{}, fmt.Errorf("metrics: token %d with %d reference logits and %d candidate logits", next, len(reference), len(candidate))
	}
	c, err := compare(reference, candidate)
	if err != nil {
		return c, err
	}
	m.count(c, reference[next], candidate[next])
	return c, nil
}

// count scores a position that was compared, by the two logits of the token that follows.
func (m *Metrics) count(c comparison, reference, candidate float32) {
	nllRef, nll := c.lnZRef-float64(reference), c.lnZ-float64(candidate)
	dp := math.Exp(-nll) - math.Exp(-nllRef)
	m.cross += (nll - m.nll.mean) * (nllRef - m.nllRef.mean) * float64(m.nll.n) / float64(m.nll.n+1)
	m.nll.add(nll)
	m.nllRef.add(nllRef)
	m.kld.add(c.kld)
	m.dp.add(dp)
	m.dp2.add(dp * dp)
	if c.top == c.topRef {
		m.same++
	}
	m.klds = append(m.klds, float32(c.kld))
	m.dps = append(m.dps, float32(dp))
}

// comparison is what one position's two rows of logits have to say.
type comparison struct {
	kld         float64 // Σ p_ref·(ln p_ref − ln p), nats
	lnZ, lnZRef float64 // ln Σ exp(logit)
	top, topRef int     // the largest logit, the first of equals
}

// compare works in float64 and needs finite logits.
func compare(reference, candidate []float32) (comparison, error) {
	c := comparison{top: argmax(candidate), topRef: argmax(reference)}
	maxRef, maxCand := float64(reference[c.topRef]), float64(candidate[c.top])
	var zRef, z, s float64
	for i := range reference {
		a, b := float64(reference[i])-maxRef, float64(candidate[i])-maxCand
		e := math.Exp(a)
		zRef += e
		z += math.Exp(b)
		s += e * (a - b)
	}
	if sum := zRef + z + s; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return c, fmt.Errorf("metrics: %w", nonFinite(reference, candidate))
	}
	lnRef, ln := math.Log(zRef), math.Log(z)
	c.lnZRef, c.lnZ = maxRef+lnRef, maxCand+ln
	c.kld = max(0, s/zRef-lnRef+ln) // rounding may leave −1e−16 where it is 0
	return c, nil
}

func argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// Spread describes the distribution of a value over the scored positions.
type Spread struct {
	Min    float64 `json:"min"`
	P1     float64 `json:"p1"`
	P5     float64 `json:"p5"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	P999   float64 `json:"p99_9"`
	Max    float64 `json:"max"`
}

func spread(values []float32) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Clone(values)
	slices.Sort(v)
	return Spread{
		Min: percentile(v, 0), P1: percentile(v, .01), P5: percentile(v, .05), Median: percentile(v, .5),
		P90: percentile(v, .9), P95: percentile(v, .95), P99: percentile(v, .99), P999: percentile(v, .999),
		Max: percentile(v, 1),
	}
}

// percentile interpolates between the two sorted values next to rank f·(n−1).
func percentile(sorted []float32, f float64) float64 {
	rank := f * float64(len(sorted)-1)
	i := int(rank)
	j := min(i+1, len(sorted)-1)
	rank -= float64(i)
	return (1-rank)*float64(sorted[i]) + rank*float64(sorted[j])
}

// Drift says how far a model is from its reference, over all scored positions. Errors are one
// standard error.
type Drift struct {
	Windows      int `json:"windows"`
	WindowTokens int `json:"window_tokens"`
	Scored       int `json:"scored"`

	MeanKLD      float64 `json:"mean_kld"` // nats
	MeanKLDError float64 `json:"mean_kld_error"`
	KLD          Spread  `json:"kld"`

	Top1      float64 `json:"top1"` // share of positions with the same most likely token
	Top1Error float64 `json:"top1_error"`

	PPL               float64 `json:"ppl"`
	PPLError          float64 `json:"ppl_error"`
	PPLReference      float64 `json:"ppl_reference"`
	PPLReferenceError float64 `json:"ppl_reference_error"`
	LnPPLRatio        float64 `json:"ln_ppl_ratio"` // ln(PPL/PPLReference)
	LnPPLRatioError   float64 `json:"ln_ppl_ratio_error"`

	MeanDeltaP      float64 `json:"mean_delta_p"` // p − p_ref of the token that follows
	MeanDeltaPError float64 `json:"mean_delta_p_error"`
	RMSDeltaP       float64 `json:"rms_delta_p"`
	RMSDeltaPError  float64 `json:"rms_delta_p_error"`
	DeltaP          Spread  `json:"delta_p"`
}

// Drift returns the result so far. Without any position it is all zeros.
func (m *Metrics) Drift() *Drift {
	n := m.kld.n
	if n == 0 {
		return &Drift{}
	}
	d := &Drift{
		Scored:  n,
		MeanKLD: m.kld.mean, MeanKLDError: m.kld.stderr(), KLD: spread(m.klds),
		Top1: float64(m.same) / float64(n),
		PPL:  perplexity(m.nll.mean), PPLReference: perplexity(m.nllRef.mean),
		LnPPLRatio: m.nll.mean - m.nllRef.mean,
		MeanDeltaP: m.dp.mean, MeanDeltaPError: m.dp.stderr(), DeltaP: spread(m.dps),
		RMSDeltaP: math.Sqrt(m.dp2.mean),
	}
	d.PPLError = min(d.PPL*m.nll.stderr(), math.MaxFloat64)
	d.PPLReferenceError = min(d.PPLReference*m.nllRef.stderr(), math.MaxFloat64)
	if n > 1 {
		d.Top1Error = math.Sqrt(d.Top1 * (1 - d.Top1) / float64(n-1))
		cov := m.cross / float64(n) / float64(n-1)
		a, b := m.nll.stderr(), m.nllRef.stderr()
		d.LnPPLRatioError = math.Sqrt(max(0, a*a+b*b-2*cov))
	}
	if d.RMSDeltaP > 0 {
		d.RMSDeltaPError = m.dp2.stderr() / (2 * d.RMSDeltaP)
	}
	return d
}

// perplexity is exp, kept finite because JSON has no infinity.
func perplexity(nll float64) float64 { return min(math.Exp(nll), math.MaxFloat64) }
