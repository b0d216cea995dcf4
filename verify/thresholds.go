package verify

import (
	"fmt"
	"math"
)

// Thresholds are the limits that a report is judged by.
type Thresholds struct {
	// The runtime against the reference, on the same weights.
	MaxRelRMS float64 `json:"max_rel_rms"`
	MaxRelMax float64 `json:"max_rel_max"`
	// The bundle against the checkpoint that it was made of.
	MaxKLD  float64 `json:"max_kld"`
	MinTop1 float64 `json:"min_top1"`
	// Against golden values: the checkpoint on the reference, and the bundle.
	GoldenMaxAbs float64 `json:"golden_max_abs"`
	GoldenMaxKLD float64 `json:"golden_max_kld"`
}

// Formats that have default thresholds.
var formats = map[string]struct {
	kld   float64 // nats, allowed for a model of eight billion weights
	power float64 // of the size ratio, by which more is allowed for smaller models …
	most  float64 // … up to so many times
}{
	// Nothing is lost but rounding: of activations, of the KV cache to float16. That costs some
	// 10⁻⁶ nats; 10⁻⁴ is a third of what int8 costs the smallest models.
	"f16": {1e-4, 0, 1},
	// int8 costs 0.0001 to 0.0003 nats on the models in testdata and beside it, 0.002 on SmolLM2-135M.
	"int8": {.002, .25, 4},
	"int4": {.04, .5, 8},
	// At 0.45 a model is still usable, at 0.8 it is broken.
	"int2": {.45, .2, 4},
}

// DefaultThresholds returns the limits for a bundle whose matrices are stored as format (int8, int4,
// int2 or f16) and that has this many weights.
//
// Runtime: float32 sums over a few thousand terms in another order differ by 10⁻⁶ to 10⁻⁵,
// relatively, and a float16 KV cache may round a value to its other neighbor (5·10⁻⁴ of it). RelRMS
// 10⁻³ leaves room for that through many layers, and is far below what a wrong block, scale or
// position does. It cannot see a single wrong logit among millions; RelMax can, and is 50 times as
// wide because the largest of 10⁷ normal deviations is 5 times their RMS, and logits have heavier
// tails than that.
//
// Drift: small models have little redundancy and lose more, and those that were trained on much text for their size lose
// most. Measured: int4 0.14 nats on SmolLM2-135M, 0.03 and 0.02 on models of 6 and 26 million weights; int4 in
// blocks of 128 throughout, the embedding included, 0.57 on SmolLM2, which reads noticeably worse; int2 by search 1.5 and 0.84
// on the small ones, by min-max 3.6 and 1.9, which no longer is the model. The limits are right at eight billion weights and
// grow with the size ratio, so that they let pass what a format should give, with about twice as much room, and
// stop what is broken.
//
// Top-1: over all these measurements, quantizers and both sizes, the agreement lies between
// exp(−0.6·√KLD) and exp(−0.95·√KLD), and large models agree at exp(−0.5·√KLD). The limit is the
// agreement that goes with the largest KLD allowed.
func DefaultThresholds(format string, weights int64) (Thresholds, error) {
	f, ok := formats[format]
	if !ok {
		return Thresholds{}, fmt.Errorf("format %q: want int8, int4, int2 or f16", format)
	}
	growth := 1.0
	if weights > 0 {
		growth = min(max(math.Pow(8e9/float64(weights), f.power), 1), f.most)
	}
	kld := f.kld * growth
	return Thresholds{
		MaxRelRMS:    1e-3,
		MaxRelMax:    .05,
		MaxKLD:       kld,
		MinTop1:      math.Exp(-.5 * math.Sqrt(growth*kld)),
		GoldenMaxAbs: 2e-3,
		GoldenMaxKLD: kld,
	}, nil
}

// Reads says in words how a model with a mean KL divergence of kld from another reads beside it.
func Reads(kld float64) string {
	switch {
	case kld <= .02:
		return "reads the same"
	case kld <= .2:
		return "reads slightly worse"
	case kld <= .8:
		return "reads noticeably worse"
	}
	return "is broken" // or NaN
}

// Check is one measure and the limit that it is held to.
type Check struct {
	Group string // verification, runtime, drift or golden
	Name  string
	Value float64
	Limit float64
	Least bool   // the limit is the least that is wanted, not the most that is allowed
	Fail  string // a plain sentence; "" if the check passes
}

// The checks of drift, by their names.
const (
	CheckKLD  = "mean KL divergence"
	CheckTop1 = "same most likely token"
)

// checks judges everything that was measured, but for what the report leaves out.
func (t Thresholds) checks(r *Report) []Check {
	var all []Check
	atMost := func(group, name string, got, limit float64, what string) {
		c := Check{Group: group, Name: name, Value: got, Limit: limit}
		if !(got <= limit) { // NaN fails
			c.Fail = fmt.Sprintf("%s is %.3g, allowed is %.3g", what, got, limit)
		}
		all = append(all, c)
	}
	if p := r.Runtime; p != nil {
		for _, s := range p.Schedules {
			from := "runtime, tokens " + s.Name
			atMost("runtime", "relative RMS, tokens "+s.Name, s.RelRMS, t.MaxRelRMS, from+": relative RMS of the logits' difference from the reference")
			atMost("runtime", "largest difference, tokens "+s.Name, s.RelMax, t.MaxRelMax, from+": largest difference of a logit from the reference, over the logits' RMS,")
		}
	}
	if d := r.Drift; d != nil && r.NotJudged[CheckKLD] == "" {
		atMost("drift", CheckKLD, d.MeanKLD, t.MaxKLD, "drift: mean KL divergence of the bundle from the checkpoint")
	}
	if d := r.Drift; d != nil && r.NotJudged[CheckTop1] == "" {
		c := Check{Group: "drift", Name: CheckTop1, Value: d.Top1, Limit: t.MinTop1, Least: true}
		if !(d.Top1 >= t.MinTop1) {
			c.Fail = fmt.Sprintf("drift: the bundle's most likely token is the checkpoint's at %.4g %% of the positions, at least %.4g %% are wanted",
				100*d.Top1, 100*t.MinTop1)
		}
		all = append(all, c)
	}
	if g := r.Golden; g != nil && g.Reference != nil {
		atMost("golden", "checkpoint, largest difference", g.Reference.MaxAbs, t.GoldenMaxAbs, "golden: largest difference of the reference's logits on the checkpoint")
	}
	if g := r.Golden; g != nil && g.Bundle != nil {
		atMost("golden", "bundle, mean KL divergence", g.Bundle.MeanKLD, t.GoldenMaxKLD, "golden: mean KL divergence of the bundle")
	}
	return all
}

// failures has the sentences of the checks that fail.
func (t Thresholds) failures(r *Report) []string {
	var f []string
	for _, c := range t.checks(r) {
		if c.Fail != "" {
			f = append(f, c.Fail)
		}
	}
	return f
}
