package auto

import (
	"context"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// autoOnCPU is how many weights a model may have to be calibrated without a real GPU if nobody asked for it: a few
// minutes' worth.
const autoOnCPU = 30e6

// chooseMethod settles the method auto: gptq where it takes minutes, else search, and a note of which and why.
func (j *job) chooseMethod(ctx context.Context) error {
	src := j.source
	switch {
	case j.options.Format == string(bundle.F16):
		return nil
	case !src.HasTokenizer():
		src.notes = append(src.notes, "method auto: search: there is no tokenizer to calibrate the model with text")
		return nil
	}
	dev, err := j.openDevice(ctx)
	if err != nil {
		return err
	}
	where := "the CPU"
	if dev != nil {
		where = dev.Info().Name
		dev.Close()
	}
	if n := model.Elements(src.Weights.Tensors()); dev == nil && n > autoOnCPU {
		src.notes = append(src.notes, fmt.Sprintf("method auto: search: on this CPU, calibrating %.3g million weights would take long; --method gptq does it, and takes a third to half of the drift off", float64(n)/1e6))
		return nil
	}
	j.options.Method, j.policy.Method = convert.GPTQ, string(convert.GPTQ)
	src.notes = append(src.notes, "method auto: gptq on "+where+", which takes a third to half of the drift off")
	return nil
}
