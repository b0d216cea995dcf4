package transformer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Calibrator runs calibration text through a model that is being quantized, layer by layer, and
// gathers Σ x·xᵀ over the inputs of each matrix. Device memory holds one layer; what the text has
// become on its way lies in temporary files, so that little of a layer is computed twice. Rows are to
// be handed over with Set in the order of Spec.Tensors, as they will be in the bundle; Gram is of a
// matrix whose predecessors all were.
type Calibrator struct {
	dev     *gpu.Device
	src     model.Weights
	windows [][]int32
	stored  map[int]*stored // tensors handed over that are still needed
	used    map[int]bool    // tokens of the windows

	layer  int     // whose inputs are in input; NoLayer: none yet
	input  *stream // residual stream before the layer
	heads  *stream // outputs of its heads …
	middle *stream // … and residual stream after attention, as far as have says
	have   place
}

// stored is a tensor as it will be in the bundle.
type stored struct {
	scheme
	bytes []byte         // of all rows, or
	rows  map[int][]byte // of those that will be looked up
}

// NewCalibrator prepares the calibration of src with windows of tokens, each read by itself.
func NewCalibrator(dev *gpu.Device, src model.Weights, windows [][]int32) (*Calibrator, error) {
	if len(windows) == 0 {
		return nil, errors.New("calibration: there is no text")
	}
	for i := range src.Spec().Kinds {
		if src.Spec().Kinds[i].MLP.Experts > 0 {
			return nil, errors.New("calibration: mixtures of experts are not supported: use the search method")
		}
	}
	input, errI := newStream(src.Spec().Hidden, windows)
	middle, errM := newStream(src.Spec().Hidden, windows)
	c := &Calibrator{
		dev: dev, src: src, windows: windows, stored: map[int]*stored{}, used: map[int]bool{}, layer: model.NoLayer, input: input, middle: middle,
	}
	if err := errors.Join(errI, errM); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	for _, w := range windows {
		for _, id := range w {
			c.used[int(id)] = true
		}
	}
	return c, nil
}

// Close removes the temporary files.
func (c *Calibrator) Close() error {
	return errors.Join(c.input.close(), c.middle.close(), c.heads.close())
}

// Set hands over the next rows of tensor i, from row0 on, as they will be in the bundle: bits a weight
// in blocks, 16 and 0 for float16, 32 and 0 for float32. It keeps a copy.
func (c *Calibrator) Set(i, bits, block, row0 int, bytes []byte) {
	s := c.stored[i]
	if s == nil {
		s = &stored{scheme: scheme{bits, block}}
		c.stored[i] = s
	}
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

// Gram returns Σ x·xᵀ over the inputs x of tensor i, [Cols][Cols], of which the lower triangle is
// filled in.
func (c *Calibrator) Gram(ctx context.Context, i int) ([]float32, error) {
	t := c.src.Tensors()[i]
	if t.Layer == model.NoLayer {
		return nil, fmt.Errorf("calibration: tensor %q is in no layer", t.Name)
	}
	for c.layer < t.Layer {
		if err := c.advance(ctx); err != nil {
			return nil, err
		}
	}
	h := make([]float32, t.Cols()*t.Cols())
	return h, c.pass(ctx, t.Role, h)
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

// advance moves on to the inputs of the next layer.
func (c *Calibrator) advance(ctx context.Context) error {
	if c.layer == model.NoLayer {
		if err := c.embed(); err != nil {
			return err
		}
	} else if err := c.pass(ctx, "", nil); err != nil {
		return err
	}
	c.layer++
	c.have = atInput
	for i, t := range c.src.Tensors() {
		if t.Layer < c.layer {
			delete(c.stored, i)
		}
	}
	err := c.heads.close()
	c.heads = nil
	return err
}

// embed fills input with the embeddings of all tokens.
func (c *Calibrator) embed() error {
	s := c.src.Spec()
	index := map[model.Role]int{}
	for i, t := range c.src.Tensors() {
		if t.Layer == model.NoLayer {
			index[t.Role] = i
		}
	}
	row := make([]float32, s.Hidden)
	for w, tokens := range c.windows {
		x := make([]float32, 0, len(tokens)*s.Hidden)
		for p, id := range tokens {
			if err := c.rows(index[model.RoleEmbed], int(id), 1, row); err != nil {
				return err
			}
			for _, v := range row {
				x = append(x, s.EmbedScale*v)
			}
			if s.Positions == 0 {
				continue
			}
			if err := c.rows(index[model.RolePositions], p, 1, row); err != nil {
				return err
			}
			for k, v := range row {
				x[len(x)-s.Hidden+k] += v
			}
		}
		if err := c.input.save(w, x); err != nil {
			return err
		}
	}
	return nil
}

// rows returns rows of a tensor as it will be in the bundle, if it was handed over.
func (c *Calibrator) rows(i, row0, n int, dst []float32) error {
	s, ok := c.stored[i]
	if !ok {
		return c.src.Rows(i, row0, n, dst)
	}
	cols := c.src.Tensors()[i].Cols()
	size := s.restBytes(cols)
	for r := range n {
		src, to := s.rows[row0+r], dst[r*cols:(r+1)*cols]
		if s.rows == nil {
			src = s.bytes[(row0+r)*size : (row0+r+1)*size]
		}
		for k := range to {
			switch s.bits {
			case 32:
				to[k] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*k:]))
			case 16:
				to[k] = quant.FromFloat16(binary.LittleEndian.Uint16(src[2*k:]))
			}
		}
		if s.block > 0 {
			quant.Scheme{Bits: s.bits, Block: s.block}.DecodeRow(to, src)
		}
	}
	return nil
}

// pass runs the layer over all windows, from where it can: up to the matrix of the given role, adding
// up its inputs to h, or to the end, which makes the next layer's inputs.
func (c *Calibrator) pass(ctx context.Context, role model.Role, h []float32) (err error) {
	longest := 0
	for _, w := range c.windows {
		longest = max(longest, len(w))
	}
	t, err := New(ctx, c.dev, newLayerSource(c), Options{MaxSeqLen: longest, Chunk: longest})
	if err != nil {
		return fmt.Errorf("calibration: layer %d: %w", c.layer, err)
	}
	defer t.Close()
	var g *gram
	if h != nil {
		if g, err = newGram(t, t.w.layers[0].of(role)); err != nil {
			return err
		}
	}
	reached, to, v, err := c.kept(t, g)
	if err != nil {
		return err
	}
	for w, tokens := range c.windows {
		if err := c.window(ctx, t, g, w, len(tokens), to, v); err != nil {
			return fmt.Errorf("calibration: layer %d: %w", c.layer, err)
		}
	}
	c.have = max(c.have, reached)
	if g != nil {
		return g.read(ctx, h)
	}
	return nil
}

// kept says what a pass leaves that a later one begins with: which vectors, in which stream, and how
// far they are. A layer whose branches run side by side begins at its input every time.
func (c *Calibrator) kept(t *Transformer, g *gram) (reached place, to *stream, v vectors, err error) {
	w, y := &t.w.layers[0], t.spec.Layer(0)
	residual := vectors{buffer: t.act.x, stride: t.act.hidden}
	switch {
	case g == nil:
		return c.have, c.input, residual, nil
	case g.m == w.o && !y.Parallel:
		if c.heads == nil {
			c.heads, err = newStream(w.o.width, c.windows)
		}
		return afterHeads, c.heads, t.act.of(w.o.width), err
	case g.m == w.gateUp && !y.Parallel:
		return afterAttention, c.middle, residual, nil
	}
	return c.have, nil, vectors{}, nil
}

// window runs the layer over one window and, unless to is nil, saves v there.
func (c *Calibrator) window(ctx context.Context, t *Transformer, g *gram, w, n int, to *stream, v vectors) error {
	rows := make([]int, 0, 4*n)
	for i := range n {
		rows = append(rows, 0, i, 0, 0)
	}
	if err := errors.Join(c.upload(t, w, n), t.rows.Write(0, words32(rows...)), t.setStep(0, n, 0)); err != nil {
		return err
	}
	r := recorder{t: t, n: n, p: new(gpu.Program), begin: c.have, gram: g}
	r.layer(0)
	if r.err != nil {
		return r.err
	}
	if err := t.dev.Run(r.p); err != nil {
		return err
	}
	if to == nil {
		return t.dev.Wait(ctx)
	}
	var out []float32
	if err := t.read(ctx, v.buffer, n*v.stride, &out); err != nil {
		return err
	}
	return to.save(w, dense(out, n, to.width, v.stride))
}

// upload writes a window's vectors to where the layer begins.
func (c *Calibrator) upload(t *Transformer, w, n int) error {
	residual := vectors{buffer: t.act.x, stride: t.act.hidden}
	switch c.have {
	case afterAttention:
		return c.middle.upload(w, n, residual)
	case afterHeads:
		if err := c.heads.upload(w, n, t.act.of(c.heads.width)); err != nil {
			return err
		}
	}
	return c.input.upload(w, n, residual)
}
