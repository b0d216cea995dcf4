package convert

import (
	"context"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// tileWeights is about how many weights a worker takes at a time. It is fixed, because the order
// in which errors are summed up follows it.
const tileWeights = 1 << 16

// plan says what becomes of each tensor.
type plan struct {
	src     Source
	opts    Options
	tensors []bundle.Tensor
	total   int64 // bytes of the checkpoint's tensors
}

func newPlan(ctx context.Context, src Source, o Options) (*plan, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	p := &plan{src: src, opts: o}
	for i, t := range src.Weights.Tensors() {
		e := bundle.Tensor{Name: t.Name, Role: t.Role, Layer: t.Layer, Shape: t.Shape}
		var err error
		if t.Quantizable() {
			e.Type = o.matrix(t)
		} else if e.Type, err = floats(ctx, src.Weights, i, o.Sanitize); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if e.Block = o.block(e.Type); e.Block != 0 {
			e.Method = string(o.Method)
		}
		p.tensors = append(p.tensors, e)
		p.total += src.bytes(i)
	}
	return p, p.checkKept()
}

// checkKept reports a pattern that keeps nothing: it is more likely a mistake than a wish.
func (p *plan) checkKept() error {
	for _, re := range p.opts.KeepF16 {
		used := false
		for i := range p.tensors {
			t := p.tensors[i].Model()
			used = used || t.Quantizable() && re.MatchString(t.Name)
		}
		if !used {
			return fmt.Errorf("keep f16 %q: matches the name of no matrix", re)
		}
	}
	return nil
}

// tileRows reports how many rows of the tensor make a tile.
func tileRows(t model.Tensor) int { return max(1, tileWeights/t.Cols()) }

// floats chooses the type of a tensor that is not quantized: f16 if that keeps every value, else
// f32.
func floats(ctx context.Context, w model.Weights, i int, sanitize bool) (bundle.Type, error) {
	t := w.Tensors()[i]
	buf := make([]float32, min(tileRows(t), t.Rows())*t.Cols())
	for r, step := 0, tileRows(t); r < t.Rows(); r += step {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n := min(step, t.Rows()-r)
		tile := buf[:n*t.Cols()]
		if err := w.Rows(i, r, n, tile); err != nil {
			return "", err
		}
		for k, v := range tile {
			if v-v != 0 && !sanitize {
				return "", notFinite(v, r+k/t.Cols(), k%t.Cols())
			}
			if v-v == 0 && quant.FromFloat16(quant.Float16(v)) != v {
				return bundle.F32, nil
			}
		}
	}
	return bundle.F16, nil
}

func notFinite(v float32, row, col int) error {
	return fmt.Errorf("row %d: %w", row, &quant.WeightError{Col: col, Value: v, Reason: quant.ErrNotFinite})
}
