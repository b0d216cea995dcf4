package calibrate

import (
	"context"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// experts reports how many experts have their matrices in a tensor, 0 if it is no stack of them.
func (c *Calibrator) experts(t model.Tensor) int {
	switch t.Role {
	case model.RoleGate, model.RoleUp, model.RoleDown:
		return c.src.Spec().Layer(t.Layer).MLP.Experts
	}
	return 0
}

// ExpertSums returns what the text says of the inputs of expert e's matrix in the stack that is tensor i: of
// what the router sends there, as far as the model is quantized. Gap is over those tokens that the float model sends
// there too. A routing weight that multiplies the expert's inputs or outputs multiplies all of its inputs here.
func (c *Calibrator) ExpertSums(ctx context.Context, i, e int) (*quant.Sums, error) {
	t, err := c.reach(ctx, i)
	if err != nil {
		return nil, err
	}
	if n := c.experts(t); e < 0 || e >= n {
		return nil, fmt.Errorf("calibration: tensor %q: expert %d: there are %d", t.Name, e, n)
	}
	sums := newSums(t, c.src.Spec(), c.float != nil, c.paysDebt(t))
	for w := range c.windows {
		if err := c.addExpert(ctx, sums, t, e, w); err != nil {
			return nil, fmt.Errorf("calibration: %w", err)
		}
	}
	return sums.Sums, nil
}

// allExperts returns Inputs alone: the sum over what is sent to any expert.
func (c *Calibrator) allExperts(ctx context.Context, t model.Tensor) (*quant.Sums, error) {
	sums := newSums(t, c.src.Spec(), false, false)
	for w := range c.windows {
		for e := range c.experts(t) {
			got, err := c.quantized.expert(ctx, w, e, t)
			if err != nil {
				return nil, fmt.Errorf("calibration: %w", err)
			}
			sums.add(inputs{x: got.x}, inputs{}, len(got.sent), 1)
		}
	}
	return sums.Sums, nil
}

// addExpert adds what window w says of the inputs of expert e.
func (c *Calibrator) addExpert(ctx context.Context, sums *sums, t model.Tensor, e, w int) error {
	seen, err := c.quantized.expert(ctx, w, e, t)
	if err != nil || len(seen.sent) == 0 || c.float == nil {
		sums.add(inputs{x: seen.x}, inputs{x: seen.x}, len(seen.sent), 1)
		return err
	}
	other, err := c.float.expert(ctx, w, e, t)
	if err != nil {
		return err
	}
	h, cols := c.src.Spec().Hidden, t.Cols()
	should := append([]float32(nil), seen.x...)
	lacks, have := make([]float32, len(seen.sent)*h), make([]float32, len(seen.sent)*h)
	at := 0
	for k, s := range seen.sent {
		for at < len(other.sent) && other.sent[at].Token < s.Token {
			at++
		}
		if at < len(other.sent) && other.sent[at].Token == s.Token {
			copy(should[k*cols:(k+1)*cols], other.x[at*cols:(at+1)*cols])
		}
		for j := range h {
			lacks[k*h+j] = other.stream[s.Token*h+j] * s.Share
			have[k*h+j] = seen.stream[s.Token*h+j] * s.Share
		}
	}
	sums.add(inputs{x: seen.x, stream: have}, inputs{x: should, stream: lacks}, len(seen.sent), c.src.Spec().Layer(t.Layer).ResidualScale)
	return nil
}

// sent is what an expert is sent of one window.
type sent struct {
	sent   []cpu.Sent
	x      []float32 // [sent][cols], the inputs of the matrix, times routing weights
	stream []float32 // [tokens][hidden], the residual stream that the experts' outputs are added to
}

// expert returns what the matrix of expert e in tensor t is given of window w.
func (k *track) expert(ctx context.Context, w, e int, t model.Tensor) (got sent, err error) {
	in, err := k.inputs(ctx, w, model.RoleRouter)
	if err != nil {
		return got, err
	}
	got.stream = in.stream
	s := k.windows[w]
	if s.sent == nil {
		s.sent, err = k.engine.Route(ctx, k.layer, in.x)
	}
	if err == nil && len(s.sent[e]) > 0 {
		got.sent = s.sent[e]
		got.x, err = k.engine.ExpertInputs(ctx, k.layer, got.sent, in.x)
	}
	in.release()
	if err != nil || t.Role != model.RoleDown || len(got.sent) == 0 {
		return got, err
	}
	if got.x, err = k.engine.ExpertInner(ctx, k.layer, e, got.x); err != nil {
		return got, err
	}
	if !k.engine.Weights().Spec().Layer(k.layer).MLP.WeightInput {
		cols := t.Cols()
		for i, c := range got.sent {
			for j := range got.x[i*cols : (i+1)*cols] {
				got.x[i*cols+j] *= c.Weight
			}
		}
	}
	return got, nil
}
