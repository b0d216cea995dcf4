package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/verify"
	"github.com/llama-webgpu/llama-webgpu/verify/report"
)

// Result is what Verify found.
type Result struct {
	verify.Report              // judged
	Tokens        string       // what was compared over, if it was no text
	Page          *report.Page // if VerifyOptions.Page asked for one
}

// How much of the text the runtime is compared over: on a GPU, and on an adapter that is software, which takes a minute
// for what others do in a second. Both cross the sizes of batches and tiles.
const (
	defaultRuntimeTokens  = 160
	softwareRuntimeTokens = 64
)

// Verify compares a bundle with the checkpoint it was made from. A bundle that does not pass is no error: Result.Pass
// says so, and Result.Failures why. Values that are not finite are a failure as well; other damage is an error.
func Verify(ctx context.Context, dir, checkpoint string, o VerifyOptions) (_ *Result, err error) {
	v := &verification{VerifyOptions: o}
	defer func() { err = errors.Join(err, v.close()) }()
	if err := v.open(ctx, dir, checkpoint); err != nil {
		return nil, err
	}
	if err := v.measure(ctx); err != nil {
		return nil, err
	}
	v.report.Judge(v.thresholds)
	r := &Result{Report: v.report, Tokens: v.tokens}
	if v.Page != nil {
		r.Page, err = v.page(r)
	}
	return r, err
}

// Record writes the result into a bundle's manifest.
func Record(dir string, r *verify.Report) error {
	p := &bundle.Parity{Pass: r.Pass}
	if m := r.Runtime; m != nil {
		p.Runtime = &bundle.Runtime{MaxAbs: m.MaxAbs, RelRMS: m.RelRMS}
	}
	if d := r.Drift; d != nil {
		p.Drift = &bundle.Drift{MeanKLD: d.MeanKLD, Top1: d.Top1, PPL: d.PPL, PPLReference: d.PPLReference}
	}
	if err := bundle.SetParity(dir, p, r.KVFloat32); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// verification is one run of Verify.
type verification struct {
	VerifyOptions
	bundle, source *source.Model
	damage         error // values in the bundle that are not finite
	golden         *verify.Golden
	windows        [][]int32 // BOS and text
	tokens         string    // what they are if they are no text
	thresholds     verify.Thresholds
	engine         *engine.Engine
	report         verify.Report
	text           *report.Text // what both models write, nil: it was not asked for
}

func (v *verification) close() error {
	if v.engine != nil {
		v.engine.Close()
	}
	var errs []error
	for _, m := range []*source.Model{v.bundle, v.source} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}

// open opens and checks everything that is read.
func (v *verification) open(ctx context.Context, dir, checkpoint string) (err error) {
	if v.bundle, err = source.OpenBundle(dir); err != nil {
		return err
	}
	if v.thresholds, err = v.Limits.thresholds(v.bundle); err != nil {
		return err
	}
	if v.source, err = v.openReference(checkpoint); err != nil {
		return err
	}
	if err := checkPair(v.bundle, v.source); err != nil {
		return err
	}
	if v.Golden != "" {
		if v.golden, err = verify.ReadGolden(v.Golden); err != nil {
			return fmt.Errorf("golden logits: %w", err)
		}
	}
	if err := v.cutText(); err != nil {
		return err
	}
	if err := v.checkBundle(ctx); err != nil {
		return err
	}
	if v.engine, err = v.openEngine(ctx, v.bundle, v.context()); err != nil {
		return err
	}
	least := defaultRuntimeTokens
	if v.spares() {
		least = softwareRuntimeTokens
	}
	v.RuntimeTokens = cmp.Or(v.RuntimeTokens, least)
	return nil
}

// spares reports whether a software adapter that nobody asked for is to compute as little as it may.
func (v *verification) spares() bool { return v.engine.Software() && v.Engine.Device == "" }

// openEngine loads a bundle where the options say, and shows how far that is.
func (o *Options) openEngine(ctx context.Context, m *source.Model, positions int) (*engine.Engine, error) {
	to := o.Engine
	to.Context = positions
	if to.Device != engine.CPU { // which loads nothing
		set, end := o.begin("loading", m.Bundle.Manifest.Size(), true)
		defer end()
		to.Progress = func(done, _ int64) { set(done) }
	}
	return engine.Open(ctx, m, to)
}

// context is how many tokens the models see.
func (v *verification) context() int { return len(v.windows[0]) }

// thresholds returns the default ones, with the limits in their places.
func (l Limits) thresholds(m *source.Model) (verify.Thresholds, error) {
	q := m.Bundle.Manifest.Quantization
	t, err := verify.DefaultThresholds(verify.Made{Format: q.Format, Method: q.Method, Bits: q.Bits, Weights: model.Elements(m.Weights.Tensors())})
	for _, f := range []struct{ limit, to *float64 }{
		{l.MaxRelRMS, &t.MaxRelRMS},
		{l.MaxRelMax, &t.MaxRelMax},
		{l.MaxKLD, &t.MaxKLD},
		{l.MinTop1, &t.MinTop1},
		{l.GoldenMaxAbs, &t.GoldenMaxAbs},
		{l.GoldenMaxKLD, &t.GoldenMaxKLD},
	} {
		if f.limit != nil {
			*f.to = *f.limit
		}
	}
	if l.MinTop1 != nil { // a limit that is given is strict
		t.Top1Errors = 0
	}
	return t, err
}

// cutText makes the windows of the text, or of tokens where the bundle has no tokenizer.
func (v *verification) cutText() (err error) {
	if v.bundle.HasTokenizer() || v.Text.Text != "" {
		v.windows, err = v.Text.windows(v.bundle)
		return err
	}
	if v.VerifyOptions.Page != nil {
		return fmt.Errorf("%s: has no tokenizer: a page shows text", v.bundle.Dir)
	}
	v.windows = v.tokensWithoutText()
	v.leaveOut()
	return nil
}

// leaveOut leaves drift unjudged where tokens are no text, but for the thresholds that were given: what the
// defaults know is how much text may change.
func (v *verification) leaveOut() {
	v.report.NotJudged = map[string]string{}
	for _, check := range []struct {
		name, flag string
		limit      *float64
	}{{verify.CheckKLD, "max-kld", v.Limits.MaxKLD}, {verify.CheckTop1, "min-top1", v.Limits.MinTop1}} {
		if check.limit == nil {
			v.report.NotJudged[check.name] = fmt.Sprintf("without a tokenizer there is no text, which the default threshold is for (--%s gives another)", check.flag)
		}
	}
}

// tokensWithoutText returns a window for a model without a tokenizer: the golden tokens or, without
// them, tokens drawn at random, the same ones each time.
func (v *verification) tokensWithoutText() [][]int32 {
	if v.golden != nil && len(v.golden.IDs) >= LeastTokens {
		v.tokens = "the golden tokens: there is no tokenizer"
		return [][]int32{v.golden.IDs}
	}
	v.tokens = "random tokens: there is no tokenizer"
	rng := rand.New(rand.NewPCG(1, 1))
	ids := make([]int32, min(v.Text.size(v.bundle), v.bundle.Context()))
	for i := range ids {
		ids[i] = rng.Int32N(int32(v.bundle.Weights.Spec().Vocab))
	}
	return [][]int32{ids}
}

// checkBundle reads the whole bundle. Values that are not finite do not end the verification: it
// is to show what they do.
func (v *verification) checkBundle(ctx context.Context) error {
	err := v.checkHashes(ctx, v.bundle)
	var scale *block.ScaleError
	if errors.As(err, &scale) || errors.Is(err, block.ErrNotFinite) {
		v.damage, err = errors.Unwrap(err), nil
	}
	return err
}

// checkHashes compares a bundle with its hashes.
func (o *Options) checkHashes(ctx context.Context, m *source.Model) error {
	set, end := o.begin("checking "+m.Dir, m.Bundle.Manifest.Size(), true)
	defer end()
	if err := m.Bundle.Check(ctx, func(done, _ int64) { set(done) }); err != nil {
		return fmt.Errorf("%s: %w", m.Dir, err)
	}
	return nil
}
