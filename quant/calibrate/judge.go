package calibrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// Judge implements convert.Judge: it measures how far the float model drifts with one matrix replaced. It keeps the
// residual streams of its text before each layer, so that only the layers from the matrix on are run.
type Judge struct {
	sums      *Calibrator
	model     *replacing
	engine    *cpu.Engine
	windows   [][]int32
	texts     [][]*cpu.Text // … and where the windows are there
	streams   [][][]float32 // by layer and window, [tokens][hidden]; the last is behind the layers
	recording *verify.Recording
	file      *os.File
}

// replacing is a model with one matrix made of blocks.
type replacing struct {
	model.Weights
	matrix int // −1: none
	scheme block.Scheme
	blocks []byte
}

// Rows implements model.Weights.
func (r *replacing) Rows(i, row0, n int, dst []float32) error {
	if i != r.matrix {
		return r.Weights.Rows(i, row0, n, dst)
	}
	cols := r.Tensors()[i].Cols()
	size := r.scheme.RowBytes(cols)
	for k := range n {
		r.scheme.DecodeRow(dst[k*cols:(k+1)*cols], r.blocks[(row0+k)*size:(row0+k+1)*size])
	}
	return nil
}

// NewJudge prepares a judge: text says what inputs matrices have, and windows, of one length, how far the model drifts. It
// keeps the logits of these in a temporary file until it is closed.
func NewJudge(ctx context.Context, src model.Weights, text, windows [][]int32) (_ *Judge, err error) {
	j := &Judge{model: &replacing{Weights: src, matrix: -1}, windows: windows}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.Close())
		}
	}()
	if j.sums, err = New(src, text, false); err != nil {
		return nil, err
	}
	j.engine, err = cpu.New(j.model, cpu.Options{MaxSeqLen: len(windows[0])})
	if err != nil {
		return nil, err
	}
	if err := j.run(ctx); err != nil {
		return nil, err
	}
	if j.file, err = os.CreateTemp("", "llama-webgpu-logits-"); err != nil {
		return nil, err
	}
	j.recording, err = verify.Record(ctx, j.from(len(j.streams)-1), windows, j.file, nil)
	return j, err
}

// run keeps the streams of the float model.
func (j *Judge) run(ctx context.Context) error {
	layers := len(j.model.Spec().Layers)
	j.texts = make([][]*cpu.Text, layers)
	j.streams = make([][][]float32, layers+1)
	for _, tokens := range j.windows {
		x, err := j.engine.Embed(tokens[:len(tokens)-1]) // the last token predicts nothing
		if err != nil {
			return err
		}
		text := cpu.NewText(tokens)
		for l := range layers {
			j.streams[l], j.texts[l] = append(j.streams[l], slices.Clone(x)), append(j.texts[l], text.Clone())
			if err := j.engine.Layer(ctx, l, text, x); err != nil {
				return err
			}
		}
		j.streams[layers] = append(j.streams[layers], x)
	}
	return nil
}

// Close removes the temporary file.
func (j *Judge) Close() error {
	if j.sums != nil {
		j.sums.Close()
	}
	if j.file == nil {
		return nil
	}
	return errors.Join(j.file.Close(), os.Remove(j.file.Name()))
}

// Sums implements convert.Judge.
func (j *Judge) Sums(ctx context.Context, i int) (*quant.Sums, error) { return j.sums.Sums(ctx, i) }

// ExpertSums implements convert.Judge.
func (j *Judge) ExpertSums(ctx context.Context, i, e int) (*quant.Sums, error) {
	return j.sums.ExpertSums(ctx, i, e)
}

// Slow implements convert.Judge.
func (j *Judge) Slow() bool { return true }

// Drift implements convert.Judge.
func (j *Judge) Drift(ctx context.Context, i int, s block.Scheme, blocks []byte) (float64, error) {
	j.model.matrix, j.model.scheme, j.model.blocks = i, s, blocks
	defer func() { j.model.matrix, j.model.blocks = -1, nil }()
	d, err := verify.MeasureDrift(ctx, j.recording.Play(), j.from(j.model.Tensors()[i].Layer), j.windows, nil)
	if err != nil {
		return 0, err
	}
	return d.MeanKLD, nil
}

// from returns a model that knows the windows only, in their order, each after a Reset, and runs the layers from the
// given one on.
func (j *Judge) from(layer int) verify.Forwarder { return &rest{Judge: j, layer: layer, window: -1} }

type rest struct {
	*Judge
	layer, window int
	position      int       // of the next token
	x             []float32 // [tokens][hidden], behind the layers
}

func (r *rest) VocabSize() int { return r.engine.VocabSize() }

// Reset implements verify.Forwarder.
func (r *rest) Reset() { r.window, r.position = r.window+1, 0 }

// Forward implements verify.Forwarder. With the first tokens of a window, all of it goes through the layers.
func (r *rest) Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error {
	if r.position == 0 {
		var text *cpu.Text
		r.x = slices.Clone(r.streams[r.layer][r.window])
		for l := r.layer; l < len(r.streams)-1; l++ {
			if l == r.layer {
				text = r.texts[l][r.window].Clone()
			}
			if err := r.engine.Layer(ctx, l, text, r.x); err != nil {
				return err
			}
		}
	}
	h := r.model.Spec().Hidden
	end := r.position + len(tokens)
	if end*h > len(r.x) {
		return fmt.Errorf("window %d has %d tokens, %d are fed", r.window, len(r.x)/h, end)
	}
	x := r.x[r.position*h : end*h]
	r.position = end
	return r.engine.Logits(ctx, x, from, each)
}
