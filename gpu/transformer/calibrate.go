package transformer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Calibrator runs calibration text through a model that is being quantized, layer by layer, and
// gathers sums over the inputs of each matrix. The float model may go along, to say what these inputs
// should have been. Device memory holds one layer of each; what the text has become on its way lies there as
// well, or in temporary files if it is much, so that little of a layer is computed twice. Rows are to be handed over with Set in
// the order of Spec.Tensors, as they will be in the bundle; Sums is of a matrix whose predecessors all
// were.
type Calibrator struct {
	src     model.Weights
	windows [][]int32
	used    map[int]bool // tokens of the windows

	layer     int    // whose inputs are in the tracks; NoLayer: none yet
	quantized *track // the model as far as it was handed over, the rest float32
	float     *track // the model as it was; or nil
}

// NewCalibrator prepares the calibration of src with windows of tokens, each read by itself. If
// exact is set, the float model goes along.
func NewCalibrator(dev *gpu.Device, src model.Weights, windows [][]int32, exact bool) (*Calibrator, error) {
	if len(windows) == 0 {
		return nil, errors.New("calibration: there is no text")
	}
	tracks, heads := 1, 0
	for i := range src.Spec().Kinds {
		kind := &src.Spec().Kinds[i]
		if kind.MLP.Experts > 0 {
			return nil, errors.New("calibration: mixtures of experts are not supported: use the search method")
		}
		heads = max(heads, kind.Attention.Heads*kind.Attention.HeadDim)
	}
	if exact {
		tracks = 2
	}
	return newCalibrator(src, newKeeper(dev, src.Spec().Hidden, heads, tracks, windows), exact)
}

func newCalibrator(src model.Weights, k *keeper, exact bool) (*Calibrator, error) {
	c := &Calibrator{src: src, windows: k.windows, used: map[int]bool{}, layer: model.NoLayer}
	var errQ, errF error
	if c.quantized, errQ = newTrack(src, k); exact {
		c.float, errF = newTrack(src, k)
	}
	if err := errors.Join(errQ, errF); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	for _, w := range k.windows {
		for _, id := range w {
			c.used[int(id)] = true
		}
	}
	return c, nil
}

// Close frees the device's memory and removes temporary files.
func (c *Calibrator) Close() error { return errors.Join(c.quantized.close(), c.float.close()) }

// Set hands over the next rows of tensor i, from row0 on, as they will be in the bundle: bits a weight
// in blocks, 16 and 0 for float16, 32 and 0 for float32. It keeps a copy.
func (c *Calibrator) Set(i, bits, block, row0 int, bytes []byte) {
	s := c.quantized.stored[i]
	if s == nil {
		s = &stored{scheme: scheme{bits, block}}
		c.quantized.stored[i] = s
	}
	c.quantized.changed[i] = true
	t := c.src.Tensors()[i]
	if t.Role != model.RoleEmbed {
		s.bytes = append(s.bytes, bytes...)
		return
	}
	if s.rows == nil {
		s.rows = map[int][]byte{}
	}
	for size := s.restBytes(t.Cols()); len(bytes) > 0; bytes, row0 = bytes[size:], row0+1 {
		if c.used[row0] {
			s.rows[row0] = slices.Clone(bytes[:size])
		}
	}
}

// Sums returns what the text says of the inputs of tensor i; Gap and Debt only if the float model goes
// along.
func (c *Calibrator) Sums(ctx context.Context, i int) (*quant.Sums, error) {
	t := c.src.Tensors()[i]
	if t.Layer == model.NoLayer {
		return nil, fmt.Errorf("calibration: tensor %q is in no layer", t.Name)
	}
	for c.layer < t.Layer {
		if err := c.advance(ctx); err != nil {
			return nil, err
		}
	}
	return c.pass(ctx, t.Role)
}

// of returns the matrix that has a role, one of those that are quantized.
func (w *layerWeights) of(r model.Role) *matrix {
	switch r {
	case model.RoleQ, model.RoleK, model.RoleV:
		return w.qkv
	case model.RoleO:
		return w.o
	case model.RoleGate, model.RoleUp:
		return w.gateUp
	}
	return w.down
}

// tracks returns the models that run, the float model first.
func (c *Calibrator) tracks() []*track {
	if c.float == nil {
		return []*track{c.quantized}
	}
	return []*track{c.float, c.quantized}
}

// advance moves on to the inputs of the next layer.
func (c *Calibrator) advance(ctx context.Context) error {
	if c.layer != model.NoLayer {
		if _, err := c.pass(ctx, ""); err != nil {
			return err
		}
	}
	for _, k := range c.tracks() {
		if c.layer == model.NoLayer {
			if err := k.embed(c.windows); err != nil {
				return err
			}
		}
		if err := k.next(c.layer + 1); err != nil {
			return err
		}
	}
	c.layer++
	return nil
}

// pass runs the layer over all windows, from where it can: up to the matrix of the given role, and
// returns the sums over its inputs, or to the end, which makes the next layer's inputs.
func (c *Calibrator) pass(ctx context.Context, role model.Role) (*quant.Sums, error) {
	var runs []*trackRun
	defer func() {
		for _, r := range runs {
			r.g.release()
		}
	}()
	var float *gram
	for _, k := range c.tracks() {
		r := &trackRun{track: k}
		runs = append(runs, r)
		if err := c.begin(ctx, r, role, float); err != nil {
			return nil, fmt.Errorf("calibration: layer %d: %w", c.layer, err)
		}
		float = r.g
	}
	for w, tokens := range c.windows {
		for _, r := range runs {
			if err := r.window(ctx, w, len(tokens)); err != nil {
				return nil, fmt.Errorf("calibration: layer %d: %w", c.layer, err)
			}
		}
	}
	for _, r := range runs {
		r.have = max(r.have, r.reached)
	}
	if role == "" {
		return nil, nil
	}
	sums, err := runs[len(runs)-1].g.read(ctx)
	if err == nil {
		sums.Tokens = c.tokens()
	}
	return sums, err
}

// tokens reports how many tokens the windows have.
func (c *Calibrator) tokens() (n int) {
	for _, w := range c.windows {
		n += len(w)
	}
	return n
}

// begin prepares the pass of a track.
func (c *Calibrator) begin(ctx context.Context, r *trackRun, role model.Role, float *gram) (err error) {
	if err := r.load(ctx, c.layer); err != nil {
		return err
	}
	switch m := r.t.w.layers[0].of(role); {
	case role == "":
	case r.track == c.float:
		r.g = newProbe(r.t, m)
	default:
		if r.g, err = newGram(r.t, m, float); err != nil {
			return err
		}
	}
	return r.begin()
}
