package convert

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// A class is what int4 becomes for models below a size, in weights, embedding and head included: small
// models have little to spare.
type class struct {
	below  float64
	block  int     // weights that share a scale
	budget float64 // bits a weight in the layers, at most
	around bool    // embedding and head are int8
	probe  bool    // outliers are looked for, which reads half of the weights once more
	halve  bool    // smaller blocks where the budget allows
}

var classes = []class{
	{below: 1e9, block: 64, budget: 4.8, around: true, probe: true, halve: true},
	{below: 4e9, block: 64, budget: 4.6, around: true, probe: true, halve: true},
	{below: math.Inf(1), block: 128, budget: 4.3},
}

// fitted is what Options.Fit has chosen for what the options leave open.
type fitted struct {
	block       map[bundle.Type]int // weights that share a scale, at most; see fitBlock
	embed, head bundle.Type         // "": as the other matrices
	rules       []rule              // for matrices in layers, the first that matches
	why         string              // what was chosen
	instead     string              // what else there is
}

// rule says that matrices of a role are stored otherwise than the rest.
type rule struct {
	role  model.Role
	layer int // anyLayer: all
	kind  bundle.Type
	block int // 0: as all of this kind
}

const anyLayer = -1

func (r rule) matches(t model.Tensor) bool {
	return r.role == t.Role && (r.layer == anyLayer || r.layer == t.Layer)
}

// fit chooses what the options leave open by the model's size and shape, and by where its weights stick out.
func (o *Options) fit(ctx context.Context, src model.Weights) error {
	o.fitted = nil
	format := bundle.Type(o.Format)
	if !o.Fit || !format.Quantized() {
		return nil
	}
	n := countWeights(src.Tensors())
	c := classes[slices.IndexFunc(classes, func(c class) bool { return float64(n) < c.below })]
	f := &fitted{block: map[bundle.Type]int{}}
	o.fitted = f
	if c.around && format != bundle.Int8 {
		f.embed = bundle.Int8
		if !src.Spec().TiedHead && o.EmbedFormat == "" {
			f.head = bundle.Int8
		}
	}
	if format == bundle.Int4 && o.Block == 0 && o.Bits == 0 {
		f.block[bundle.Int4] = c.block
		var outliers []int
		if _, empty := src.(shape); c.probe && !empty {
			var err error
			if outliers, err = findOutliers(ctx, src, o.Threads); err != nil {
				return err
			}
		}
		f.spend(o, src, c, outliers)
		f.instead = "--block-size 128 --embed-format int4 is smaller, and drifts further"
	}
	f.explain(o, src.Spec(), n)
	return nil
}

// spend gives matrices more bits as long as the budget lasts, those first where they were found to save most:
//
//   - the values, if several query heads read each: an error counts as many times; and latent vectors, which all read;
//   - the ways out of MLPs with a neuron that sticks out: they write the few huge activations that models have;
//   - the last MLP, which nothing makes good, in models of so many layers that one does not cost much;
//   - smaller blocks, for queries and keys first.
func (f *fitted) spend(o *Options, src model.Weights, c class, outliers []int) {
	s, tensors := src.Spec(), src.Tensors()
	steps := [][]rule{}
	int8s := func(layer int, roles ...model.Role) {
		for _, r := range roles {
			steps = append(steps, []rule{{r, layer, bundle.Int8, 0}})
		}
	}
	if sharesValues(s) {
		int8s(anyLayer, model.RoleV)
	}
	int8s(anyLayer, model.RoleKVDown)
	for _, l := range outliers {
		int8s(l, model.RoleDown)
	}
	if last := len(s.Layers) - 1; last+1 >= manyLayers && s.Layer(last).MLP.Experts == 0 {
		int8s(last, model.RoleDown, model.RoleUp, model.RoleGate)
	}
	for _, roles := range [][]model.Role{
		{model.RoleQ, model.RoleK, model.RoleQDown, model.RoleQUp, model.RoleKUp},
		{model.RoleO, model.RoleVUp, model.RoleStateO},
		{model.RoleDown, model.RoleSharedDown},
		{model.RoleUp, model.RoleSharedUp},
		{model.RoleGate, model.RoleSharedGate},
	} {
		if !c.halve {
			break
		}
		var step []rule
		for _, r := range roles {
			step = append(step, rule{r, anyLayer, bundle.Int4, c.block / 2})
		}
		steps = append(steps, step)
	}
	for _, step := range steps {
		before := f.rules
		f.rules = slices.Concat(f.rules, slices.DeleteFunc(step, func(r rule) bool {
			return !slices.ContainsFunc(tensors, func(t model.Tensor) bool { return r.matches(t) && !o.named(t) })
		}))
		if f.layerBits(o, tensors) > c.budget {
			f.rules = before
		}
	}
}

// manyLayers is from how many layers on the last MLP gets int8.
const manyLayers = 24

// layerBits returns the bits of a weight in the matrices of the layers, by what was chosen so far. What the
// options name does not count.
func (f *fitted) layerBits(o *Options, tensors []model.Tensor) float64 {
	var stored []bundle.Tensor
	for _, t := range tensors {
		e := bundle.Tensor{Name: t.Name, Role: t.Role, Layer: t.Layer, Shape: t.Shape}
		if t.Quantizable() && !o.named(t) {
			e.Type, e.Block = o.matrix(t)
			stored = append(stored, e)
		}
	}
	return layerBits(stored)
}

// sharesValues reports whether several query heads read each value head, in all layers: then the
// matrix that makes values is small, and an error in it counts as many times.
func sharesValues(s *model.Spec) bool {
	for i := range s.Kinds {
		if a := s.Kinds[i].Attention; a.Heads < 2*max(1, a.KVHeads) {
			return false
		}
	}
	return true
}

// explain says what was chosen, and why.
func (f *fitted) explain(o *Options, s *model.Spec, n int64) {
	var parts []string
	if b := f.block[bundle.Int4]; b != 0 {
		parts = append(parts, fmt.Sprintf("int4 in blocks of %d", b))
	}
	for _, kind := range []bundle.Type{bundle.Int8, bundle.Int4} {
		for _, layer := range append([]int{anyLayer}, seq(len(s.Layers))...) {
			var roles []string
			block := 0
			for _, r := range f.rules {
				if r.kind == kind && r.layer == layer {
					roles, block = append(roles, string(r.role)), r.block
				}
			}
			if len(roles) == 0 {
				continue
			}
			part := strings.Join(roles, ", ")
			if layer != anyLayer {
				part = fmt.Sprintf("%s of layer %d", part, layer)
			}
			if block != 0 {
				part += fmt.Sprintf(" in blocks of %d", block)
			} else {
				part += " " + string(kind)
			}
			parts = append(parts, part)
		}
	}
	switch {
	case f.embed != "" && o.EmbedFormat == "" && s.TiedHead:
		parts = append(parts, fmt.Sprintf("embedding, which is the head, %s", f.embed))
	case f.embed != "" && o.EmbedFormat == "":
		parts = append(parts, fmt.Sprintf("embedding %s", f.embed))
	}
	if f.head != "" && o.HeadFormat == "" {
		parts = append(parts, fmt.Sprintf("head %s", f.head))
	}
	if len(parts) > 0 {
		f.why = fmt.Sprintf("chosen for a model of %s weights: %s", million(n), strings.Join(parts, "; "))
	}
}

// seq returns 0 to n−1.
func seq(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// million writes a number of weights for people.
func million(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.3g billion", float64(n)/1e9)
	}
	return fmt.Sprintf("%.3g million", float64(n)/1e6)
}

// rule returns what was chosen for a matrix.
func (f *fitted) rule(t model.Tensor) (rule, bool) {
	if f == nil {
		return rule{}, false
	}
	for _, r := range f.rules {
		if r.matches(t) {
			return r, true
		}
	}
	return rule{}, false
}

// overrides returns what a manifest says of the rules: an override for each name that matrices of the
// role have, whatever the number of their layer if it holds for all.
func (f *fitted) overrides(tensors []model.Tensor) []Override {
	var list []Override
	if f == nil {
		return nil
	}
	for _, r := range f.rules {
		seen := map[string]bool{}
		for _, t := range tensors {
			if !r.matches(t) {
				continue
			}
			pattern := regexp.QuoteMeta(t.Name)
			if r.layer == anyLayer {
				pattern = digits.ReplaceAllLiteralString(pattern, `\d+`)
			}
			if pattern = "^" + pattern + "$"; !seen[pattern] {
				seen[pattern] = true
				list = append(list, Override{Match: regexp.MustCompile(pattern), Format: string(r.kind), Block: r.block})
			}
		}
	}
	return list
}

var digits = regexp.MustCompile(`\d+`)

// fitBlock returns the block size for rows of cols weights: most, or less if a row then takes fewer
// bytes, as one of 576 does in blocks of 64 rather than 128.
func fitBlock(bits, most, cols int) int {
	best, least := most, math.MaxInt
	for b := most; b >= 32; b /= 2 {
		if n := (block.Scheme{Bits: bits, Block: b}).RowBytes(cols); n < least {
			best, least = b, n
		}
	}
	return best
}

func countWeights(tensors []model.Tensor) int64 {
	var n int64
	for _, t := range tensors {
		n += int64(t.Rows()) * int64(t.Cols())
	}
	return n
}

// layerBits returns the bits of a weight in the matrices of the layers, scales included.
func layerBits(tensors []bundle.Tensor) float64 {
	var bits, n float64
	for i := range tensors {
		if t := &tensors[i]; t.Layer != model.NoLayer && t.Model().Quantizable() {
			rows := float64(t.Model().Rows())
			bits += 8 * rows * float64(t.RowBytes())
			n += rows * float64(t.Model().Cols())
		}
	}
	return bits / max(n, 1)
}
