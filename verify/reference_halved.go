package verify

import (
	"slices"

	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Halved returns w as it computes after PyTorch's model.half(). The rounding to float16 then hits
// not only the weights but also what a checkpoint does not hold and a model that is loaded as
// float16 keeps in float32: the RoPE frequencies and Gemma's embedding scale. Logits that were
// recorded from a halved model can only be met with it. Frequencies that are computed for a longer
// context stay as they are.
func Halved(w model.Weights) model.Weights {
	spec := *w.Spec()
	spec.EmbedScale = float16.Fromfloat32(spec.EmbedScale).Float32()
	spec.RoPE = slices.Clone(spec.RoPE)
	for i := range spec.RoPE {
		r := &spec.RoPE[i]
		r.InvFreq = slices.Clone(r.InvFreq)
		for j, f := range r.InvFreq {
			r.InvFreq[j] = float16.Fromfloat32(f).Float32()
		}
	}
	return halved{w, &spec}
}

type halved struct {
	model.Weights
	spec *model.Spec
}

func (h halved) Spec() *model.Spec { return h.spec }
