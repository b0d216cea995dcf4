package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/verify"
	"github.com/llama-webgpu/llama-webgpu/verify/report"
)

// verification is one run of verify.
type verification struct {
	c              *cli.Context
	bundle, source *source.Model
	damage         error // values in the bundle that are not finite
	golden         *verify.Golden
	windows        [][]int32 // BOS and text
	tokens         string    // what they are if they are no text
	limits         verify.Thresholds
	engine         *engine
	report         verify.Report
	text           *report.Text // nil unless a page is wanted
}

func (v *verification) close() error {
	if v.engine != nil {
		v.engine.close()
	}
	var errs []error
	for _, s := range []*source.Model{v.bundle, v.source} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// open opens and checks all that is read.
func (v *verification) open() (err error) {
	c := v.c
	if v.bundle, err = source.OpenBundle(c.String("model")); err != nil {
		return err
	}
	if v.limits, err = v.thresholds(); err != nil {
		return err
	}
	edits, err := ropeEdits(c)
	if err != nil {
		return err
	}
	if v.source, err = source.Open(c.String("reference"), edits...); err != nil {
		return err
	}
	if err := cmp.Or(checkPair(v.bundle, v.source), v.source.Merge(adapters(c)...)); err != nil {
		return err
	}
	if path := c.String("golden"); path != "" {
		if v.golden, err = verify.ReadGolden(path); err != nil {
			return fmt.Errorf("--golden: %w", err)
		}
	}
	if err := v.cutText(); err != nil {
		return err
	}
	if err := v.checkBundle(); err != nil {
		return err
	}
	v.engine, err = openEngine(c, v.bundle, v.context())
	return err
}

// checkPair reports a bundle and a reference that there is no sense in comparing.
func checkPair(b, ref *source.Model) error {
	if b == nil || ref == nil {
		return nil
	}
	one, errOne := os.Stat(b.Dir)
	other, errOther := os.Stat(ref.Dir)
	same := errOne == nil && errOther == nil && os.SameFile(one, other)
	if same || ref.Bundle != nil && ref.Bundle.Manifest.ID == b.Bundle.Manifest.ID {
		return usagef("%s: --reference %s is the same bundle, and comparing it with itself proves nothing: give the checkpoint that it was made from", b.Dir, ref.Dir)
	}
	if have, want := b.Weights.Spec().Vocab, ref.Weights.Spec().Vocab; have != want {
		return fmt.Errorf("%s: has a vocabulary of %d, %s one of %d: it was not made from that", b.Dir, have, ref.Dir, want)
	}
	return nil
}

// context is how many tokens the models are to see.
func (v *verification) context() int { return len(v.windows[0]) }

// thresholds returns the default ones with those of the flags in their places.
func (v *verification) thresholds() (verify.Thresholds, error) {
	q := v.bundle.Bundle.Manifest.Quantization
	t, err := verify.DefaultThresholds(verify.Made{Format: q.Format, Method: q.Method, Bits: q.Bits, Weights: model.Elements(v.bundle.Weights.Tensors())})
	for name, limit := range map[string]*float64{
		"max-rel-rms": &t.MaxRelRMS, "max-rel-max": &t.MaxRelMax, "max-kld": &t.MaxKLD, "min-top1": &t.MinTop1,
		"golden-max-abs": &t.GoldenMaxAbs, "golden-max-kld": &t.GoldenMaxKLD,
	} {
		if v.c.IsSet(name) {
			*limit = v.c.Float64(name)
		}
	}
	if v.c.IsSet("min-top1") { // who gives a limit means it
		t.Top1Errors = 0
	}
	return t, err
}

// cutText makes the windows of the text.
func (v *verification) cutText() (err error) {
	if v.bundle.HasTokenizer() || v.c.String("text") != "" {
		v.windows, err = cutWindows(v.c, v.bundle)
		return err
	}
	if v.c.String("html") != "" {
		return fmt.Errorf("%s: has no tokenizer: the page of --html shows text", v.bundle.Dir)
	}
	v.windows = v.tokensWithoutText()
	v.leaveOut()
	return nil
}

// leaveOut leaves drift unjudged where tokens are no text, but for the thresholds that flags give: what the
// defaults know is how much text may change.
func (v *verification) leaveOut() {
	v.report.NotJudged = map[string]string{}
	for check, flag := range map[string]string{verify.CheckKLD: "max-kld", verify.CheckTop1: "min-top1"} {
		if !v.c.IsSet(flag) {
			v.report.NotJudged[check] = fmt.Sprintf("without a tokenizer there is no text, which the default threshold is for (--%s gives another)", flag)
		}
	}
}

// tokensWithoutText returns a window for a model without a tokenizer: the golden tokens or, without
// them, tokens drawn at random, the same ones each time.
func (v *verification) tokensWithoutText() [][]int32 {
	if v.golden != nil && len(v.golden.IDs) >= leastTokens {
		v.tokens = "the golden tokens: there is no tokenizer"
		return [][]int32{v.golden.IDs}
	}
	v.tokens = "random tokens: there is no tokenizer"
	rng := rand.New(rand.NewPCG(1, 1))
	ids := make([]int32, min(v.c.Int("window-tokens"), v.bundle.Context()))
	for i := range ids {
		ids[i] = rng.Int32N(int32(v.bundle.Weights.Spec().Vocab))
	}
	return [][]int32{ids}
}

// leastTokens is how many tokens a window must have for its second half to be scored.
const leastTokens = 4

// cutWindows makes windows of the text as textFlags say, in the tokens of a bundle.
func cutWindows(c *cli.Context, s *source.Model) ([][]int32, error) {
	tok, err := s.Tokenizer()
	if err != nil {
		return nil, err
	}
	text := evalText
	if c.String("text") != "" {
		if text, err = readText(c, "text"); err != nil {
			return nil, err
		}
	}
	size, most := c.Int("window-tokens"), s.Context()
	if size > most && c.IsSet("window-tokens") {
		return nil, usagef("--window-tokens %d: the model was trained for %d", size, most)
	}
	windows, err := verify.Windows(tok.Encode(text, false), tok.Begin(), min(size, most), c.Int("windows"))
	if err != nil && c.String("text") != "" {
		err = fmt.Errorf("--text %s: %w", quoted(c.String("text")), err)
	}
	return windows, err
}

// checkBundle reads the whole bundle. Values that are not finite do not end the verification: it
// is to show what they do.
func (v *verification) checkBundle() error {
	progress := newBar(v.c, "checking "+v.bundle.Dir, v.bundle.Bundle.Manifest.Size(), true)
	defer progress.end()
	err := v.bundle.Bundle.Check(v.c.Context, func(done, _ int64) { progress.set(done, "") })
	var scale *block.ScaleError
	if errors.As(err, &scale) || errors.Is(err, block.ErrNotFinite) {
		v.damage, err = err, nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", v.bundle.Dir, err)
	}
	return nil
}

// measure fills in the report. NaN and infinities end it, and are a failure of the report.
func (v *verification) measure(ctx context.Context) error {
	v.report.Environment = map[string]string{
		"program": "llama-webgpu " + version, "device": v.engine.String(), "kv": v.c.String("kv"),
		"tokens": cmp.Or(v.tokens, "text"), "bundle": v.bundle.Bundle.Manifest.ID, "format": v.bundle.Bundle.Manifest.Quantization.Format,
	}
	for _, step := range []func(context.Context) error{v.runtime, v.drift, v.details, v.goldenLogits} {
		if err := v.report.Note(step(ctx), func(int) error { return v.damage }); err != nil {
			return err
		}
		if len(v.report.Failures) > 0 {
			return nil
		}
	}
	if v.damage != nil {
		v.report.Failures = append(v.report.Failures, "the bundle is damaged: "+v.damage.Error())
	}
	return nil
}

// runtime compares the engine with the reference on the bundle's weights.
func (v *verification) runtime(ctx context.Context) error {
	ref, err := newReference(v.bundle, v.context(), v.c.String("kv") == "f16")
	if err != nil {
		return err
	}
	tokens := v.windows[0]
	tokens = tokens[:min(len(tokens), v.c.Int("runtime-tokens"))]
	wait := newBar(v.c, "runtime parity", -1, false)
	defer wait.end()
	v.report.Runtime, err = verify.MeasureParity(ctx, ref, v.engine.Forwarder, tokens)
	return err
}

// drift compares the bundle with the checkpoint.
func (v *verification) drift(ctx context.Context) (err error) {
	ref, done, err := v.reference()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	bundle, err := v.forMany()
	if err != nil {
		return err
	}
	progress := newBar(v.c, "model drift", int64(len(v.windows)), false)
	defer progress.end()
	worst := 0
	if v.c.String("html") != "" {
		worst = v.c.Int("worst")
	}
	drift, details, err := verify.MeasureDriftDetails(ctx, ref, bundle.Forwarder, v.windows, worst, func(done, _ int) { progress.set(int64(done), "") })
	v.report.Drift = drift
	if worst > 0 {
		v.report.Details = details
	}
	return err
}

// forMany returns what the bundle runs on for the drift: the engine whose parity was measured, but the CPU engine if
// that is a software adapter that nobody asked for.
func (v *verification) forMany() (*engine, error) {
	e := v.engine
	if e.software() && !v.c.IsSet("device") {
		var err error
		if e, err = newCPU(v.bundle, v.context(), v.c.String("kv") == "f16"); err != nil {
			return nil, err
		}
	}
	v.report.Environment["drift_device"] = e.String()
	return e, nil
}

// reference returns the checkpoint for the drift, running or recorded; done ends it.
func (v *verification) reference() (_ verify.Forwarder, done func() error, err error) {
	v.report.Environment["reference"] = v.c.String("reference-device")
	if v.c.String("reference-cache") == "" {
		e, err := openReference(v.c, v.source, v.context())
		if err != nil {
			return nil, nil, err
		}
		return e.Forwarder, func() error { e.close(); return nil }, nil
	}
	r, err := record(v.c, v.source, v.windows)
	if err != nil {
		return nil, nil, err
	}
	return r.Play(), r.close, nil
}

// goldenLogits compares checkpoint and bundle with the golden logits, if there are any.
func (v *verification) goldenLogits(ctx context.Context) error {
	if v.golden == nil {
		return nil
	}
	v.report.Golden = &verify.GoldenReport{}
	halved, err := v.goldenReference(ctx)
	if err != nil {
		return err
	}
	bundle := v.bundle
	v.report.Environment["golden_rope"] = "f32"
	if halved {
		bundle = halvedModel(bundle)
		v.report.Environment["golden_rope"] = "f16"
	}
	v.engine.close() // one model at a time is enough for the device
	if v.engine, err = openEngine(v.c, bundle, len(v.golden.IDs)); err != nil {
		return err
	}
	v.report.Golden.Bundle, err = v.golden.Compare(ctx, "bundle", v.engine.Forwarder)
	return err
}

// goldenReference compares the checkpoint with the golden logits. It reports whether they were met
// with RoPE frequencies rounded to float16: logits are often recorded from a model after
// PyTorch's half(), which rounds these as well as the weights.
func (v *verification) goldenReference(ctx context.Context) (halved bool, err error) {
	compare := func(s *source.Model) (*verify.GoldenResult, error) {
		ref, err := newReference(s, len(v.golden.IDs), false)
		if err != nil {
			return nil, err
		}
		return v.golden.Compare(ctx, "checkpoint", ref)
	}
	rope, to := v.c.String("golden-rope"), &v.report.Golden.Reference
	if rope != "f16" {
		*to, err = compare(v.source)
		if err != nil || rope == "f32" || (*to).MaxAbs <= v.limits.GoldenMaxAbs {
			return false, err
		}
	}
	rounded, err := compare(halvedModel(v.source))
	if err != nil {
		return false, err
	}
	if *to == nil || rounded.MaxAbs < (*to).MaxAbs {
		*to, halved = rounded, true
	}
	return halved, nil
}

// show writes the report where it is wanted.
func (v *verification) show() error {
	if done, err := writeReport(v.c, &v.report); done || err != nil || v.c.Bool(quietFlag.Name) {
		return err
	}
	out := stdout(v.c)
	fmt.Fprintf(out, "%s on %s\n\n", v.bundle.Dir, v.report.Environment["device"])
	if where := v.report.Environment["drift_device"]; where != v.report.Environment["device"] && v.report.Drift != nil {
		fmt.Fprintf(out, "The adapter is software, so the drift was measured on the CPU engine (%s); --device gpu forces the adapter.\n\n", where)
	}
	if v.tokens != "" {
		fmt.Fprintf(out, "Compared over %s.\n\n", v.tokens)
	}
	if v.report.Environment["golden_rope"] == "f16" {
		fmt.Fprint(out, "The golden logits were computed with RoPE frequencies rounded to float16; for them, so are the models here.\n\n")
	}
	if v.c.Bool("layers") {
		if err := v.report.WriteLayers(out); err != nil {
			return err
		}
	}
	return v.report.WriteText(out)
}

// halvedModel returns the model as it computes after PyTorch's model.half(), see verify.Halved. It shares the files of m.
func halvedModel(m *source.Model) *source.Model {
	h := *m
	h.Weights = verify.Halved(m.Weights)
	return &h
}
