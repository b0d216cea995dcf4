package llm

import (
	"cmp"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// MaxTopLogprobs is the most that GenerateOptions.TopLogprobs may be.
const MaxTopLogprobs = 20

// Logprob is a token and the logarithm of its probability, by the model's own logits: before penalties, bias, form and temperature.
type Logprob struct {
	Token   int32
	Logprob float64
	Top     []Logprob // of the token that was chosen: the likeliest ones, in order
}

// logprob finds that of a token: from the largest logits if it is among them, else from all.
func (r *run) logprob(id int32, candidates []sample.Candidate, logSumExp float64, all func() ([]float32, error)) (*Logprob, error) {
	at := slices.IndexFunc(candidates, func(c sample.Candidate) bool { return c.ID == id })
	if at < 0 || len(candidates) < r.o.TopLogprobs {
		logits, err := all()
		if err != nil {
			return nil, err
		}
		candidates, logSumExp = ofAll(logits)
		at = int(id)
	}
	p := &Logprob{Token: id, Logprob: float64(candidates[at].Logit) - logSumExp}
	ranked := slices.SortedFunc(slices.Values(candidates), func(a, b sample.Candidate) int {
		return cmp.Or(cmp.Compare(b.Logit, a.Logit), cmp.Compare(a.ID, b.ID))
	})
	for _, c := range ranked[:min(r.o.TopLogprobs, len(ranked))] {
		p.Top = append(p.Top, Logprob{Token: c.ID, Logprob: float64(c.Logit) - logSumExp})
	}
	return p, nil
}

// ofAll returns all logits as candidates, by id, and ln Σ exp(logit).
func ofAll(logits []float32) (all []sample.Candidate, logSumExp float64) {
	most, sum := float64(slices.Max(logits)), 0.0
	for id, l := range logits {
		all = append(all, sample.Candidate{ID: int32(id), Logit: l})
		sum += math.Exp(float64(l) - most)
	}
	return all, most + math.Log(sum)
}
