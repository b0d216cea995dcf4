package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Distance says how far logits or hidden states are from reference values.
type Distance struct {
	MaxAbs float64 `json:"max_abs"` // largest |Δ|
	RelRMS float64 `json:"rel_rms"` // RMS(Δ)/RMS(reference), over all values of all tokens
	RelMax float64 `json:"rel_max"` // MaxAbs/RMS(reference)
}

// Parity says how far a runtime's logits are from the reference's on the same weights. Its Distance
// and Top1 are the worst of the schedules.
type Parity struct {
	Distance
	Top1      float64    `json:"top1"` // share of tokens with the same largest logit
	Tokens    int        `json:"tokens"`
	Schedules []Schedule `json:"schedules"`
	Layers    []Stage    `json:"layers,omitempty"` // empty if one of the two cannot be traced
}

// Schedule is a way to feed the same tokens, which must not change the logits.
type Schedule struct {
	Name string `json:"name"`
	Distance
	Top1 float64 `json:"top1"`
}

// Stage is the distance of the residual stream after one stage of the model.
type Stage struct {
	Name string `json:"name"` // embedding, layer 0 …, final norm
	Distance
}

// schedules cross the tile and batch sizes of a runtime, even and odd; the last size repeats.
var schedules = []struct {
	name  string
	sizes []int
}{
	{"in one go", []int{math.MaxInt}},
	{"in uneven chunks", []int{5, 1, 33, 2, 67}},
	{"token by token", []int{1}},
}

// MeasureParity runs the reference once over the tokens and the runtime once for each schedule, and
// once more to compare the residual stream layer by layer if both are Tracers. It holds the
// reference's logits and hidden states of all tokens. An error that is a *NonFiniteError says which
// of the two made NaN or Inf, and where.
func MeasureParity(ctx context.Context, reference, runtime Forwarder, tokens []int32) (*Parity, error) {
	if len(tokens) == 0 {
		return nil, errors.New("parity: no tokens")
	}
	vocab := reference.VocabSize()
	if v := runtime.VocabSize(); v != vocab {
		return nil, fmt.Errorf("parity: the reference has %d tokens, the runtime %d", vocab, v)
	}
	ref := &side{name: "reference", f: reference, vocab: vocab}
	run := &side{name: "runtime", f: runtime, vocab: vocab}
	_, canTrace := runtime.(Tracer)
	hidden, err := ref.record(ctx, tokens, canTrace)
	if err != nil {
		return nil, fmt.Errorf("parity: %w", err)
	}
	p := &Parity{Tokens: len(tokens), Top1: 1}
	for _, s := range schedules {
		d, err := run.schedule(ctx, ref, tokens, s.sizes)
		if err != nil {
			return nil, fmt.Errorf("parity: %s: %w", s.name, err)
		}
		p.add(Schedule{Name: s.name, Distance: d.distance(), Top1: float64(d.same) / float64(len(tokens))})
	}
	if hidden != nil {
		if p.Layers, err = run.layers(ctx, tokens, hidden); err != nil {
			return nil, fmt.Errorf("parity: %w", err)
		}
	}
	return p, nil
}

func (p *Parity) add(s Schedule) {
	p.Schedules = append(p.Schedules, s)
	p.MaxAbs = max(p.MaxAbs, s.MaxAbs)
	p.RelRMS = max(p.RelRMS, s.RelRMS)
	p.RelMax = max(p.RelMax, s.RelMax)
	p.Top1 = min(p.Top1, s.Top1)
}

// record keeps the logits of all tokens and returns the hidden states by stage, nil if they are not
// wanted or the model cannot be traced.
func (s *side) record(ctx context.Context, tokens []int32, hidden bool) ([][]float32, error) {
	s.reset()
	var stages [][]float32
	store := func(stage int, h []float32) {
		for len(stages) <= stage {
			stages = append(stages, nil)
		}
		stages[stage] = append(stages[stage], h...)
	}
	if hidden {
		if traced, err := trace(s.f, store, func() error { return s.keep(ctx, tokens, 0) }); traced {
			return stages, err
		}
	}
	return nil, s.keep(ctx, tokens, 0)
}

// schedule feeds the tokens in chunks of these sizes and compares the logits with those kept by ref.
func (s *side) schedule(ctx context.Context, ref *side, tokens []int32, sizes []int) (*deltas, error) {
	s.reset()
	var d deltas
	for pos, i := 0, 0; pos < len(tokens); i++ {
		n := min(sizes[min(i, len(sizes)-1)], len(tokens)-pos)
		err := s.feed(ctx, tokens[pos:pos+n], 0, func(i int, logits []float32) error {
			d.add(ref.row(pos+i), logits)
			d.top(ref.row(pos+i), logits)
			return nil
		})
		if err != nil {
			return nil, err
		}
		pos += n
	}
	return &d, nil
}

// layers compares hidden states by stage with those of the reference. NaN or Inf in one of them is
// an error even if the logits do not show it.
func (s *side) layers(ctx context.Context, tokens []int32, reference [][]float32) ([]Stage, error) {
	if err := finiteStages("reference", reference, len(tokens)); err != nil {
		return nil, err
	}
	hidden, err := s.record(ctx, tokens, true)
	if err != nil {
		return nil, err
	}
	if err := finiteStages(s.name, hidden, len(tokens)); err != nil {
		return nil, err
	}
	if len(hidden) != len(reference) {
		return nil, fmt.Errorf("%d stages traced in the reference, %d in the %s", len(reference), len(hidden), s.name)
	}
	stages := make([]Stage, len(hidden))
	for i := range hidden {
		if stages[i], err = compareStage(stageName(i, len(hidden)), reference[i], hidden[i]); err != nil {
			return nil, err
		}
	}
	return stages, nil
}

func finiteStages(name string, stages [][]float32, tokens int) error {
	var w watch
	for i, h := range stages {
		w.see(i, h)
	}
	if e := (&NonFiniteError{Model: name}); w.earliest(e, tokens) {
		return e
	}
	return nil
}

func compareStage(name string, reference, hidden []float32) (Stage, error) {
	if len(hidden) != len(reference) {
		return Stage{}, fmt.Errorf("%s: %d values, the reference has %d", name, len(hidden), len(reference))
	}
	var d deltas
	d.add(reference, hidden)
	return Stage{name, d.distance()}, nil
}

func stageName(i, stages int) string {
	switch i {
	case 0:
		return "embedding"
	case stages - 1:
		return "final norm"
	}
	return fmt.Sprintf("layer %d", i-1)
}

// deltas sums up differences between rows of values.
type deltas struct {
	max, delta2, ref2 float64
	values, same      int
}

func (d *deltas) add(reference, got []float32) {
	for i, r := range reference {
		x := float64(got[i]) - float64(r)
		d.max = max(d.max, math.Abs(x))
		d.delta2 += x * x
		d.ref2 += float64(r) * float64(r)
	}
	d.values += len(reference)
}

// top counts a row in which both have the same largest value.
func (d *deltas) top(reference, got []float32) {
	if argmax(reference) == argmax(got) {
		d.same++
	}
}

// distance is 0 for equal values and, if the reference is all zeros and the other is not, the
// largest number there is: JSON has no infinity.
func (d *deltas) distance() Distance {
	if d.delta2 == 0 {
		return Distance{}
	}
	rel := func(x float64) float64 {
		if d.ref2 == 0 {
			return math.MaxFloat64
		}
		return x / math.Sqrt(d.ref2)
	}
	return Distance{MaxAbs: d.max, RelRMS: rel(math.Sqrt(d.delta2)), RelMax: rel(d.max * math.Sqrt(float64(d.values)))}
}
