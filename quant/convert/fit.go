package convert

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// What a model becomes if nobody says more than the format follows its size, because small models have
// little to spare. The limits are in weights, embedding and head included.
const (
	small  = 1e9 // below: int4 in blocks of 32 and 64
	middle = 4e9 // below: int4 in blocks of 64, and an embedding and a head of int8
)

// fitted is what Options.Fit has chosen for what the options leave open.
type fitted struct {
	block       map[bundle.Type]int // weights that share a scale, at most; see fitBlock
	embed, head bundle.Type         // "": as the other matrices
	roles       []fittedRole
	why         string // what was chosen
	instead     string // what else there is
}

// fittedRole says that matrices of a role are stored otherwise than the rest.
type fittedRole struct {
	role  model.Role
	kind  bundle.Type
	block int
}

// fit chooses what the options leave open by the model's size and shape.
func (o *Options) fit(src model.Weights) {
	o.fitted = nil
	format := bundle.Type(o.Format)
	if !o.Fit || !format.Quantized() {
		return
	}
	f := &fitted{block: map[bundle.Type]int{}}
	n := countWeights(src.Tensors())
	o.fitted = f
	if n < middle && format != bundle.Int8 {
		f.embed = bundle.Int8
		if !src.Spec().TiedHead && o.EmbedFormat == "" {
			f.head = bundle.Int8
		}
	}
	if format != bundle.Int4 || o.Block != 0 || o.Bits != 0 {
		f.explain(o, src.Spec(), n)
		return
	}
	switch {
	case n < small:
		f.block[bundle.Int4] = 64
		for _, r := range []model.Role{model.RoleUp, model.RoleDown, model.RoleSharedUp, model.RoleSharedDown} {
			f.roles = append(f.roles, fittedRole{r, bundle.Int4, 32})
		}
	case n < middle:
		f.block[bundle.Int4] = 64
	}
	if sharesValues(src.Spec()) {
		f.roles = append(f.roles, fittedRole{model.RoleV, bundle.Int8, 0})
	}
	f.explain(o, src.Spec(), n)
}

// sharesValues reports whether several query heads read each value head, in all layers: then the
// matrix that makes values is small, and an error in it counts as many times.
func sharesValues(s *model.Spec) bool {
	for i := range s.Kinds {
		if a := s.Kinds[i].Attention; a.Heads < 2*a.KVHeads {
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
	for _, r := range f.roles {
		switch {
		case r.kind != bundle.Int4:
			parts = append(parts, fmt.Sprintf("%s %s, which several heads read", r.role, r.kind))
		case r.role == model.RoleDown:
			parts = append(parts, fmt.Sprintf("up and down in blocks of %d", r.block))
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
	if len(parts) == 0 {
		return
	}
	f.why = fmt.Sprintf("chosen for a model of %s weights: %s", million(n), strings.Join(parts, "; "))
	if o.Format == string(bundle.Int4) && o.Block == 0 && o.Bits == 0 {
		f.instead = fmt.Sprintf("--block-size 128 --embed-format %[1]s is smaller, and drifts further", o.Format)
	}
}

// million writes a number of weights for people.
func million(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.3g billion", float64(n)/1e9)
	}
	return fmt.Sprintf("%.3g million", float64(n)/1e6)
}

// role returns what was chosen for matrices of the tensor's role.
func (f *fitted) role(t model.Tensor) (fittedRole, bool) {
	if f == nil {
		return fittedRole{}, false
	}
	for _, r := range f.roles {
		if r.role == t.Role {
			return r, true
		}
	}
	return fittedRole{}, false
}

// overrides returns what a manifest says of the roles: an override for each name that matrices of the
// role have but for the number of their layer.
func (f *fitted) overrides(tensors []model.Tensor) []Override {
	var list []Override
	if f == nil {
		return nil
	}
	for _, r := range f.roles {
		seen := map[string]bool{}
		for _, t := range tensors {
			if t.Role != r.role {
				continue
			}
			pattern := "^" + digits.ReplaceAllLiteralString(regexp.QuoteMeta(t.Name), `\d+`) + "$"
			if !seen[pattern] {
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
		if n := (quant.Scheme{Bits: bits, Block: b}).RowBytes(cols); n < least {
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
	return bits / n
}
