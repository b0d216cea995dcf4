package convert

import (
	"regexp"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// sized returns a model without values, of so many layers of 576 or 4096 columns.
func sized(layers, hidden, kvHeads int, tied bool) *fake {
	f := &fake{spec: model.Spec{
		Vocab: 32000, Hidden: hidden, TiedHead: tied, Norm: model.Norm{Kind: model.RMSNorm},
		Kinds: []model.Layer{{
			PreNorm: true, Attention: model.Attention{Heads: 8, KVHeads: kvHeads, HeadDim: hidden / 8},
			MLP: model.MLP{Gated: true, Activation: model.SiLU, Intermediate: 4 * hidden},
		}},
		Layers: make([]int, layers),
	}}
	f.tensors = f.spec.Tensors()
	for i := range f.tensors {
		f.tensors[i].Name = strings.Join([]string{"layers", string(rune('0' + max(f.tensors[i].Layer, 0)%10)), string(f.tensors[i].Role)}, ".")
	}
	return f
}

// What is left open follows from size and shape; what was asked for does not.
func TestFit(t *testing.T) {
	little, some, large := sized(4, 576, 2, true), sized(9, 4096, 2, false), sized(22, 4096, 2, false)
	for _, c := range []struct {
		name                    string
		f                       *fake
		o                       Options
		q, down, v, embed, head string // "": there is none
	}{
		{"small", little, Options{Format: "int4"}, "int4/64", "int4/32", "int8/64", "int8/64", ""},
		{"own heads", sized(4, 576, 8, true), Options{Format: "int4"}, "int4/64", "int4/32", "int4/64", "int8/64", ""},
		{"middle", some, Options{Format: "int4"}, "int4/64", "int4/64", "int8/128", "int8/128", "int8/128"},
		{"large", large, Options{Format: "int4"}, "int4/128", "int4/128", "int8/128", "int4/128", "int4/128"},
		{"block", little, Options{Format: "int4", Block: 128}, "int4/128", "int4/128", "int4/128", "int8/128", ""},
		{"embedding", little, Options{Format: "int4", Block: 128, EmbedFormat: "int4"}, "int4/128", "int4/128", "int4/128", "int4/128", ""},
		{"article", some, Options{Format: "int4", Block: 128, EmbedFormat: "int4"}, "int4/128", "int4/128", "int4/128", "int4/128", "int4/128"},
		{"head", some, Options{Format: "int4", HeadFormat: "f16"}, "int4/64", "int4/64", "int8/128", "int8/128", "f16"},
		{"int8", little, Options{Format: "int8"}, "int8/64", "int8/128", "int8/64", "int8/64", ""},
		{"int2", little, Options{Format: "int2"}, "int2/64", "int2/256", "int2/64", "int8/64", ""},
		{"f16", little, Options{Format: "f16"}, "f16", "f16", "f16", "f16", ""},
		{"override", little, Options{Format: "int4", Overrides: []Override{{Match: digits, Format: "int4", Block: 256}}}, "int4/256", "int4/256", "int4/256", "int4/256", ""},
	} {
		o := c.o
		o.Fit = true
		o.fit(c.f)
		for role, want := range map[model.Role]string{
			model.RoleQ: c.q, model.RoleDown: c.down, model.RoleV: c.v, model.RoleEmbed: c.embed, model.RoleHead: c.head,
		} {
			for _, x := range c.f.tensors {
				kind, block := o.matrix(x)
				got := string(kind)
				if block != 0 {
					got = quant.Scheme{Bits: kind.Bits(), Block: block}.String()
				}
				if x.Role == role && got != want {
					t.Errorf("%s: %s is stored as %s, want %s", c.name, x.Name, got, want)
				}
			}
		}
		// The manifest says the same by names alone.
		said := Options{Format: c.o.Format, Block: c.o.Block}
		for _, v := range o.record(c.f.tensors).Overrides {
			said.Overrides = append(said.Overrides, Override{Match: regexp.MustCompile(v.Match), Format: v.Format, Block: v.Block})
		}
		for _, x := range c.f.tensors {
			kind, _ := o.matrix(x)
			if got, _ := said.matrix(x); x.Layer != model.NoLayer && x.Quantizable() && got != kind {
				t.Errorf("%s: by the manifest %s is %s, it is %s", c.name, x.Name, got, kind)
			}
		}
	}
}

// Without Fit nothing is chosen.
func TestFitOff(t *testing.T) {
	o := Options{Format: "int4"}
	o.fit(sized(4, 576, 2, true))
	if kind, block := o.matrix(model.Tensor{Role: model.RoleV, Shape: []int{64, 576}}); kind != bundle.Int4 || block != 128 {
		t.Errorf("%s in blocks of %d, want int4 in blocks of 128", kind, block)
	}
}

// A block size that fits takes no more bytes than the one that was wanted, and is that one where it
// divides the row.
func TestFitBlock(t *testing.T) {
	for _, bits := range []int{2, 4, 8} {
		for cols := 1; cols < 3000; cols += 7 {
			for _, most := range []int{32, 64, 128, 256} {
				b := fitBlock(bits, most, cols)
				s, wanted := quant.Scheme{Bits: bits, Block: b}, quant.Scheme{Bits: bits, Block: most}
				switch {
				case s.Validate() != nil || b > most:
					t.Fatalf("int%d, %d columns, at most %d: %d", bits, cols, most, b)
				case s.RowBytes(cols) > wanted.RowBytes(cols):
					t.Fatalf("int%d, %d columns: blocks of %d take more than blocks of %d", bits, cols, b, most)
				case cols%most == 0 && b != most:
					t.Fatalf("int%d, %d columns: blocks of %d, want %d", bits, cols, b, most)
				}
			}
		}
	}
}
