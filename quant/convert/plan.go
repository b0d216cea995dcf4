package convert

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
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
	tensors []bundle.Tensor // as they will lie in files
	files   []bundle.File
	total   int64 // bytes of the checkpoint's tensors
	first   int   // tensor to begin with: those before are there

	documents bundle.Documents
	repacked  map[string]int   // matrices that are taken over, see Ready, by what is said of them
	rounded   map[int]bool     // those of them that are not exactly what they were
	again     map[string][]int // matrices that are quantized a second time, by the reason
	followed  int              // matrices whose blocks are as large as the groups of the checkpoint
}

func newPlan(ctx context.Context, src Source, o Options) (*plan, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := o.fit(ctx, src.Weights); err != nil {
		return nil, err
	}
	p := &plan{src: src, opts: o, again: map[string][]int{}, repacked: map[string]int{}, rounded: map[int]bool{}}
	for i, t := range src.Weights.Tensors() {
		e := bundle.Tensor{Name: t.Name, Role: t.Role, Layer: t.Layer, Shape: t.Shape}
		var err error
		if t.Quantizable() {
			e.Type, e.Block = o.matrix(t)
		} else if e.Type, err = floats(ctx, src.Weights, i, o.Sanitize); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if e.Block != 0 {
			p.settle(i, &e)
		}
		p.tensors = append(p.tensors, e)
		p.total += src.bytes(i)
	}
	if err := p.checkPatterns(); err != nil {
		return nil, err
	}
	var err error
	if p.files, err = bundle.Layout(p.tensors, o.MaxFile); err != nil {
		return nil, err
	}
	p.documents, err = readDocuments(src.Documents)
	if src.Config != nil && err == nil {
		p.documents["config.json"] = src.Config
	}
	return p, err
}

// checkPatterns reports a pattern that matches nothing: it is more likely a mistake than a wish.
func (p *plan) checkPatterns() error {
	for _, re := range p.opts.KeepF16 {
		if !p.matches(re) {
			return fmt.Errorf("keep f16 %q: matches the name of no matrix; llama-webgpu inspect --tensors lists the names", re)
		}
	}
	for _, v := range p.opts.Overrides {
		if !p.matches(v.Match) {
			return fmt.Errorf("override %q: matches the name of no matrix; llama-webgpu inspect --tensors lists the names", v.Match)
		}
	}
	return nil
}

// matches reports whether a matrix has such a name.
func (p *plan) matches(re *regexp.Regexp) bool {
	return slices.ContainsFunc(p.tensors, func(e bundle.Tensor) bool {
		return e.Model().Quantizable() && re.MatchString(e.Name)
	})
}

// readDocuments reads the files that travel in the manifest.
func readDocuments(paths map[string]string) (bundle.Documents, error) {
	docs := bundle.Documents{}
	for name, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		data, err = hf.Mended(data)
		v := jsontext.Value(data)
		if err == nil {
			err = v.Format()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		docs[name] = []byte(v)
	}
	return docs, nil
}

// disk reports how many bytes the bundle will take beside its first tensors, which are there; of the
// manifest, about.
func (p *plan) disk(first int) int64 {
	n := int64(64<<10) + 1<<10*int64(len(p.tensors))
	for _, f := range p.files {
		n += f.Size
	}
	for _, t := range p.tensors[:first] {
		n -= t.Length
	}
	for _, v := range p.documents {
		n += int64(len(v))
	}
	return n + int64(len(p.src.Tokenizer))
}

// tileRows reports how many rows of the tensor make a tile.
func tileRows(t model.Tensor) int { return max(1, tileWeights/t.Cols()) }

// feedbackRows reports how many rows of the tensor make a tile for feedback, where a weight costs as much
// as many elsewhere, and the next matrix waits for the last tile.
func feedbackRows(t model.Tensor) int {
	return max(quant.RowsAtATime, tileWeights/16/t.Cols()/quant.RowsAtATime*quant.RowsAtATime)
}

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
			if v-v == 0 && block.FromFloat16(block.Float16(v)) != v {
				return bundle.F32, nil
			}
		}
	}
	return bundle.F16, nil
}

func notFinite(v float32, row, col int) error {
	return fmt.Errorf("row %d: %w", row, &quant.WeightError{Col: col, Value: v, Reason: block.ErrNotFinite})
}
