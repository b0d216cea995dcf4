package calibrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Calibrator runs calibration text through a model that is being quantized, layer by layer, and
// adds up sums over the inputs of each matrix. The float model may run alongside, to say what these inputs
// should have been. Device memory holds one layer of each model, and sums of at most SumBytes, unless those of a single
// expert are larger. The hidden states of the text are kept on the device too, or in temporary files if there are
// too many, so that little of a layer is computed twice.
//
// Call Set with the rows of all tensors in the order of Spec.Tensors, as they will be in the bundle. Before Sums or
// ExpertSums is called for a matrix, all tensors before it must have been set, except those with the same inputs.
type Calibrator struct {
	src     model.Weights
	windows [][]int32

	layer     int    // whose inputs are in the tracks; NoLayer: none yet
	quantized *track // the model with the tensors that were set, the rest float32
	float     *track // the original model; or nil

	kept     expertSums
	beyond   []int // layers with keys or values beyond block.SafeKV
	sumBytes int   // SumBytes
	choice   Choice
}

// SumBytes is about how much memory the sums of several experts may take: on the device, and the same again on the
// host.
const SumBytes = 1 << 30

// expertSums are the sums of some experts of a layer, from one pass.
type expertSums struct {
	layer int
	input model.Input
	experts
	sums []*quant.Sums
}

// New prepares the calibration of src with windows of tokens, each a text of its own, and tries what the device can do. If
// exact is set, the float model runs alongside.
func New(ctx context.Context, dev *gpu.Device, src model.Weights, windows [][]int32, exact bool) (*Calibrator, error) {
	if len(windows) == 0 {
		return nil, errors.New("calibration: there is no text")
	}
	tracks, heads := 1, 0
	for i := range src.Spec().Kinds {
		heads = max(heads, src.Spec().Kinds[i].Mixed())
	}
	if exact {
		tracks = 2
	}
	k := newKeeper(dev, src.Spec().Hidden, heads+floatsOf(src.Spec()), tracks, windows)
	choice, err := choose(ctx, dev)
	if err != nil {
		return nil, err
	}
	k.matrices = choice.Kernel == matrixKernel
	c, err := newCalibrator(src, k, exact)
	if err != nil {
		return nil, err
	}
	c.choice = choice
	return c, nil
}

// Choice says which kernel makes the sums, and why.
func (c *Calibrator) Choice() Choice { return c.choice }

func newCalibrator(src model.Weights, k *keeper, exact bool) (*Calibrator, error) {
	c := &Calibrator{src: src, windows: k.windows, layer: model.NoLayer, sumBytes: SumBytes}
	var errQ, errF error
	if c.quantized, errQ = newTrack(src, k); exact {
		c.float, errF = newTrack(src, k)
	}
	if err := errors.Join(errQ, errF); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close frees the device's memory and removes temporary files.
func (c *Calibrator) Close() error { return errors.Join(c.quantized.close(), c.float.close()) }

// Set passes the next rows of tensor i, starting at row0, as they will be in the bundle: with this many bits a weight
// in blocks of the given size; 16 and 0 mean float16, 32 and 0 float32. It keeps a copy. The tensor takes effect with its
// last row. Set may be called while sums are computed.
func (c *Calibrator) Set(i, bits, size, row0 int, bytes []byte) {
	c.quantized.Set(i, block.Packing{Bits: bits, Block: size}, row0, bytes)
}

// Sums returns the sums over the inputs of tensor i; Gap and Debt only if the float model runs
// alongside. For a stack of experts' matrices it returns only Inputs, over what is sent to any of them.
func (c *Calibrator) Sums(ctx context.Context, i int) (*quant.Sums, error) {
	t, err := c.reach(ctx, i)
	if err != nil {
		return nil, err
	}
	tracks := c.tracks()
	if c.expertsOf(t) > 0 {
		tracks = tracks[len(tracks)-1:]
	}
	sums, err := c.pass(ctx, tracks, t.Role.Input(), allExperts)
	if err != nil {
		return nil, err
	}
	if c.expertsOf(t) == 0 {
		sums[0].Tokens = c.tokens()
	}
	return sums[0], nil
}

// ExpertSums returns the sums over the inputs of expert e's matrix in the stack that is tensor i: over the tokens
// that the router of the partly quantized model sends to it. Gap is over those of them that the float model sends
// there too. Inputs are multiplied by the routing weight, whether the model applies that to the expert's inputs or its
// outputs. The sums belong to the Calibrator: do not change them; they are valid until the next call.
func (c *Calibrator) ExpertSums(ctx context.Context, i, e int) (*quant.Sums, error) {
	t, err := c.reach(ctx, i)
	if err != nil {
		return nil, err
	}
	n := c.expertsOf(t)
	if e < 0 || e >= n {
		return nil, fmt.Errorf("calibration: tensor %q: expert %d: there are %d", t.Name, e, n)
	}
	k := &c.kept
	if k.layer != t.Layer || k.input != t.Role.Input() || e < k.from || e >= k.to {
		want := expertSums{layer: t.Layer, input: t.Role.Input(), experts: experts{e, min(n, e+max(1, c.sumBytes/c.expertBytes(t)))}}
		*k = expertSums{} // frees the memory before the next ones are made
		if want.sums, err = c.pass(ctx, c.tracks(), want.input, want.experts); err != nil {
			return nil, err
		}
		*k = want
	}
	return k.sums[e-k.from], nil
}

// expertsOf reports how many experts' matrices are stacked in a tensor, 0 if it is not a stack.
func (c *Calibrator) expertsOf(t model.Tensor) int {
	switch t.Role {
	case model.RoleGate, model.RoleUp, model.RoleDown:
		return c.src.Spec().Layer(t.Layer).MLP.Experts
	}
	return 0
}

// expertBytes reports how much memory the sums of one expert take.
func (c *Calibrator) expertBytes(t model.Tensor) int {
	cols := t.Cols()
	n := cols * cols
	if c.float != nil {
		n += cols * cols
		if t.Role == model.RoleDown {
			n += cols * c.src.Spec().Hidden
		}
	}
	return 4 * n
}

// reach advances to the layer of tensor i.
func (c *Calibrator) reach(ctx context.Context, i int) (model.Tensor, error) {
	t := c.src.Tensors()[i]
	if t.Layer == model.NoLayer {
		return t, fmt.Errorf("calibration: tensor %q is in no layer", t.Name)
	}
	for c.layer < t.Layer {
		if err := c.advance(ctx); err != nil {
			return t, err
		}
	}
	return t, nil
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
		if _, err := c.pass(ctx, c.tracks(), model.InputNone, allExperts); err != nil {
			return err
		}
		if err := c.look(ctx); err != nil {
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

// pass runs the current layer of some tracks, the quantized model's last, over all windows, beginning at the furthest
// place whose vectors were kept. With an input it runs up to the matrix that multiplies it, and returns the sums over
// that input, or over the inputs of some experts, one set for each. With InputNone it runs to the end of the layer,
// which leaves the inputs of the next layer.
func (c *Calibrator) pass(ctx context.Context, tracks []*track, input model.Input, some experts) ([]*quant.Sums, error) {
	var runs []*trackRun
	defer func() {
		for _, r := range runs {
			r.sums.release()
		}
	}()
	var float *probe
	for _, k := range tracks {
		r := &trackRun{track: k}
		runs = append(runs, r)
		if err := c.begin(ctx, r, input, float, some); err != nil {
			return nil, fmt.Errorf("calibration: layer %d: %w", c.layer, err)
		}
		float = r.probe
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
	if input == model.InputNone {
		return nil, nil
	}
	return runs[len(runs)-1].sums.read(ctx)
}

// tokens reports how many tokens the windows have.
func (c *Calibrator) tokens() (n int) {
	for _, w := range c.windows {
		n += len(w)
	}
	return n
}

// begin prepares the pass of a track.
func (c *Calibrator) begin(ctx context.Context, r *trackRun, input model.Input, float *probe, some experts) (err error) {
	if err := r.load(ctx, c.layer); err != nil {
		return err
	}
	if input != model.InputNone {
		r.probe = newProbe(r.layer, input)
		if r.track != c.float {
			if r.sums, err = newSums(r.layer, r.probe, float, some, r.keeper.matrices); err != nil {
				return err
			}
		}
	}
	return r.begin()
}
