package convert

import (
	"context"
	"math"
	"regexp"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// oneMatters is a Judge of a model of which one matrix matters a lot.
type oneMatters struct {
	*inputsOf
	matrix int
	sizes  map[int]int // bytes of the blocks that were judged, by matrix
}

func (j *oneMatters) Sums(_ context.Context, i int) (*quant.Sums, error) {
	n := j.tensors[i].Cols()
	h := make([]float32, n*n)
	for k := range n {
		h[k*n+k] = 1
	}
	return &quant.Sums{Tokens: 5000, Inputs: h}, nil
}

func (j *oneMatters) Drift(_ context.Context, i int, s quant.Scheme, blocks []byte) (float64, error) {
	j.sizes[i] += len(blocks)
	t := j.tensors[i]
	if want := s.RowBytes(t.Cols()) * t.Rows(); len(blocks) != want {
		j.t.Errorf("tensor %q: %d bytes are judged, want %d", t.Name, len(blocks), want)
	}
	kld := 1e-3 * math.Pow(4, float64(-s.Bits))
	if i == j.matrix {
		kld *= 1e6
	}
	return kld, nil
}

// TestAllocate checks that the budget is kept, that what matters gets the most, and that what the options
// say stays.
func TestAllocate(t *testing.T) {
	f := newFake()
	matrix := -1
	var all int64
	for i, tensor := range f.tensors {
		if tensor.Role == model.RoleDown && matrix < 0 {
			matrix = i
		}
		if tensor.Layer != model.NoLayer && tensor.Quantizable() {
			all += int64(tensor.Rows()) * int64(tensor.Cols())
		}
	}
	var kept string
	for _, tensor := range f.tensors {
		if tensor.Role == model.RoleK {
			kept = tensor.Name
			break
		}
	}
	o := Options{Format: "int2", KeepF16: []*regexp.Regexp{regexp.MustCompile(regexp.QuoteMeta(kept))}}
	for _, bits := range []float64{6} {
		j := &oneMatters{newInputs(t, f), matrix, map[int]int{}}
		overrides, err := Allocate(context.Background(), f, o, bits, j, nil)
		if err != nil {
			t.Fatal(err)
		}
		o := o
		o.Overrides = overrides
		var used int64
		for i, tensor := range f.tensors {
			if tensor.Layer == model.NoLayer || !tensor.Quantizable() {
				continue
			}
			kind, block := o.matrix(tensor)
			n := 16 * int64(tensor.Rows()) * int64(tensor.Cols())
			if kind.Quantized() {
				n = 8 * int64(tensor.Rows()) * int64(quant.Scheme{Bits: kind.Bits(), Block: block}.RowBytes(tensor.Cols()))
			}
			used += n
			if i == matrix && kind != "int8" {
				t.Errorf("%v bits: the matrix that matters is %s", bits, kind)
			}
			if tensor.Name == kept && (kind != "f16" || j.sizes[i] != 0) {
				t.Errorf("what was to be kept is %s", kind)
			}
		}
		if most := int64(bits * float64(all)); used > most || used < most*8/10 {
			t.Errorf("%v bits: %d bits are used of %d", bits, used, most)
		}
	}
	if _, err := Allocate(context.Background(), f, o, 1, &oneMatters{newInputs(t, f), matrix, map[int]int{}}, nil); err == nil {
		t.Error("1 bit: no error")
	}
}
