package calibrate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// Calibrator implements convert.Calibration. Beside the model as far as it is quantized, the float model may go along,
// to say what the inputs should have been. Memory holds the residual stream of the whole text for each of them, and
// the quantized matrices of a layer.
type Calibrator struct {
	src       model.Weights
	windows   [][]int32
	layer     int    // whose inputs are in the tracks; NoLayer: none yet
	quantized *track // the model as far as it was handed over, the rest as in src
	float     *track // the model as it was; or nil
}

// track is one of the two models on its way through the text.
type track struct {
	ref     *verify.Reference
	streams [][]float32 // for each window, [tokens][hidden] before the layer
}

// New prepares the calibration of src with windows of tokens, each read by itself. If exact is set, the float model
// goes along. Experts are not supported: Supported says so beforehand.
func New(src model.Weights, windows [][]int32, exact bool) (*Calibrator, error) {
	if len(windows) == 0 {
		return nil, errors.New("calibration: there is no text")
	}
	if !Supported(src.Spec()) {
		return nil, errors.New("calibration: mixtures of experts are calibrated on a GPU only")
	}
	c := &Calibrator{src: src, windows: windows, layer: model.NoLayer}
	var err error
	if c.quantized, err = newTrack(newOverlay(src, windows), windows); err == nil && exact {
		c.float, err = newTrack(src, windows)
	}
	return c, err
}

// Supported reports whether a model can be calibrated on the CPU.
func Supported(s *model.Spec) bool {
	return !slices.ContainsFunc(s.Kinds, func(y model.Layer) bool { return y.MLP.Experts > 0 })
}

func newTrack(w model.Weights, windows [][]int32) (*track, error) {
	longest := 0
	for _, tokens := range windows {
		longest = max(longest, len(tokens))
	}
	r, err := verify.NewReference(w, verify.ReferenceOptions{MaxSeqLen: longest, Vector: true})
	return &track{ref: r}, err
}

// Set hands over the next rows of tensor i, from row0 on, as they will be in the bundle: bits a weight in blocks, 16
// and 0 for float16, 32 and 0 for float32. It keeps a copy. The tensor counts when its last row is there.
func (c *Calibrator) Set(i, bits, block, row0 int, rows []byte) {
	c.quantized.overlay().set(i, bits, block, row0, rows)
}

func (k *track) overlay() *overlay { return k.ref.Weights().(*overlay) }

// ExpertSums is for mixtures of experts, which New refuses.
func (c *Calibrator) ExpertSums(context.Context, int, int) (*quant.Sums, error) {
	return nil, errors.New("calibration: mixtures of experts are calibrated on a GPU only")
}

// Sums returns what the text says of the inputs of tensor i; Gap and Debt only if the float model goes along.
func (c *Calibrator) Sums(ctx context.Context, i int) (*quant.Sums, error) {
	t := c.src.Tensors()[i]
	if t.Layer == model.NoLayer {
		return nil, fmt.Errorf("calibration: tensor %q is in no layer", t.Name)
	}
	for c.layer < t.Layer {
		if err := c.advance(ctx); err != nil {
			return nil, fmt.Errorf("calibration: %w", err)
		}
	}
	sums := newSums(t, c.float != nil, c.paysDebt(t))
	for w, tokens := range c.windows {
		seen, err := c.quantized.inputs(ctx, w, t)
		if err != nil {
			return nil, fmt.Errorf("calibration: %w", err)
		}
		var should inputs
		if c.float != nil {
			if should, err = c.float.inputs(ctx, w, t); err != nil {
				return nil, fmt.Errorf("calibration: %w", err)
			}
		}
		sums.add(seen, should, len(tokens), c.src.Spec().Layer(t.Layer).ResidualScale)
	}
	return sums.Sums, nil
}

// paysDebt reports whether what the matrix makes is added to the residual stream as it is, but for a factor, and the
// stream is by then what the layer's other branch made of it.
func (c *Calibrator) paysDebt(t model.Tensor) bool {
	y := c.src.Spec().Layer(t.Layer)
	return (t.Role == model.RoleO || t.Role == model.RoleDown) && !y.Parallel && !y.PostNorm
}

// advance moves on to the inputs of the next layer.
func (c *Calibrator) advance(ctx context.Context) error {
	for _, k := range []*track{c.float, c.quantized} {
		if k == nil {
			continue
		}
		if err := k.advance(ctx, c.layer, c.windows); err != nil {
			return err
		}
	}
	c.layer++
	c.quantized.overlay().forget(c.layer)
	return nil
}

func (k *track) advance(ctx context.Context, layer int, windows [][]int32) (err error) {
	if layer == model.NoLayer {
		k.streams = make([][]float32, len(windows))
	}
	for w, tokens := range windows {
		if layer == model.NoLayer {
			k.streams[w], err = k.ref.Embed(tokens)
		} else {
			err = k.ref.Layer(ctx, layer, k.streams[w], nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inputs are what a matrix is given for one window, [tokens][cols], and the residual stream that what it makes is added
// to, [tokens][hidden].
type inputs struct{ x, stream []float32 }

// inputs runs the layer of a matrix up to it.
func (k *track) inputs(ctx context.Context, w int, t model.Tensor) (in inputs, err error) {
	in.stream = slices.Clone(k.streams[w])
	err = k.ref.Layer(ctx, t.Layer, in.stream, func(role model.Role, x []float32) bool {
		if role.Input() != t.Role.Input() {
			return false
		}
		in.x = slices.Clone(x)
		return true
	})
	return in, err
}
