package run

import (
	"cmp"
	"context"
	"errors"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// measure fills in the report. NaN and infinities end it, and are a failure of the report.
func (v *verification) measure(ctx context.Context) error {
	m := v.bundle.Bundle.Manifest
	v.report.Environment = map[string]string{
		"program": v.Program, "device": v.engine.String(), "kv": v.kv(),
		"tokens": cmp.Or(v.tokens, "text"), "bundle": m.ID, "format": m.Quantization.Format,
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

// kv names the type of cached keys and values.
func (o *Options) kv() string {
	if o.Engine.KVBits == 32 {
		return "f32"
	}
	return "f16"
}

// runtime compares the engine with the reference on the bundle's weights.
func (v *verification) runtime(ctx context.Context) error {
	ref, err := engine.NewReference(v.bundle, engine.Options{Context: v.context(), KVBits: v.Engine.KVBits})
	if err != nil {
		return err
	}
	_, end := v.begin("runtime parity", -1, false)
	defer end()
	tokens := v.windows[0][:min(v.context(), v.RuntimeTokens)]
	v.report.Runtime, err = verify.MeasureParity(ctx, ref, v.engine.Forwarder, tokens)
	if err == nil {
		v.report.KVFloat32 = ref.KVBeyondFloat16()
		return nil
	}
	if bad := new(verify.NonFiniteError); !errors.As(err, &bad) {
		return err
	}
	beyond, failed := v.beyondFloat16(ctx, tokens)
	v.report.KVFloat32 = beyond
	return errors.Join(err, failed)
}

// beyondFloat16 returns the layers that need a cache of float32, where one of float16 has made NaN of what comes after the
// first of them.
func (v *verification) beyondFloat16(ctx context.Context, tokens []int32) ([]int, error) {
	ref, err := verify.NewReference(v.bundle.Weights, verify.ReferenceOptions{MaxSeqLen: v.context()})
	if err != nil {
		return nil, err
	}
	if err := ref.Forward(ctx, tokens, len(tokens)-1, func(int, []float32) error { return nil }); err != nil {
		return nil, err
	}
	return ref.KVBeyondFloat16(), nil
}

// drift compares the bundle with the checkpoint.
func (v *verification) drift(ctx context.Context) (err error) {
	ref, done, err := v.reference(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	e, err := v.forMany()
	if err != nil {
		return err
	}
	set, end := v.begin("model drift", int64(len(v.windows)), false)
	defer end()
	worst := 0
	if v.Page != nil {
		worst = v.Page.Worst
	}
	var details *verify.Details
	v.report.Drift, details, err = verify.MeasureDriftDetails(ctx, ref, e.Forwarder, v.windows, worst, func(done, _ int) { set(int64(done)) })
	if worst > 0 {
		v.report.Details = details
	}
	return err
}

// forMany returns what the bundle runs on for the drift: the engine whose parity was measured, but the CPU engine if
// that is a software adapter that nobody asked for.
func (v *verification) forMany() (_ *engine.Engine, err error) {
	e := v.engine
	if v.spares() {
		if e, err = engine.NewCPU(v.bundle, engine.Options{Context: v.context(), KVBits: v.Engine.KVBits}); err != nil {
			return nil, err
		}
	}
	v.report.Environment["drift_device"] = e.String()
	return e, nil
}

// reference returns the checkpoint for the drift, running or recorded; done ends it.
func (v *verification) reference(ctx context.Context) (_ verify.Forwarder, done func() error, err error) {
	v.report.Environment["reference"] = string(cmp.Or(v.Reference.Device, engine.CPU))
	if v.Reference.Cache == "" {
		e, err := v.openReferenceEngine(ctx, v.source, v.context())
		if err != nil {
			return nil, nil, err
		}
		return e.Forwarder, func() error { e.Close(); return nil }, nil
	}
	r, err := v.record(ctx, v.source, v.windows)
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
	rounded, err := v.goldenReference(ctx)
	if err != nil {
		return err
	}
	m := v.bundle
	v.report.Environment["golden_rope"] = string(RoPEF32)
	if rounded {
		m = halved(m)
		v.report.Environment["golden_rope"] = string(RoPEF16)
	}
	v.engine.Close() // one model at a time is enough for the device
	if v.engine, err = v.openEngine(ctx, m, len(v.golden.IDs)); err != nil {
		return err
	}
	v.report.Golden.Bundle, err = v.golden.Compare(ctx, "bundle", v.engine.Forwarder)
	return err
}

// goldenReference compares the checkpoint with the golden logits. It reports whether they were met
// with RoPE frequencies rounded to float16: logits are often recorded from a model after
// PyTorch's half(), which rounds these as well as the weights.
func (v *verification) goldenReference(ctx context.Context) (rounded bool, err error) {
	compare := func(m *source.Model) (*verify.GoldenResult, error) {
		ref, err := engine.NewReference(m, engine.Options{Context: len(v.golden.IDs), KVBits: 32})
		if err != nil {
			return nil, err
		}
		return v.golden.Compare(ctx, "checkpoint", ref)
	}
	to := &v.report.Golden.Reference
	if v.GoldenRoPE != RoPEF16 {
		*to, err = compare(v.source)
		if err != nil || v.GoldenRoPE == RoPEF32 || (*to).MaxAbs <= v.thresholds.GoldenMaxAbs {
			return false, err
		}
	}
	other, err := compare(halved(v.source))
	if err != nil {
		return false, err
	}
	if *to == nil || other.MaxAbs < (*to).MaxAbs {
		*to, rounded = other, true
	}
	return rounded, nil
}

// halved returns the model as it computes after PyTorch's model.half(), see verify.Halved. It shares the files of m.
func halved(m *source.Model) *source.Model {
	h := *m
	h.Weights = verify.Halved(m.Weights)
	return &h
}
