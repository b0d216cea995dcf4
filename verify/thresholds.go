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
	MaxKLD     float64 `json:"max_kld"`
	MinTop1    float64 `json:"min_top1"`
	Top1Errors float64 `json:"min_top1_standard_errors"` // the measured share may miss MinTop1 by this many of its standard errors
	// Against golden values: the checkpoint on the reference, and the bundle.
	GoldenMaxAbs float64 `json:"golden_max_abs"`
	GoldenMaxKLD float64 `json:"golden_max_kld"`
}

// Made says how a bundle was made, as far as thresholds depend on it.
type Made struct {
	Format  string  // of its matrices: int8, int4, int2 or f16
	Method  string  // gptq has lower limits than rtn, search and ""
	Bits    float64 // a weight in the layers, if formats were mixed to meet that, else 0
	Weights int64   // 0: unknown, taken as many
}

// allowance is the largest mean KL divergence for a format, in nats.
type allowance struct {
	kld   float64 // for a model of eight billion weights
	power float64 // of the size ratio, by which more is allowed for smaller models …
	most  float64 // … up to this many times
}

// Formats that have default thresholds.
var formats = map[string]allowance{
	// Nothing is lost but rounding: of activations, of the KV cache to float16. That costs some
	// 10⁻⁶ nats; 10⁻⁴ is a third of what int8 costs the smallest models.
	"f16": {1e-4, 0, 1},
	// 0.0014 nats are lost with eight billion weights, 0.0016 and 0.0021 on SmolLM2-135M and Gemma 3 270M, 0.0003 by models of our own.
	"int8": {.003, .1, 1.5},
	"int4": {.12, .3, 3.5},
	// At 0.45 a model is still usable, at 0.8 it is broken.
	"int2": {.45, .2, 4},
}

// calibrated is the share of the allowance that a bundle is left which was made with a calibration text.
const calibrated = .6

// of is the allowance for a model of this many weights.
func (a allowance) of(weights int64) float64 {
	growth := 1.0
	if weights > 0 {
		growth = min(max(math.Pow(8e9/float64(weights), a.power), 1), a.most)
	}
	return a.kld * growth
}

// kld returns the largest mean KL divergence that is allowed. Between formats, where they are mixed, it goes as
// the logarithm.
func (m Made) kld() (float64, error) {
	f, ok := formats[m.Format]
	if !ok {
		return 0, fmt.Errorf("format %q: want int8, int4, int2 or f16", m.Format)
	}
	kld := f.of(m.Weights)
	if m.Bits > 0 {
		low, high, share := formats["int2"], formats["int4"], (m.Bits-2.1)/(4.3-2.1)
		if m.Bits > 4.3 {
			low, high, share = formats["int4"], formats["int8"], (m.Bits-4.3)/(8.2-4.3)
		}
		share = min(max(share, 0), 1)
		kld = math.Pow(low.of(m.Weights), 1-share) * math.Pow(high.of(m.Weights), share)
	}
	if m.Method == "gptq" && m.Format != "int8" { // whose rounding leaves little to make good
		kld *= calibrated
	}
	return kld, nil
}

// DefaultThresholds returns the limits for a bundle.
//
// Runtime: float32 sums over a few thousand terms in another order differ by 10⁻⁶ to 10⁻⁵,
// relatively, and a float16 KV cache may round a value to its other neighbor (5·10⁻⁴ of it). RelRMS
// 10⁻³ leaves room for that through many layers, and is far below what a wrong block, scale or
// position does. It cannot see a single wrong logit among millions; RelMax can, and is 50 times as
// wide because the largest of 10⁷ normal deviations is 5 times their RMS, and logits have heavier
// tails than that.
//
// Drift: a limit is one and a half to three times what the format costs a real model of that size when all is well, so that it stops what
// is broken: a wrong tensor, a format too small for the model, a calibration that went wrong. It is no promise that
// text reads the same; Reads says how it reads. Small models have little redundancy and lose more. Measured in int4:
// 0.14 nats on SmolLM2-135M, 0.20 on Gemma 3 270M, half of that or less when calibrated; with eight billion weights (Llama 3), llama.cpp's Q4_0 and Q4_K_S, its types
// of these bits, lose 0.07 and 0.04, its Q8_0 0.0014. Blocks of 128 throughout, the embedding included, cost SmolLM2 0.69, which reads
// noticeably worse and fails. int2 by search costs models of 6 and 26 million weights 1.5 and 0.84, by min-max 3.6 and 1.9,
// which no longer is the model. Calibration takes more than four tenths of that off, or something is wrong with it.
//
// Top-1: over all these measurements, quantizers and sizes, the agreement lies between
// exp(−0.6·√KLD) and exp(−0.95·√KLD). The limit is the least agreement that goes with the largest KLD
// allowed. What is measured is a share of a few hundred positions, so it may miss the limit by two of its standard errors.
func DefaultThresholds(m Made) (Thresholds, error) {
	kld, err := m.kld()
	if err != nil {
		return Thresholds{}, err
	}
	return Thresholds{
		MaxRelRMS:    1e-3,
		MaxRelMax:    .05,
		MaxKLD:       kld,
		MinTop1:      math.Exp(-.95 * math.Sqrt(kld)),
		Top1Errors:   2,
		GoldenMaxAbs: 2e-3,
		GoldenMaxKLD: kld,
	}, nil
}

// Reads describes how the text of a model with this mean KL divergence from another reads compared
// with that one.
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

// Check is one measure and its limit.
type Check struct {
	Group string // verification, runtime, drift or golden
	Name  string
	Value float64
	Limit float64
	Slack float64 // by how much the value may miss the limit: sampling error
	Least bool    // Limit is a minimum, not a maximum
	Fail  string  // a plain sentence; "" if the check passes
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
		c := Check{Group: "drift", Name: CheckTop1, Value: d.Top1, Limit: t.MinTop1, Slack: t.Top1Errors * d.Top1Error, Least: true}
		if !(d.Top1+c.Slack >= t.MinTop1) {
			c.Fail = fmt.Sprintf("drift: the bundle's most likely token is the checkpoint's at %.4g ± %.2g %% of the positions, at least %.4g %% are wanted",
				100*d.Top1, 100*d.Top1Error, 100*t.MinTop1)
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
