package verify

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Details supplement the numbers of a Drift for people who read a report.
type Details struct {
	Histogram []Bin      `json:"kld_histogram"`    // of all scored positions, without gaps
	Worst     []Position `json:"worst"`            // the largest KL divergences, largest first
	Layers    []Stage    `json:"layers,omitempty"` // residual stream, checkpoint and bundle, see MeasureLayers
}

// Bin counts the positions with From < KLD ≤ To; the first one has those below it as well.
type Bin struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Count int     `json:"count"`
}

// Position is one scored prediction.
type Position struct {
	Window  int     `json:"window"`
	Token   int     `json:"token"` // index in the window; the token after it is predicted
	KLD     float64 `json:"kld"`
	Next    int32   `json:"next"`    // the token that follows in the text
	P       float64 `json:"p"`       // its probability, bundle
	PRef    float64 `json:"p_ref"`   // and checkpoint
	Top     int32   `json:"top"`     // the bundle's most likely token
	PTop    float64 `json:"p_top"`   // and how likely it finds it
	TopRef  int32   `json:"top_ref"` // the checkpoint's
	PTopRef float64 `json:"p_top_ref"`
}

func newPosition(window, token int, next int32, c comparison, reference, candidate []float32) Position {
	p := func(logits []float32, lnZ float64, i int) float64 { return math.Exp(float64(logits[i]) - lnZ) }
	return Position{
		Window: window, Token: token, KLD: c.kld, Next: next,
		P: p(candidate, c.lnZ, int(next)), PRef: p(reference, c.lnZRef, int(next)),
		Top: int32(c.top), PTop: p(candidate, c.lnZ, c.top),
		TopRef: int32(c.topRef), PTopRef: p(reference, c.lnZRef, c.topRef),
	}
}

// worstList keeps the positions of the largest KLD, the largest first, of equals those that came
// first.
type worstList struct {
	most int
	list []Position
}

func (w *worstList) wants(kld float64) bool {
	return w.most > 0 && (len(w.list) < w.most || kld > w.list[len(w.list)-1].KLD)
}

func (w *worstList) put(p Position) {
	at := slices.IndexFunc(w.list, func(q Position) bool { return p.KLD > q.KLD })
	if at < 0 {
		at = len(w.list)
	}
	if len(w.list) == w.most {
		w.list = w.list[:w.most-1]
	}
	w.list = slices.Insert(w.list, at, p)
}

// Bins are a quarter of a decade wide, and none is below histogramFloor: what is less is rounding.
const (
	binsPerDecade  = 4
	histogramFloor = 1e-8
)

// histogram sorts values into bins of a logarithmic scale that covers them.
func histogram(values []float32) []Bin {
	if len(values) == 0 {
		return nil
	}
	bin := func(v float64) int {
		return int(math.Ceil(math.Log10(max(v, histogramFloor))*binsPerDecade - 1e-6)) // an edge belongs to the bin below it
	}
	first, last := bin(float64(slices.Min(values))), bin(float64(slices.Max(values)))
	bins := make([]Bin, last-first+1)
	for i := range bins {
		bins[i].From = math.Pow(10, float64(first+i-1)/binsPerDecade)
		bins[i].To = math.Pow(10, float64(first+i)/binsPerDecade)
	}
	for _, v := range values {
		bins[bin(float64(v))-first].Count++
	}
	return bins
}

// MeasureLayers says how far the candidate's residual stream is from the reference's after each
// stage, over the tokens. It returns none if one of the two cannot be traced. It holds the hidden
// states of all tokens.
func MeasureLayers(ctx context.Context, reference, candidate Forwarder, tokens []int32) ([]Stage, error) {
	if _, ok := candidate.(Tracer); !ok {
		return nil, nil
	}
	ref := &side{name: "reference model", f: reference, vocab: reference.VocabSize()}
	cand := &side{name: "bundle", f: candidate, vocab: candidate.VocabSize()}
	hidden, err := ref.record(ctx, tokens, true)
	if err != nil {
		return nil, fmt.Errorf("layers: %w", err)
	}
	if hidden == nil {
		return nil, nil
	}
	stages, err := cand.layers(ctx, tokens, hidden)
	if err != nil {
		return nil, fmt.Errorf("layers: %w", err)
	}
	return stages, nil
}
