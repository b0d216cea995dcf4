package convert

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Source is what is converted.
type Source struct {
	Weights      model.Weights
	Bytes        []int64  // of each tensor in the checkpoint; nil: two for each element
	Files        []string // paths of the files that the model is read from
	Alone        bool     // they are the whole checkpoint: other files in their directory do not belong to it
	Tokenizer    []byte   // a tokenizer.json, nil if there is none
	BOS          int      // −1: none
	EOS          []int
	ChatTemplate string
	Special      map[string]string // texts of special tokens by name, nil: not known
	Documents    map[string]string // by name (of bundle.DocumentNames), the paths of files that travel in the manifest
	Config       []byte            // in place of the document config.json, unless nil
	Merged       []string          // adapters that were merged, with their scales
	Notes        []string          // what people should know about the checkpoint
}

// Report says what was done.
type Report struct {
	Manifest *bundle.Manifest
	Tensors  []TensorReport
	In, Out  int64 // bytes of tensors in the checkpoint, bytes of the blob
	Elapsed  time.Duration
	// Calibrated says where the calibration text was run, and what made its sums; "" without a calibration.
	Calibrated string
}

// TensorReport says what was done to a tensor.
type TensorReport struct {
	Name    string
	Type    bundle.Type
	Weights int64
	In, Out int64   // bytes
	Bits    float64 // per weight
	Error   float64 // √(Σ(w−ŵ)²/Σw²)
}

// Progress says how far a conversion is.
type Progress struct {
	Tensor      string // being written
	Done, Total int64  // bytes of the checkpoint
	// Worked of Work says how far it is in time: bytes as well, but those that feedback rounds count for as many as take
	// the search as long.
	Worked, Work int64
}

// Run converts src to a bundle that will be the directory out. After an error nothing is left
// behind, unless the error is an *Interrupted.
func Run(ctx context.Context, src Source, out string, o Options) (_ *Report, err error) {
	begun := time.Now()
	if err := apart(src, out); err != nil {
		return nil, err
	}
	files, err := statFiles(src.Files)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(ctx, src, o)
	if err != nil {
		return nil, files.blame(err)
	}
	if err := errors.Join(p.opts.checkCalibration(), p.strict()); err != nil {
		return nil, err
	}
	w, err := p.create(ctx, files, out)
	if err != nil {
		return nil, err
	}
	defer func() { err = p.end(w, err) }()
	p.first = w.Whole()
	if err := outdir.CheckSpace(out, p.disk(p.first)); err != nil {
		return nil, err
	}

	whole := ctx
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return files.hash(ctx, w.Note) })
	group.Go(func() error { return p.write(ctx, w) })
	if err := group.Wait(); err != nil {
		return nil, files.blame(err)
	}
	if src.Tokenizer != nil {
		if err := w.Vocab(src.Tokenizer); err != nil {
			return nil, err
		}
	}
	if err := files.unchanged(); err != nil {
		return nil, err
	}
	m := p.manifest(files.list)
	m.Notes = append(p.notes(w.Tensors()), starvedNotes(w.Tensors())...)
	if c, ok := p.opts.Calibration.(watcher); ok {
		if m.KVFloat32, err = c.KVFloat32(whole); err != nil {
			return nil, err
		}
	}
	if err := w.Commit(m); err != nil {
		return nil, err
	}
	return p.report(m, time.Since(begun)), nil
}

// manifest returns the manifest but for what the writer completes.
func (p *plan) manifest(files []bundle.SourceFile) *bundle.Manifest {
	return &bundle.Manifest{
		Generator:    p.opts.Generator,
		Spec:         *p.src.Weights.Spec(),
		Source:       bundle.Source{Files: files, Merged: p.src.Merged},
		Quantization: p.opts.record(p.src.Weights.Tensors()),
		Tokenizer:    bundle.Tokenizer{BOS: p.src.BOS, EOS: p.src.EOS, ChatTemplate: p.src.ChatTemplate, SpecialTokens: p.src.Special},
		Documents:    p.documents,
		Notes:        p.notes(nil),
	}
}

// strict returns the warnings as an error, if they are to be one.
func (p *plan) strict() error {
	var errs []error
	for _, note := range p.notes(nil) {
		if warning, ok := strings.CutPrefix(note, "warning: "); ok && p.opts.Strict {
			errs = append(errs, errors.New(warning))
		}
	}
	return errors.Join(errs...)
}

func (p *plan) report(m *bundle.Manifest, elapsed time.Duration) *Report {
	r := &Report{Manifest: m, In: p.total, Out: m.Size(), Elapsed: elapsed}
	for i := range m.Tensors {
		r.Tensors = append(r.Tensors, p.tensorReport(i, &m.Tensors[i]))
	}
	return r
}

func (p *plan) tensorReport(i int, t *bundle.Tensor) TensorReport {
	n := int64(t.Model().Rows()) * int64(t.Model().Cols())
	return TensorReport{
		Name: t.Name, Type: t.Type, Weights: n, In: p.src.bytes(i), Out: t.Length,
		Bits: float64(t.Length) * 8 / float64(n), Error: t.Error,
	}
}

// bytes reports how many bytes tensor i has in the checkpoint.
func (s *Source) bytes(i int) int64 {
	if s.Bytes != nil {
		return s.Bytes[i]
	}
	t := s.Weights.Tensors()[i]
	return 2 * int64(t.Rows()) * int64(t.Cols())
}

// outcome turns statistics into what a manifest says.
func outcome(s quant.Stats) bundle.Outcome {
	return bundle.Outcome{Error: s.RelRMS(), Raised: s.Raised, Sanitized: s.Sanitized, Saturated: s.Saturated}
}
