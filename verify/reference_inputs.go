package verify

import (
	"context"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// layerInputs computes what each layer is given of the tokens beside the residual stream, which is x [tokens][hidden]
// before the first layer.
func (r *Reference) layerInputs(ctx context.Context, tokens []int32, x []float32) error {
	m, layers := &r.spec.LayerInputs, len(r.spec.Layers)
	if m.Width == 0 {
		return nil
	}
	all, err := r.multiply(ctx, model.RoleLayerProject, model.NoLayer, x, len(tokens), layers*m.Width)
	if err != nil {
		return err
	}
	scale(all, m.ProjectScale)
	r.norm(all, model.RoleLayerNorm, "", model.NoLayer)
	r.inputs = make([][]float32, layers)
	row := make([]float32, layers*m.Width)
	for t, token := range tokens {
		if int(token) >= m.Tokens {
			token = 0
		}
		if err := r.rows(model.RoleLayerEmbed, model.NoLayer, int(token), 1, row); err != nil {
			return err
		}
		for i := range layers {
			sum := all[(t*layers+i)*m.Width:][:m.Width]
			add(sum, row[i*m.Width:][:m.Width], m.EmbedScale)
			scale(sum, m.SumScale)
			r.inputs[i] = append(r.inputs[i], sum...)
		}
	}
	return nil
}

// takeInput adds to the residual stream x [tokens][hidden] what layer i makes of its input.
func (r *Reference) takeInput(ctx context.Context, i int, x []float32, tokens int) error {
	reads := x
	if weight := r.small[key{model.RoleStreamScale, i}]; weight != nil {
		reads = slices.Clone(x)
		for k := range reads {
			reads[k] *= weight[k%len(weight)]
		}
	}
	gate, err := r.multiply(ctx, model.RoleInputGate, i, reads, tokens, r.spec.LayerInputs.Width)
	if err != nil {
		return err
	}
	for k, v := range gate {
		gate[k] = activation(r.spec.Layer(i).MLP.Activation, v) * r.inputs[i][k]
	}
	out, err := r.multiply(ctx, model.RoleInputOut, i, gate, tokens, r.spec.Hidden)
	if err != nil {
		return err
	}
	r.norm(out, model.RolePostInputNorm, "", i)
	if r.streams == nil {
		add(x, out, 1)
	}
	for _, s := range r.streams {
		add(s, out, 1)
	}
	return nil
}
