package convert

import (
	"fmt"
	"maps"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Ready is what Source.Weights may implement if the checkpoint was quantized before. A matrix that
// already has blocks of the wanted kind is then copied as it is, with Repacked as its method.
type Ready interface {
	model.Weights
	// Ready reports whether the values of tensor i are those of blocks of this kind. If they are not,
	// although the tensor was quantized, why says what is in the way; if they are but for rounding, why
	// says that.
	Ready(i, bits, block int) (ok bool, why string)
	// Blocks fills dst with the blocks of rows row0 to row0+n−1 of a tensor that is ready.
	Blocks(i, bits, block, row0, n int, dst []byte) error
}

// Repacked is the method of matrices whose blocks are those of the checkpoint.
const Repacked = "repacked"

// settle chooses the method of matrix i, and its block size where nobody asked for one: the largest,
// not above the default, with which its blocks are those of the checkpoint.
func (p *plan) settle(i int, e *bundle.Tensor) {
	if e.Method = string(p.opts.Method); p.opts.Method == GPTQ && e.Layer == model.NoLayer {
		e.Method = string(quant.Search)
	}
	ready, ok := p.src.Weights.(Ready)
	if !ok {
		return
	}
	candidates := p.kept(e)
	reason := ""
	for _, as := range candidates {
		ok, why := ready.Ready(i, as.kind.Bits(), as.block)
		switch {
		case ok:
			e.Type, e.Block, e.Method = as.kind, as.block, Repacked
			p.repacked[why]++
			if why != "" {
				p.rounded[i] = true
			}
			return
		case as.kind == candidates[0].kind:
			reason = why
		}
	}
	if reason != "" {
		p.again[reason] = append(p.again[reason], i)
		p.follow(i, e)
	}
}

// follow gives a matrix that is quantized a second time blocks of the size of the groups that it was quantized in, if
// these are smaller and the block size is left open: a block across groups of different scales loses more.
func (p *plan) follow(i int, e *bundle.Tensor) {
	grouped, ok := p.src.Weights.(interface{ Group(i int) int })
	if o := &p.opts; !ok || !o.Fit || o.Block != 0 || o.Bits != 0 || o.named(e.Model()) {
		return
	}
	if n := grouped.Group(i); n >= 32 && n < e.Block && n&(n-1) == 0 {
		e.Block = n
		p.followed++
	}
}

// blockKind is a type of blocks and their size.
type blockKind struct {
	kind  bundle.Type
	block int
}

// kept returns the blocks that a matrix may have been quantized to before, of which the first that are its
// own are kept: what it would become and, if nobody asked for that block size, any below the default
// of the format; and those of the type that was chosen for it by the model's size.
func (p *plan) kept(e *bundle.Tensor) (list []blockKind) {
	o := &p.opts
	given := *o
	given.fitted = nil
	kind, block := given.matrix(e.Model())
	if o.Block != 0 || block != given.block(kind) {
		return []blockKind{{e.Type, e.Block}}
	}
	for b := block; b >= 32; b /= 2 {
		list = append(list, blockKind{kind, b})
	}
	for b := given.block(e.Type); e.Type != kind && b >= 32; b /= 2 {
		list = append(list, blockKind{e.Type, b})
	}
	return list
}

// notes says what became of matrices that were quantized before; once there are the tensors that were
// written, at what cost.
func (p *plan) notes(written []bundle.Tensor) []string {
	notes := slices.Clone(p.src.Notes)
	if n := p.weights(); p.opts.Format == string(bundle.Int2) && n < enoughForInt2 {
		notes = append(notes, p.warnOfInt2(n))
	}
	if f := p.opts.fitted; f != nil && f.why != "" && !p.allKept() {
		note := fmt.Sprintf("%s: %.2f bits a weight in the layers", f.why, layerBits(p.tensors))
		if f.instead != "" {
			note += ". " + f.instead
		}
		notes = append(notes, note)
	}
	for _, why := range slices.Sorted(maps.Keys(p.repacked)) {
		how := "as they are in the checkpoint, without a second loss"
		if why != "" {
			how = "from the checkpoint (" + why + ")"
		}
		notes = append(notes, fmt.Sprintf("taken over %s: %s", how, matrices(p.repacked[why])))
	}
	for _, why := range slices.Sorted(maps.Keys(p.again)) {
		notes = append(notes, fmt.Sprintf("warning: quantized a second time, at a second loss%s: %s: %s", loss(written, p.again[why]), matrices(len(p.again[why])), why))
	}
	if p.followed > 0 {
		notes = append(notes, fmt.Sprintf("blocks are as large as the groups in the checkpoint, where a larger block would span several scales: %s", matrices(p.followed)))
	}
	return notes
}

// matrices writes a number of matrices.
func matrices(n int) string {
	if n == 1 {
		return "1 matrix"
	}
	return fmt.Sprintf("%d matrices", n)
}

// allKept reports whether every matrix is taken over, so that nothing was chosen for any.
func (p *plan) allKept() bool {
	return !slices.ContainsFunc(p.tensors, func(e bundle.Tensor) bool { return e.Type.Quantized() && e.Method != Repacked })
}

// loss says what the matrices have lost, "" as long as they are not written.
func loss(written []bundle.Tensor, matrices []int) string {
	if written == nil {
		return ""
	}
	sum, most := 0.0, 0.0
	for _, i := range matrices {
		sum, most = sum+written[i].Error, max(most, written[i].Error)
	}
	return fmt.Sprintf(" (relative RMS %.4f on average, %.4f at most)", sum/float64(len(matrices)), most)
}

// repack fills t.out with blocks of the checkpoint.
func (k *worker) repack(t *tile) error {
	e := &k.plan.tensors[t.tensor]
	t.out = resize(*k.buffers.Get().(*[]byte), t.rows*e.RowBytes())
	if err := k.plan.src.Weights.(Ready).Blocks(t.tensor, e.Type.Bits(), e.Block, t.row0, t.rows, t.out); err != nil {
		return err
	}
	t.stats = quant.Stats{Weights: int64(t.rows * e.Model().Cols())}
	if !k.plan.rounded[t.tensor] {
		return nil
	}
	return k.compare(t)
}

// compare adds to t.stats how far the blocks in t.out are from the checkpoint's values.
func (k *worker) compare(t *tile) error {
	e := &k.plan.tensors[t.tensor]
	cols, size := e.Model().Cols(), e.RowBytes()
	k.rows = resize(k.rows, t.rows*cols)
	if err := k.plan.src.Weights.Rows(t.tensor, t.row0, t.rows, k.rows); err != nil {
		return err
	}
	have := make([]float32, cols)
	for r := range t.rows {
		e.Scheme().DecodeRow(have, t.out[r*size:(r+1)*size])
		for c, w := range k.rows[r*cols : (r+1)*cols] {
			d := float64(w) - float64(have[c])
			t.stats.Error += d * d
			t.stats.Power += float64(w) * float64(w)
		}
	}
	return nil
}

// warnOfInt2 says what two bits a weight do to a model of n weights. The figures are those of docs/quality.md.
func (p *plan) warnOfInt2(n int64) string {
	switch {
	case n < unusableInInt2 && p.opts.Method != GPTQ:
		return fmt.Sprintf("warning: not usable: int2 of %s weights, without calibration: SmolLM2-135M then drifts by 10 nats from what it was, and from 0.8 on a model is broken: choose int4", million(n))
	case n < unusableInInt2:
		return fmt.Sprintf("warning: a model of %s weights is hardly usable with this much of it at two bits a weight: SmolLM2-135M at 2.95 bits, calibrated, drifts by 0.86 nats, and from 0.8 on a model is broken: int4 is recommended; verify says how much was lost", million(n))
	}
	return fmt.Sprintf("warning: a model of %s weights loses much of what it knows at two bits a weight: int4 is recommended below 3 billion; verify says how much was lost", million(n))
}

// unusableInInt2 is below how many weights int2 without calibration leaves nothing of a model.
const unusableInInt2 = 1e9

// enoughForInt2 is how many weights a model should have to bear two bits a weight without training.
const enoughForInt2 = 3e9

func (p *plan) weights() int64 { return countWeights(p.src.Weights.Tensors()) }
