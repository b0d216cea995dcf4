package calibrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/quant/overlay"
)

// Calibrator implements convert.Calibration. It runs the model as far as it is quantized and, if asked, the float
// model alongside, to say what the inputs should have been. For each of the two, memory holds the residual stream of
// the whole text, some windows that wait within a layer, and the quantized matrices of a layer.
type Calibrator struct {
	src       model.Weights
	windows   [][]int32
	quantized *track // the model as far as it was handed over, the rest as in src
	float     *track // the model as it was; or nil
}

// New prepares the calibration of src with windows of tokens, each read by itself. If exact is set, the float model
// runs alongside.
func New(src model.Weights, windows [][]int32, exact bool) (*Calibrator, error) {
	if len(windows) == 0 {
		return nil, errors.New("calibration: there is no text")
	}
	c := &Calibrator{src: src, windows: windows}
	var err error
	if c.quantized, err = newTrack(overlay.New(src, windows), windows); err == nil && exact {
		c.float, err = newTrack(src, windows)
	}
	return c, err
}

// Close ends the windows that wait within a layer.
func (c *Calibrator) Close() error {
	c.quantized.close()
	c.float.close()
	return nil
}

// Set hands over the next rows of tensor i, from row0 on, as they will be in the bundle: bits a weight in blocks, 16
// and 0 for float16, 32 and 0 for float32. It keeps a copy. The tensor counts when its last row is there.
func (c *Calibrator) Set(i, bits, size, row0 int, rows []byte) {
	c.quantized.replaced().Set(i, block.Packing{Bits: bits, Block: size}, row0, rows)
}

// KVFloat32 returns the layers, in order, of which the text has shown that float16 may not hold their keys or values, as far
// as the calibration has come: bundle.Manifest.KVFloat32.
func (c *Calibrator) KVFloat32(context.Context) ([]int, error) {
	return c.quantized.engine.LargeKV(), nil
}

func (k *track) replaced() *overlay.Model { return k.engine.Weights().(*overlay.Model) }

// Sums returns the sums over the inputs of tensor i; Gap and Debt only if the float model runs alongside. For a
// stack of experts' matrices it returns only Inputs, over all experts.
func (c *Calibrator) Sums(ctx context.Context, i int) (*quant.Sums, error) {
	t, err := c.reach(ctx, i)
	if err != nil {
		return nil, err
	}
	if c.experts(t) > 0 {
		return c.allExperts(ctx, t)
	}
	sums := newSums(t, c.src.Spec(), c.float != nil, c.paysDebt(t))
	for w, tokens := range c.windows {
		if err := c.addWindow(ctx, sums, t, w, len(tokens)); err != nil {
			return nil, fmt.Errorf("calibration: %w", err)
		}
	}
	return sums.Sums, nil
}

// addWindow adds what one window says.
func (c *Calibrator) addWindow(ctx context.Context, sums *sums, t model.Tensor, w, tokens int) error {
	seen, err := c.quantized.inputs(ctx, w, t.Role)
	if err != nil {
		return err
	}
	defer seen.release()
	var should inputs
	if c.float != nil {
		if should, err = c.float.inputs(ctx, w, t.Role); err != nil {
			return err
		}
		defer should.release()
	}
	sums.add(seen, should, tokens, c.src.Spec().Layer(t.Layer).ResidualScale)
	return nil
}

// paysDebt reports whether what the matrix makes is added to the residual stream as it is, but for a factor, and the
// stream is by then what the layer's other branch made of it.
func (c *Calibrator) paysDebt(t model.Tensor) bool {
	y := c.src.Spec().Layer(t.Layer)
	if y.Parallel || y.PostNorm {
		return false
	}
	switch t.Role {
	case model.RoleO:
		return !y.Twofold() // else the recurrence beside it adds to the same sum
	case model.RoleDown:
		return y.MLP.ExpertWidth == 0 // else expert_out multiplies it
	}
	return t.Role == model.RoleSharedDown
}

// reach moves on to the layer of tensor i.
func (c *Calibrator) reach(ctx context.Context, i int) (model.Tensor, error) {
	t := c.src.Tensors()[i]
	if t.Layer == model.NoLayer {
		return t, fmt.Errorf("calibration: tensor %q is in no layer", t.Name)
	}
	for c.quantized.layer < t.Layer {
		for _, k := range []*track{c.float, c.quantized} {
			if k == nil {
				continue
			}
			if err := k.advance(ctx, c.windows); err != nil {
				return t, fmt.Errorf("calibration: %w", err)
			}
		}
		c.quantized.replaced().Forget(c.quantized.layer)
	}
	return t, nil
}
