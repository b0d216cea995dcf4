package convert

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// sized returns a model without values.
func sized(layers, hidden, kvHeads int, tied bool, vocab int) *fake {
	f := &fake{spec: model.Spec{
		Vocab: vocab, Hidden: hidden, TiedHead: tied, Norm: model.Norm{Kind: model.RMSNorm},
		Kinds: []model.Layer{{
			PreNorm: true, Attention: model.Attention{Heads: 8, KVHeads: kvHeads, HeadDim: hidden / 8},
			MLP: model.MLP{Gated: true, Activation: model.SiLU, Intermediate: 4 * hidden},
		}},
		Layers: make([]int, layers),
	}}
	f.tensors = f.spec.Tensors()
	for i := range f.tensors {
		f.tensors[i].Name = fmt.Sprintf("layers.%d.%s", f.tensors[i].Layer, f.tensors[i].Role)
	}
	return f
}

// long is a sized model whose rows have these lengths.
type long struct {
	*fake
	length func(layer int, role model.Role, row int) float32
}

func (f long) Rows(i, row0, n int, dst []float32) error {
	t := f.tensors[i]
	clear(dst)
	for r := range n {
		dst[r*t.Cols()+(row0+r)%t.Cols()] = f.length(t.Layer, t.Role, row0+r)
	}
	return nil
}

// Layers with a neuron that sticks out in gate and up, and the last MLP of a deep model, get more bits as long
// as the budget lasts; where a failure to read ends it.
func TestFitOutliers(t *testing.T) {
	f := long{sized(30, 576, 2, true, 32000), func(layer int, role model.Role, row int) float32 {
		switch {
		case (layer == 3 || layer == 7) && row == 1000:
			return 4
		case layer == 5 && row == 1000 && role == model.RoleGate: // strong in one of both
			return 7
		}
		return 1
	}}
	o := Options{Format: "int4", Fit: true, Threads: 3}
	if err := o.fit(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	var int8s []string
	for _, x := range f.tensors {
		if kind, _ := o.matrix(x); kind == bundle.Int8 && x.Layer != model.NoLayer && x.Role != model.RoleV {
			int8s = append(int8s, x.Name)
		}
	}
	if want := []string{"layers.3.down", "layers.7.down", "layers.29.gate", "layers.29.up", "layers.29.down"}; !slices.Equal(int8s, want) {
		t.Errorf("int8 are %q, want %q", int8s, want)
	}
	if bits := o.fitted.layerBits(&o, f.tensors); bits > classes[0].budget {
		t.Errorf("%v bits a weight, the budget is %v", bits, classes[0].budget)
	}
	if why := o.fitted.why; !strings.Contains(why, "down of layer 3 int8") {
		t.Errorf("it says %q", why)
	}
	f.spec.Kinds[0].PostNorm = true
	if found, err := findOutliers(t.Context(), f, 1); err != nil || len(found) > 0 {
		t.Errorf("outliers before a norm: %v, %v", found, err)
	}
	f.spec.Kinds[0].PostNorm = false
	broken := sized(4, 576, 2, true, 1000)
	broken.hook = func(tensor, _, _ int) error {
		if broken.tensors[tensor].Role == model.RoleUp {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	broken.values = make([][]float32, len(broken.tensors))
	for i, x := range broken.tensors {
		broken.values[i] = make([]float32, x.Rows()*x.Cols())
	}
	if err := o.fit(t.Context(), broken); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("rows that cannot be read: %v", err)
	}
}

// What is left open follows from size and shape; what was asked for does not.
func TestFit(t *testing.T) {
	little, some, large := sized(4, 576, 2, true, 32000), sized(4, 512, 2, false, 1.5e6), sized(4, 512, 2, false, 5e6)
	for _, c := range []struct {
		name                    string
		f                       *fake
		o                       Options
		q, down, v, embed, head string // "": there is none
	}{
		{"small", little, Options{Format: "int4"}, "int4/32", "int4/32", "int8/64", "int8/64", ""},
		{"own heads", sized(4, 576, 8, true, 32000), Options{Format: "int4"}, "int4/32", "int4/32", "int4/64", "int8/64", ""},
		{"middle", some, Options{Format: "int4"}, "int4/32", "int4/64", "int8/128", "int8/128", "int8/128"},
		{"large", large, Options{Format: "int4"}, "int4/128", "int4/128", "int8/128", "int4/128", "int4/128"},
		{"block", little, Options{Format: "int4", Block: 128}, "int4/128", "int4/128", "int4/128", "int8/128", ""},
		{"embedding", little, Options{Format: "int4", Block: 128, EmbedFormat: "int4"}, "int4/128", "int4/128", "int4/128", "int4/128", ""},
		{"article", some, Options{Format: "int4", Block: 128, EmbedFormat: "int4"}, "int4/128", "int4/128", "int4/128", "int4/128", "int4/128"},
		{"head", some, Options{Format: "int4", HeadFormat: "f16"}, "int4/32", "int4/64", "int8/128", "int8/128", "f16"},
		{"int8", little, Options{Format: "int8"}, "int8/64", "int8/128", "int8/64", "int8/64", ""},
		{"int2", little, Options{Format: "int2"}, "int2/64", "int2/256", "int2/64", "int8/64", ""},
		{"f16", little, Options{Format: "f16"}, "f16", "f16", "f16", "f16", ""},
		{"override", little, Options{Format: "int4", Overrides: []Override{{Match: digits, Format: "int4", Block: 256}}}, "int4/256", "int4/256", "int4/256", "int4/256", ""},
	} {
		o := c.o
		o.Fit, o.Threads = true, 2
		if err := o.fit(t.Context(), long{c.f, func(int, model.Role, int) float32 { return 1 }}); err != nil {
			t.Fatal(err)
		}
		for role, want := range map[model.Role]string{
			model.RoleQ: c.q, model.RoleDown: c.down, model.RoleV: c.v, model.RoleEmbed: c.embed, model.RoleHead: c.head,
		} {
			for _, x := range c.f.tensors {
				kind, length := o.matrix(x)
				got := string(kind)
				if length != 0 {
					got = block.Scheme{Bits: kind.Bits(), Block: length}.String()
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
	if err := o.fit(t.Context(), sized(4, 576, 2, true, 32000)); err != nil {
		t.Fatal(err)
	}
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
				s, wanted := block.Scheme{Bits: bits, Block: b}, block.Scheme{Bits: bits, Block: most}
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
