package sample

import (
	"fmt"
	"math"
)

// What stands for an option that is 0.
const (
	DefaultRepeatLast       = 64
	DefaultXTCThreshold     = .1
	DefaultDynamicExponent  = 1
	DefaultDRYBase          = 1.75
	DefaultDRYAllowedLength = 2
)

// DefaultDRYBreakers are what ends a repetition if Options.DRYBreakers is nil.
var DefaultDRYBreakers = []string{"\n", ":", "\"", "*"}

// Options say how to choose. The zero value is greedy: always the largest logit.
type Options struct {
	Temperature   float32  // logits are divided by it; 0: greedy
	TopK          int      // keep this many of the largest logits; 0: all
	TopP          *float32 // keep the fewest tokens that together have this probability; 0: the likeliest, nil or 1: all
	MinP          float32  // keep tokens with at least this share of the largest probability; 0: all
	RepeatPenalty float32  // logits > 0 of recent tokens are divided by it, others multiplied; 0 or 1: off
	RepeatLast    int      // how many tokens are recent, prompt included; 0: DefaultRepeatLast, −1: all

	PresencePenalty  float32           // taken from the logits of recent tokens
	FrequencyPenalty float32           // taken from the logit of a recent token as often as it is there
	LogitBias        map[int32]float32 // added to the logits of these tokens; −Inf forbids one

	// TypicalP keeps the tokens whose surprise is nearest to the expected one, as many as together have this probability
	// (Meister et al., "Locally Typical Sampling", arXiv:2202.00666); 0 or 1: all.
	TypicalP float32

	// With XTCProbability, of the tokens that have at least the probability XTCThreshold only the least likely is kept
	// ("exclude top choices"); 0: never.
	XTCProbability, XTCThreshold float32

	// With DynamicRange, the temperature goes from Temperature − DynamicRange, where one token has all the probability, to
	// Temperature + DynamicRange, where all tokens that are left have the same: with the entropy, as a share of the largest
	// possible, to the power DynamicExponent.
	DynamicRange, DynamicExponent float32

	// DRY ("don't repeat yourself") takes DRYMultiplier · DRYBase^(n − DRYAllowedLength) from the logit of a token that
	// would continue a repetition of the last n tokens, n ≥ DRYAllowedLength. A DRYMultiplier of 0 is off. DRYLast is how many tokens
	// are looked at; 0 and −1: all. No repetition goes across a token whose text has one of DRYBreakers in it; nil:
	// DefaultDRYBreakers.
	DRYMultiplier, DRYBase    float32
	DRYAllowedLength, DRYLast int
	DRYBreakers               []string

	Seed uint64
}

// Validate reports the first option that is out of range.
func (o Options) Validate() error {
	switch {
	case !(o.Temperature >= 0) || !isFinite(o.Temperature):
		return fmt.Errorf("temperature %v: want 0 (greedy) or a finite number above it", o.Temperature)
	case o.TopK < 0:
		return fmt.Errorf("top-k %d: want 0 (off) or more", o.TopK)
	case o.TopP != nil && !(*o.TopP >= 0 && *o.TopP <= 1):
		return fmt.Errorf("top-p %v: want a number from 0 (only the likeliest token) to 1 (off)", *o.TopP)
	case !(o.RepeatPenalty >= 0) || !isFinite(o.RepeatPenalty):
		return fmt.Errorf("repeat-penalty %v: want a finite number above 0 (1, or 0: off)", o.RepeatPenalty)
	case o.RepeatLast < -1:
		return fmt.Errorf("repeat-last %d: want −1 (all tokens), 0 (the last %d) or more", o.RepeatLast, DefaultRepeatLast)
	case o.DRYLast < -1:
		return fmt.Errorf("dry-penalty-last-n %d: want −1 or 0 (all tokens) or more", o.DRYLast)
	case o.DRYAllowedLength < 0:
		return fmt.Errorf("dry-allowed-length %d: want 0 (%d) or more", o.DRYAllowedLength, DefaultDRYAllowedLength)
	case o.DRYBase != 0 && !(o.DRYBase >= 1) || !isFinite(o.DRYBase):
		return fmt.Errorf("dry-base %v: want 0 (%v), or a finite number of 1 or more", o.DRYBase, DefaultDRYBase)
	}
	for _, share := range []namedValue{{"min-p", o.MinP}, {"typical-p", o.TypicalP}, {"xtc-probability", o.XTCProbability}, {"xtc-threshold", o.XTCThreshold}} {
		if !(share.v >= 0 && share.v <= 1) {
			return fmt.Errorf("%s %v: want a number from 0 (off) to 1", share.name, share.v)
		}
	}
	for _, v := range []namedValue{{"dynatemp-range", o.DynamicRange}, {"dynatemp-exponent", o.DynamicExponent}, {"dry-multiplier", o.DRYMultiplier}} {
		if !(v.v >= 0) || !isFinite(v.v) {
			return fmt.Errorf("%s %v: want 0 (off) or a finite number above it", v.name, v.v)
		}
	}
	for _, v := range []namedValue{{"presence-penalty", o.PresencePenalty}, {"frequency-penalty", o.FrequencyPenalty}} {
		if !isFinite(v.v) {
			return fmt.Errorf("%s %v: want a finite number (0: off)", v.name, v.v)
		}
	}
	for id, b := range o.LogitBias {
		if id < 0 || b != b || b > math.MaxFloat32 {
			return fmt.Errorf("logit-bias %v of token %d: want a finite number, or −Inf, for a token of the vocabulary", b, id)
		}
	}
	return nil
}

type namedValue struct {
	name string
	v    float32
}

func isFinite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

// fill puts in what an option of 0 stands for.
func (o *Options) fill() {
	orDefault(&o.RepeatPenalty, 1)
	orDefault(&o.RepeatLast, DefaultRepeatLast)
	orDefault(&o.XTCThreshold, DefaultXTCThreshold)
	orDefault(&o.DynamicExponent, DefaultDynamicExponent)
	orDefault(&o.DRYBase, DefaultDRYBase)
	orDefault(&o.DRYAllowedLength, DefaultDRYAllowedLength)
	orDefault(&o.DRYLast, -1)
}

func orDefault[T int | float32](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}

// penalizes reports whether tokens are penalized for being recent.
func (o *Options) penalizes() bool {
	return o.RepeatPenalty != 1 || o.PresencePenalty != 0 || o.FrequencyPenalty != 0
}

// remember returns how many of the last tokens matter, −1: all.
func (o *Options) remember() (n int) {
	if o.penalizes() {
		n = o.RepeatLast
	}
	if o.DRYMultiplier == 0 || n < 0 {
		return n
	}
	if o.DRYLast < 0 {
		return -1
	}
	return max(n, o.DRYLast)
}
