package run

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/verify"
	"github.com/llama-webgpu/llama-webgpu/verify/report"
)

// Comparison compares several bundles with the checkpoint that they were made from.
type Comparison struct {
	Reference string          // directory of the checkpoint
	Bundles   []*source.Model // in the order in which they were named
	Device    string          // where the last one ran

	options Options
	source  *source.Model
	windows [][]int32
}

// OpenComparison opens and checks everything first, so that nothing turns out to be missing after hours of work. The
// bundles must have one tokenizer.
func OpenComparison(checkpoint string, bundles []string, o Options) (_ *Comparison, err error) {
	if len(bundles) == 0 {
		return nil, errors.New("there is no bundle to compare")
	}
	if o.Engine.Device == "" {
		o.Engine.Device = engine.Auto
	}
	if o.Engine.Device != engine.CPU {
		if _, err := gpu.FindAdapter(o.Engine.GPU); err != nil {
			return nil, err
		}
	}
	c := &Comparison{Reference: checkpoint, options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.source, err = o.openReference(checkpoint); err != nil {
		return nil, err
	}
	for _, dir := range bundles {
		if err := c.add(dir); err != nil {
			return nil, err
		}
	}
	c.windows, err = o.Text.windows(c.Bundles[0])
	return c, err
}

// add opens a bundle.
func (c *Comparison) add(dir string) error {
	m, err := source.OpenBundle(dir)
	if err != nil {
		return err
	}
	c.Bundles = append(c.Bundles, m)
	first := c.Bundles[0]
	if m.Bundle.Manifest.Tokenizer.SHA256 != first.Bundle.Manifest.Tokenizer.SHA256 || m.BOS != first.BOS {
		return fmt.Errorf("%s: has another tokenizer than %s", dir, first.Dir)
	}
	return checkPair(m, c.source)
}

// Close closes the models.
func (c *Comparison) Close() error {
	var errs []error
	for _, m := range c.Bundles {
		errs = append(errs, m.Close())
	}
	if c.source != nil {
		errs = append(errs, c.source.Close())
	}
	return errors.Join(errs...)
}

// Rows runs the checkpoint once, then one bundle after the other, and yields the drift of each. An error ends it.
func (c *Comparison) Rows(ctx context.Context) iter.Seq2[report.Row, error] {
	return func(yield func(report.Row, error) bool) {
		recording, err := c.options.record(ctx, c.source, c.windows)
		if err != nil {
			yield(report.Row{}, err)
			return
		}
		for _, m := range c.Bundles {
			row, err := c.measure(ctx, m, recording)
			if !yield(row, err) || err != nil {
				break
			}
		}
		if err := recording.close(); err != nil {
			yield(report.Row{}, err)
		}
	}
}

// measure compares one bundle.
func (c *Comparison) measure(ctx context.Context, m *source.Model, recording *recorded) (row report.Row, err error) {
	if err := c.options.checkHashes(ctx, m); err != nil {
		return row, err
	}
	e, err := c.options.openEngine(ctx, m, len(c.windows[0]))
	if err != nil {
		return row, err
	}
	defer e.Close()
	set, end := c.options.begin(m.Dir, int64(len(c.windows)), false)
	defer end()
	d, err := verify.MeasureDrift(ctx, recording.Play(), e.Forwarder, c.windows, func(done, _ int) { set(int64(done)) })
	if err != nil {
		return row, fmt.Errorf("%s: %w", m.Dir, err)
	}
	c.Device = e.String()
	manifest := m.Bundle.Manifest
	row = report.Row{Name: m.Dir, ID: manifest.ID, Method: manifest.Quantization.String(), Bytes: manifest.Size(), Drift: d}
	row.Bits, row.Total = manifest.Bits()
	return row, nil
}

// Page puts together what a page shows of the rows.
func (c *Comparison) Page(rows []report.Row) *report.Comparison {
	return &report.Comparison{
		Reference: baseName(c.Reference), Rows: rows,
		Facts: append([]report.Fact{{Name: "device", Value: c.Device}, {Name: "cached keys and values", Value: c.options.kv()}}, c.options.commonFacts()...),
	}
}
