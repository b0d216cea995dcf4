package convert

import (
	"context"
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// GPTQ is the method that rounds the matrices of layers by what their inputs are in calibration text,
// see quant.Rounder. The embedding and the head get the search.
const GPTQ quant.Method = "gptq"

// Calibration runs calibration text through the model while it is being quantized.
type Calibration interface {
	// Set hands over the next rows of tensor i, from row0 on, as they are in the bundle.
	Set(i, bits, block, row0 int, rows []byte)
	// Sums returns what the text says of the inputs of matrix i. All tensors before were handed over,
	// but for others with the same inputs. Of a stack of experts' matrices, it is Inputs alone, of all experts.
	Sums(ctx context.Context, i int) (*quant.Sums, error)
	// ExpertSums returns what it says of the inputs of expert e's matrix in such a stack. Rows of the experts before
	// may be handed over meanwhile.
	ExpertSums(ctx context.Context, i, e int) (*quant.Sums, error)
}

// watcher is a Calibration that has seen how large keys and values are.
type watcher interface {
	// KVFloat32 returns the layers whose keys and values are to be cached as float32.
	KVFloat32(ctx context.Context) ([]int, error)
}

// What GPTQ does with the sums and after the feedback.
const (
	damping     = 0.01 // of what many tokens say, see dampingOf
	refinements = 3
)

// rounds reports how often GPTQ refines what its feedback has made.
func (o *Options) rounds() int {
	if o.Unrefined {
		return 0
	}
	return refinements
}

// dampingOf returns how much of the mean is added to the diagonal of sums over so many tokens of inputs of so many
// columns. Sums over t tokens miss the true ones by about √(cols/t) of the mean, and feedback amplifies what is wrong in the
// directions that t tokens hardly know; the more damping, the nearer it is to rounding each column by itself.
func dampingOf(tokens, cols int) float64 {
	return max(damping, float64(cols)/float64(max(tokens, 1)))
}

// calibrator brings calibration into the pipeline. Without calibration it does nothing.
type calibrator struct {
	Calibration
	tensors []bundle.Tensor
	ended   []chan struct{}         // for each tensor, closed when it is written
	of      map[int]*quant.Feedback // matrices that are being encoded
	all     *quant.Sums             // of the stack that is being encoded, over all experts, if one was in want of it
	share   float64                 // see quant.Feedback.Toward
}

func newCalibrator(p *plan) *calibrator {
	c := &calibrator{
		Calibration: p.opts.Calibration, tensors: p.tensors, share: p.opts.Correction,
		of: map[int]*quant.Feedback{},
	}
	if c.Calibration != nil {
		for range p.tensors {
			c.ended = append(c.ended, make(chan struct{}))
		}
	}
	return c
}

// begin prepares the feedback of matrix i, before its first tile is made.
func (c *calibrator) begin(ctx context.Context, i int) error {
	e := &c.tensors[i]
	if c.Calibration == nil || e.Method != string(GPTQ) {
		return nil
	}
	if i > 0 && c.of[i-1] != nil && sameInputs(e, &c.tensors[i-1]) {
		c.of[i] = c.of[i-1]
		return nil
	}
	if i > 0 {
		select {
		case <-c.ended[i-1]:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	clear(c.of)
	if i == 0 || !sameInputs(e, &c.tensors[i-1]) {
		c.all = nil
	}
	if stacked(e) {
		return nil // each expert begins by itself
	}
	sums, err := c.Sums(ctx, i)
	if err == nil {
		c.of[i], err = c.feedback(i, sums, dampingOf(sums.Tokens, e.Model().Cols()))
	}
	return err
}

// feedback prepares the rounding of matrix i, or of an expert's part.
func (c *calibrator) feedback(i int, sums *quant.Sums, damp float64) (*quant.Feedback, error) {
	f, err := quant.NewFeedback(sums.Inputs, c.tensors[i].Model().Cols(), damp)
	if err == nil && sums.Gap != nil {
		err = f.Toward(sums, c.share)
	}
	if err != nil {
		return nil, fmt.Errorf("calibration: tensor %q: %w", c.tensors[i].Name, err)
	}
	return f, nil
}

// sameInputs reports whether two matrices multiply the same vectors.
func sameInputs(a, b *bundle.Tensor) bool { return a.Model().SharesInputs(b.Model()) }

// wrote hands over rows that were written.
func (c *calibrator) wrote(t *tile) {
	if c.Calibration != nil {
		e := &c.tensors[t.tensor]
		c.Set(t.tensor, e.Type.Bits(), e.Block, t.row0, t.out)
	}
}

// end says that a tensor is written.
func (c *calibrator) end(i int) {
	if c.Calibration != nil {
		close(c.ended[i])
	}
}

// adopt hands over the tensors that an earlier run wrote.
func (c *calibrator) adopt(w *bundle.Writer, n int) error {
	if c.Calibration == nil {
		return nil
	}
	for i := range n {
		e := &c.tensors[i]
		bytes := make([]byte, e.Length)
		if err := w.ReadTensor(i, bytes); err != nil {
			return fmt.Errorf("tensor %q: %w", e.Name, err)
		}
		c.Set(i, e.Type.Bits(), e.Block, 0, bytes)
		c.end(i)
	}
	return nil
}

// checkCalibration reports a method without what it needs, or the other way around.
func (o *Options) checkCalibration() error {
	switch {
	case o.Method == GPTQ && o.Calibration == nil:
		return errors.New("method gptq: wants calibration text")
	case o.Method != GPTQ && o.Calibration != nil:
		return fmt.Errorf("method %s: takes no calibration text", o.Method)
	case o.Method != GPTQ && o.Unrefined:
		return fmt.Errorf("method %s: is not refined", o.Method)
	case !(o.Correction >= 0 && o.Correction <= 1):
		return fmt.Errorf("correction %v: want 0 to 1", o.Correction)
	}
	return nil
}

// rounded is a rowEncoder with feedback.
type rounded struct{ *quant.Rounder }

func (r rounded) stats() quant.Stats { return r.Stats() }
