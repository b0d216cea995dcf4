package convert

import (
	"context"
	"fmt"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Preview says what a conversion would do.
type Preview struct {
	Planned []bundle.Tensor // without hashes and errors
	Files   []bundle.File
	Tensors []TensorReport
	In, Out int64         // bytes of tensors in the checkpoint, bytes of files with tensors
	Disk    int64         // bytes that the output needs, all files together
	Time    time.Duration // about, from a sample of each format
	Notes   []string      // as the manifest will have them
}

// Look makes the plan of a conversion and writes nothing.
func Look(ctx context.Context, src Source, o Options) (*Preview, error) {
	p, err := newPlan(ctx, src, o)
	if err != nil {
		return nil, err
	}
	v := &Preview{Planned: p.tensors, Files: p.files, In: p.total, Disk: p.disk(0), Notes: p.notes(nil)}
	for _, f := range p.files {
		v.Out += f.Size
	}
	for i := range p.tensors {
		v.Tensors = append(v.Tensors, p.tensorReport(i, &p.tensors[i]))
	}
	v.Time, err = p.estimate(ctx)
	return v, err
}

// sample is for how long tensors of one format are encoded to know how fast that is.
const sample = 100 * time.Millisecond

// estimate encodes some of each format and reports how long all will take with all workers.
func (p *plan) estimate(ctx context.Context) (time.Duration, error) {
	type format struct {
		t     bundle.Type
		block int
	}
	weights, largest := map[format]int{}, map[format]int{}
	for i := range p.tensors {
		e := &p.tensors[i]
		if e.Method == string(GPTQ) {
			continue
		}
		f := format{e.Type, e.Block}
		if j, ok := largest[f]; !ok || e.Length > p.tensors[j].Length {
			largest[f] = i
		}
		weights[f] += e.Model().Rows() * e.Model().Cols()
	}
	var seconds float64
	for f, i := range largest {
		s, err := p.measure(ctx, i)
		if err != nil {
			return 0, err
		}
		seconds += s * float64(weights[f])
	}
	gptq, err := p.estimateGPTQ()
	return time.Duration(seconds/float64(p.opts.Threads)*float64(time.Second)) + gptq, err
}

// measure encodes tiles of a tensor and returns the seconds that a weight takes.
func (p *plan) measure(ctx context.Context, i int) (float64, error) {
	m := p.tensors[i].Model()
	k := worker{plan: p, buffers: newBuffers()}
	weights, begun := 0, time.Now()
	for r, step := 0, tileRows(m); r < m.Rows() && time.Since(begun) < sample; r += step {
		t := &tile{tensor: i, row0: r, rows: min(step, m.Rows()-r)}
		if err := k.encode(t); err != nil {
			return 0, err
		}
		weights += t.rows * m.Cols()
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
	return time.Since(begun).Seconds() / float64(weights), nil
}

// shape is a model of which there are no weights yet.
type shape struct{ spec *model.Spec }

func (s shape) Spec() *model.Spec       { return s.spec }
func (s shape) Tensors() []model.Tensor { return s.spec.Tensors() }

func (s shape) Rows(i, _, _ int, _ []float32) error {
	return fmt.Errorf("tensor %d: there are no weights", i)
}

// LookShape is Look for a model without its weights: vectors count as float16, outliers are not looked for,
// and time and disk are not known.
func LookShape(ctx context.Context, spec *model.Spec, o Options) (*Preview, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := o.fit(ctx, shape{spec}); err != nil {
		return nil, err
	}
	v := &Preview{}
	for _, t := range spec.Tensors() {
		e := bundle.Tensor{Name: t.Name, Role: t.Role, Layer: t.Layer, Shape: t.Shape, Type: bundle.F16}
		if t.Quantizable() {
			e.Type, e.Block = o.matrix(t)
		}
		if e.Block != 0 {
			e.Method = string(o.Method)
		}
		v.Planned = append(v.Planned, e)
	}
	var err error
	if v.Files, err = bundle.Layout(v.Planned, o.MaxFile); err != nil {
		return nil, err
	}
	for _, f := range v.Files {
		v.Out += f.Size
	}
	return v, nil
}
