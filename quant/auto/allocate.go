package auto

import (
	"context"
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// MeasureInterrupted is the error of a conversion that was ended while it measured what each matrix costs.
type MeasureInterrupted struct {
	File           string // that keeps what was measured, "": none does
	Missing, Total int    // matrices that remain to be measured, and all that had to be
	Err            error
}

func (e *MeasureInterrupted) Error() string {
	if e.File == "" {
		return fmt.Sprintf("%v: what was measured is lost", e.Err)
	}
	return fmt.Sprintf("%v: %d of %d matrices are still to be measured, the others are kept in %s", e.Err, e.Missing, e.Total, e.File)
}

func (e *MeasureInterrupted) Unwrap() error { return e.Err }

// allocate chooses what each matrix becomes for Policy.Bits, and adds that to the overrides.
func (j *job) allocate(ctx context.Context, dev *gpu.Device, windows [][]int32) error {
	if j.options.Bits == 0 {
		return nil
	}
	w := j.source.Weights
	if err := j.options.CheckBits(w); err != nil {
		return err
	}
	known, err := openSensitivity(ctx, j.wanted.Calibration.Sensitivity, j.source, &j.options, extentOf(dev, windows))
	if err != nil {
		return err
	}
	if err := j.measure(ctx, dev, windows, known); err != nil {
		return err
	}
	chosen, err := convert.Allocate(w, j.options, known.Matrices)
	if err != nil {
		return err
	}
	j.options.Overrides = append(j.options.Overrides, chosen...)
	for _, v := range chosen {
		j.policy.Overrides = append(j.policy.Overrides, Override{Match: v.Match.String(), Format: v.Format, BlockSize: v.Block})
	}
	return nil
}

// measure adds what is missing to what is known of the matrices, and saves it after each.
func (j *job) measure(ctx context.Context, dev *gpu.Device, windows [][]int32, known *sensitivity) (err error) {
	w := j.source.Weights
	missing := known.Matrices.Missing(w, j.options)
	if missing == 0 {
		return nil
	}
	judge, err := newMeasurer(ctx, j.source, dev, windows, extent{known.DriftWindows, known.DriftTokens})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, judge.Close()) }()
	measured := func(n int64) {
		j.report(Measuring, convert.Progress{Done: n, Total: int64(missing), Worked: n, Work: int64(missing)})
	}
	measured(0)
	err = known.Matrices.Measure(ctx, w, j.options, judge, func(done, _ int) error {
		measured(int64(done))
		return known.write()
	})
	if errors.Is(err, context.Canceled) {
		return &MeasureInterrupted{known.path, known.Matrices.Missing(w, j.options), missing, err}
	}
	return err
}
