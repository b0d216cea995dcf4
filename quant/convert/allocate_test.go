package convert

import (
	"context"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// oneMatters is a Judge of a model of which one matrix matters a lot.
type oneMatters struct {
	*inputsOf
	matrix int
	sizes  map[int]int // bytes of the blocks that were judged, by matrix
	fail   int         // matrix that cannot be judged, or 0
	slow   bool
}

func (j *oneMatters) Slow() bool { return j.slow }

func (j *oneMatters) Sums(_ context.Context, i int) (*quant.Sums, error) {
	n := j.tensors[i].Cols()
	h := make([]float32, n*n)
	for k := range n {
		h[k*n+k] = 1
	}
	return &quant.Sums{Tokens: 5000, Inputs: h}, nil
}

// ExpertSums has an expert that sees nothing.
func (j *oneMatters) ExpertSums(ctx context.Context, i, e int) (*quant.Sums, error) {
	s, err := j.Sums(ctx, i)
	if e == 1 {
		s.Tokens = 0
		clear(s.Inputs)
	}
	return s, err
}

func (j *oneMatters) Drift(_ context.Context, i int, s block.Scheme, blocks []byte) (float64, error) {
	j.sizes[i] += len(blocks)
	if i == j.fail {
		return 0, errors.New("no drift")
	}
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
	j := &oneMatters{inputsOf: newInputs(t, f), matrix: matrix, sizes: map[int]int{}}
	known := measureAll(t, f, o, j)
	for _, bits := range []float64{3, 6} {
		o := o
		o.Bits = bits
		overrides, err := Allocate(f, o, known)
		if err != nil {
			t.Fatal(err)
		}
		o.Overrides = overrides
		var used int64
		for i, tensor := range f.tensors {
			if tensor.Layer == model.NoLayer || !tensor.Quantizable() {
				continue
			}
			kind, length := o.matrix(tensor)
			n := 16 * int64(tensor.Rows()) * int64(tensor.Cols())
			if kind.Quantized() {
				n = 8 * int64(tensor.Rows()) * int64(block.Scheme{Bits: kind.Bits(), Block: length}.RowBytes(tensor.Cols()))
			}
			used += n
			if i == matrix && kind == "int2" {
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
	if o.Bits = 1; o.CheckBits(f) == nil {
		t.Error("1 bit: no error")
	}
	delete(known, f.tensors[matrix].Name)
	o.Bits = 6
	if _, err := Allocate(f, o, known); err == nil || !strings.Contains(err.Error(), "was not measured") {
		t.Errorf("a matrix is not known: %v", err)
	}
}

func measureAll(t *testing.T, f *fake, o Options, j Judge) Sensitivity {
	t.Helper()
	s := Sensitivity{}
	calls := 0
	err := s.Measure(t.Context(), f, o, j, func(done, total int) error {
		if calls++; done != calls || len(s) != done || total < done {
			t.Errorf("call %d: %d of %d are done, %d known", calls, done, total, len(s))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
