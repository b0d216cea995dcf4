package auto

import (
	"context"
	"errors"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// Progress says how far a conversion is.
type Progress struct {
	Stage Stage
	convert.Progress
}

// Stage is what a conversion is doing. Measuring counts matrices, Converting bytes.
type Stage string

// The stages, in their order. Measuring is for Policy.Bits alone.
const (
	Measuring  Stage = "measuring"
	Converting Stage = "converting"
)

// Convert turns the checkpoint at dir, a directory or a .gguf file, into a bundle that will be the directory out. After
// an error nothing is left of it, unless the error is a *convert.Interrupted: then another call with Stale set to
// outdir.Resume continues, and makes the same bytes.
//
// A mistake in the options is an *OptionError. What was measured for Bits is kept in the file of
// Calibration.Sensitivity, also when the error is a *MeasureInterrupted.
func Convert(ctx context.Context, dir, out string, o Options) (_ *convert.Report, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if err := outdir.Apart(out, dir); err != nil {
		return nil, err
	}
	if err := bundle.CheckTarget(out, bundle.Options{Force: o.Force, Stale: o.Stale}); err != nil {
		return nil, err
	}
	j, err := newJob(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	if err := j.calibrate(ctx); err != nil {
		return nil, err
	}
	if o.Settled != nil {
		if err := o.Settled(j.policy); err != nil {
			return nil, err
		}
	}
	j.options.Progress = func(p convert.Progress) { j.report(Converting, p) }
	r, err := convert.Run(ctx, j.source.converter(), out, j.options)
	if err != nil {
		return nil, err
	}
	r.Calibrated = j.calibrated
	return r, nil
}

// job is one conversion from its checks to its end.
type job struct {
	wanted  Options         // what the caller said
	policy  Policy          // of that, with what was chosen
	options convert.Options // what follows from it
	source  *checkpoint
	ends    []func() error // in reverse order

	calibrated string // convert.Report.Calibrated
}

// newJob opens and checks a checkpoint and settles the method. o was checked.
func newJob(ctx context.Context, dir string, o Options) (_ *job, err error) {
	j := &job{wanted: o, policy: o.WithDefaults()}
	if j.options, err = o.converter(); err != nil {
		return nil, err
	}
	if j.source, err = openCheckpoint(dir, o.Edits); err != nil {
		return nil, err
	}
	j.source.LogIgnored(o.Log)
	j.ends = append(j.ends, j.source.Close)
	if err := j.prepare(ctx); err != nil {
		return nil, errors.Join(err, j.close())
	}
	return j, nil
}

func (j *job) prepare(ctx context.Context) error {
	if err := errors.Join(j.source.Merge(j.wanted.Adapters...), j.source.checkTokenizer(j.wanted.Warn)); err != nil {
		return err
	}
	if j.options.Rotate {
		if err := j.source.rotate(); err != nil {
			return err
		}
	}
	if j.policy.Method == Auto {
		if err := j.chooseMethod(ctx); err != nil {
			return err
		}
	}
	j.takeCalibration()
	return nil
}

func (j *job) report(s Stage, p convert.Progress) {
	if j.wanted.Progress != nil {
		j.wanted.Progress(Progress{s, p})
	}
}

// close closes everything that was opened, last things first.
func (j *job) close() error {
	var errs []error
	for i := len(j.ends) - 1; i >= 0; i-- {
		errs = append(errs, j.ends[i]())
	}
	j.ends = nil
	return errors.Join(errs...)
}

// logged makes an end of one whose error harms nothing.
func (j *job) logged(what string, end func() error) func() error {
	return func() error {
		if err := end(); err != nil && j.wanted.Log != nil {
			j.wanted.Log.Warn(what, "error", err)
		}
		return nil
	}
}
