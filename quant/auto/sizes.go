package auto

import (
	"context"
	"fmt"
	"strconv"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/option"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// Size is what a model takes in one format.
type Size struct {
	Format string
	Block  int     // 0: Format has none, or Fitted
	Fitted bool    // what the format leaves open is chosen by the model, as Convert does
	Bytes  int64   // of the files with tensors
	Bits   float64 // of a weight
	GPU    uint64  // bytes to run it
}

// sizeFormats are those that sizes are shown for: everything in one grid, and what a format alone chooses.
var sizeFormats = []convert.Options{
	{Format: "f16"},
	{Format: "int8", Block: 128},
	{Format: "int4", Block: 32},
	{Format: "int4", Block: 128},
	{Format: "int2", Block: 32},
	{Format: "int2", Block: 256},
	{Format: "int4", Fit: true},
	{Format: "int2", Fit: true},
}

// Sizes works out what a model takes as a bundle in each format, and on a GPU at a context of this many positions. It
// needs no weights. More positions than the model has are an *OptionError.
func Sizes(ctx context.Context, spec *model.Spec, positions int) ([]Size, error) {
	if most := spec.Most(); most > 0 && positions > most {
		return nil, option.New("context", strconv.Itoa(positions), fmt.Errorf("the model has %d positions", most))
	}
	var all []Size
	weights := float64(model.Elements(spec.Tensors()))
	for _, o := range sizeFormats {
		v, err := convert.LookShape(ctx, spec, o)
		if err != nil {
			return nil, err
		}
		by, err := need(noWeights{spec}, v.Planned, positions)
		if err != nil {
			return nil, err
		}
		all = append(all, Size{Format: o.Format, Block: o.Block, Fitted: o.Fit, Bytes: v.Out, Bits: float64(v.Out) * 8 / weights, GPU: Sum(by)})
	}
	return all, nil
}
