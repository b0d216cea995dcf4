package llm

import (
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
		return logprobOf(logits, id, r.o.TopLogprobs), nil
	}
	p := &Logprob{Token: id, Logprob: float64(candidates[at].Logit) - logSumExp}
	for _, c := range sample.Ranked(slices.Clone(candidates), min(r.o.TopLogprobs, len(candidates))) {
		p.Top = append(p.Top, Logprob{Token: c.ID, Logprob: float64(c.Logit) - logSumExp})
	}
	return p, nil
}

// logprobOf finds that of a token, and of the `top` likeliest ones: of those that are alike, the lowest ids.
func logprobOf(logits []float32, id int32, top int) *Logprob {
	most, sum := float64(slices.Max(logits)), 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - most)
	}
	logSumExp := most + math.Log(sum)
	p := &Logprob{Token: id, Logprob: float64(logits[id]) - logSumExp}
	for i, l := range logits {
		switch n := len(p.Top); {
		case n < top:
			p.Top = append(p.Top, Logprob{Token: int32(i)})
		case n == 0 || l <= logits[p.Top[n-1].Token]:
			continue
		}
		at := len(p.Top) - 1
		for ; at > 0 && l > logits[p.Top[at-1].Token]; at-- {
			p.Top[at] = p.Top[at-1]
		}
		p.Top[at] = Logprob{Token: int32(i), Logprob: float64(l) - logSumExp}
	}
	return p
}
