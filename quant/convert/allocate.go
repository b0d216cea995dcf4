package convert

import (
	"fmt"
	"math"
	"regexp"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Allocate chooses bits and block size of each matrix in the layers so that together they have at most
// o.Bits bits a weight, scales included, and the model drifts as little as possible, if the drifts of s add
// up. Matrices that o.KeepF16 or o.Overrides match stay what these say, and count. The choices are returned as
// overrides for the others, all of which s must have.
func Allocate(src model.Weights, o Options, s Sensitivity) ([]Override, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	tensors := src.Tensors()
	budget, err := o.budget(tensors)
	if err != nil {
		return nil, err
	}
	var choices [][]quant.Choice
	var names []string // "" for what is not chosen here
	for _, t := range tensors {
		if !allocatable(t) {
			continue
		}
		if fixed, ok := o.fixed(t); ok {
			choices, names = append(choices, []quant.Choice{fixed}), append(names, "")
			continue
		}
		costs := s[t.Name]
		if costs == nil {
			return nil, fmt.Errorf("allocation: tensor %q: was not measured", t.Name)
		}
		var list []quant.Choice
		for _, c := range costs {
			list = append(list, choice(t, c.scheme(), c.Drift))
		}
		choices, names = append(choices, list), append(names, t.Name)
	}
	picks, err := quant.Allocate(choices, budget)
	if err != nil {
		return nil, fmt.Errorf("allocation: %w", err)
	}
	var overrides []Override
	for m, pick := range picks {
		if s := choices[m][pick].Scheme; names[m] != "" {
			overrides = append(overrides, Override{Match: regexp.MustCompile("^" + regexp.QuoteMeta(names[m]) + "$"), Format: fmt.Sprintf("int%d", s.Bits), Block: s.Block})
		}
	}
	return overrides, nil
}

// CheckBits reports if the model has no choice that keeps within o.Bits bits a weight, before anything is
// measured.
func (o Options) CheckBits(src model.Weights) error {
	if err := o.complete(); err != nil {
		return err
	}
	_, err := o.budget(src.Tensors())
	return err
}

// budget returns the bits of all layers, and reports if there is no choice that keeps within them.
func (o *Options) budget(tensors []model.Tensor) (int64, error) {
	var weights, least int64
	for _, t := range tensors {
		if !allocatable(t) {
			continue
		}
		weights += int64(t.Rows()) * int64(t.Cols())
		fixed, ok := o.fixed(t)
		if !ok {
			fixed = choice(t, schemes[0], 0)
			for _, s := range schemes {
				fixed.Bits = min(fixed.Bits, choice(t, s, 0).Bits)
			}
		}
		least += fixed.Bits
	}
	budget := int64(math.Floor(o.Bits * float64(weights)))
	if least > budget {
		return 0, fmt.Errorf("allocation: %v bits a weight: the least there is for this model is %.3f", o.Bits, math.Ceil(1000*float64(least)/float64(weights))/1000)
	}
	return budget, nil
}

// fixed returns what the options say of a matrix, if they name it.
func (o *Options) fixed(t model.Tensor) (quant.Choice, bool) {
	if !o.named(t) {
		return quant.Choice{}, false
	}
	kind, length := o.matrix(t)
	if !kind.Quantized() {
		return quant.Choice{Bits: int64(kind.Bits()) * int64(t.Rows()) * int64(t.Cols())}, true
	}
	return choice(t, block.Scheme{Bits: kind.Bits(), Block: length}, 0), true
}

// named reports whether the options name the matrix.
func (o *Options) named(t model.Tensor) bool {
	return slices.ContainsFunc(o.KeepF16, func(re *regexp.Regexp) bool { return re.MatchString(t.Name) }) ||
		slices.ContainsFunc(o.Overrides, func(v Override) bool { return v.Match.MatchString(t.Name) })
}

func choice(t model.Tensor, s block.Scheme, loss float64) quant.Choice {
	return quant.Choice{Scheme: s, Bits: 8 * int64(s.RowBytes(t.Cols())) * int64(t.Rows()), Loss: loss}
}
