package auto

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/quant/calibrate"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// What the method auto allows the CPU: so many minutes, unless the options say otherwise, for at least so many windows.
const (
	defaultMinutes = 10
	leastWindows   = 8
)

// chooseMethod settles the method auto: gptq where it takes minutes, else search, and a note of which and why.
func (j *job) chooseMethod(ctx context.Context) error {
	switch {
	case j.options.Format == string(bundle.F16):
		return nil
	case !j.source.HasTokenizer():
		j.note("method auto: search: there is no tokenizer to calibrate the model with text")
		return nil
	}
	dev, err := j.openDevice(ctx)
	if err != nil {
		return err
	}
	if dev != nil {
		j.takeGPTQ("on " + dev.Info().Name)
		dev.Close()
		return nil
	}
	return j.chooseOnCPU(ctx)
}

// chooseOnCPU takes gptq if the CPU is done with it in time, with less text if need be.
func (j *job) chooseOnCPU(ctx context.Context) error {
	limit := time.Duration(cmp.Or(j.wanted.Calibration.Minutes, defaultMinutes) * float64(time.Minute))
	windows, err := j.windows()
	if err != nil {
		return err
	}
	rounding, window, err := j.timeOnCPU(ctx, len(windows[0]))
	if err != nil {
		return err
	}
	n, fit := len(windows), math.Floor(float64(limit-rounding)/float64(max(window, 1)))
	if fit < float64(min(n, leastWindows)) {
		least := rounding + time.Duration(min(n, leastWindows))*window
		j.note(fmt.Sprintf("method auto: search: calibrating the model on this CPU would take %s, and is to take at most %s; --method gptq does it all the same, and takes a third to half of the drift off", about(least), about(limit)))
		return nil
	}
	with := ""
	if fit < float64(n) {
		with = fmt.Sprintf(" with %d of %d windows of text", int(fit), n)
		n = int(fit)
		j.wanted.Calibration.Windows = n
	}
	j.takeGPTQ(fmt.Sprintf("on the CPU%s, in about %s", with, about(rounding+time.Duration(n)*window)))
	return nil
}

// timeOnCPU reports about how long this CPU takes with all but the calibration text, and with a window of that.
func (j *job) timeOnCPU(ctx context.Context, tokens int) (rounding, window time.Duration, err error) {
	o := j.options
	o.Method = convert.GPTQ
	v, err := convert.Look(ctx, j.source.converter(), o)
	if err != nil {
		return 0, 0, err
	}
	exact := j.wanted.Calibration.Correction >= 0
	return v.Time, calibrate.Time(convert.LookCalibration(j.source.Weights, tokens, exact, 0).Operations), nil
}

func (j *job) takeGPTQ(where string) {
	j.options.Method, j.policy.Method = convert.GPTQ, string(convert.GPTQ)
	j.note("method auto: gptq " + where + "; it takes a third to half of the drift off")
}

func (j *job) note(text string) { j.source.notes = append(j.source.notes, text) }

// about writes a duration for people.
func about(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds", int(math.Ceil(d.Seconds())))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(math.Ceil(d.Minutes())))
	}
	return fmt.Sprintf("%d hours", int(math.Ceil(d.Hours())))
}
