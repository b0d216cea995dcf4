package transformer

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// replacing is a Source with one tensor of another.
type replacing struct {
	*modeltest.Model
	tensor int
	from   *modeltest.Model
}

func (r replacing) Rows(i, row0, n int, dst []float32) error {
	if i == r.tensor {
		return r.from.Rows(i, row0, n, dst)
	}
	return r.Model.Rows(i, row0, n, dst)
}

func (r replacing) ReadAt(i int, p []byte, off int64) error {
	if i == r.tensor {
		return r.from.ReadAt(i, p, off)
	}
	return r.Model.ReadAt(i, p, off)
}

// TestReload replaces one tensor after the other: a model computes what one does that was made with the
// other tensor, and with its own back what it did before.
func TestReload(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	src, other := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(16)), modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(16))
	for i := range other.Stored { // the same values in another order
		if !other.Listed[i].Quantizable() {
			slices.Reverse(other.Values[i]) // a norm
			continue
		}
		row := other.Listed[i].Cols() * 2
		other.Stored[i] = append(other.Stored[i][row:], other.Stored[i][:row]...)
	}
	tokens := modeltest.Tokens(12, src.Described.Vocab)
	tr, err := New(ctx, dev, src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	before := modeltest.Run(t, tr, tokens)
	alone := dev.Memory()
	for i, tensor := range src.Listed {
		if tensor.Layer != 0 {
			continue
		}
		mixed := replacing{src, i, other}
		made, err := New(ctx, dev, mixed, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := modeltest.Run(t, made, tokens)
		made.Close()
		for _, c := range []struct {
			src  Source
			want []float32
		}{{mixed, want}, {src, before}} {
			if err := tr.Reload(ctx, c.src, i); err != nil {
				t.Fatal(err)
			}
			tr.Reset()
			if d := modeltest.RelRMS(t, modeltest.Run(t, tr, tokens), c.want); d != 0 {
				t.Errorf("%s: relative RMS %.2g", tensor.Role, d)
			}
		}
		if d := modeltest.RelRMS(t, want, before); !(d > modeltest.MaxRelRMS) {
			t.Errorf("%s: the other tensor makes no difference: %.2g", tensor.Role, d)
		}
	}
	if err := dev.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if m := dev.Memory(); m[purposeLoading] != alone[purposeLoading] || m["staging"] != alone["staging"] {
		t.Errorf("left on the device: %v, before %v", m, alone)
	}
}

func TestReloadErrors(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Floats(16))
	tr, err := New(ctx, dev, src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if err := tr.Reload(ctx, src, len(src.Listed)); err == nil {
		t.Error("a tensor that is not there: no error")
	}
	packed := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32))
	q := slices.IndexFunc(src.Listed, func(t model.Tensor) bool { return t.Role == model.RoleQ })
	if err := tr.Reload(ctx, packed, q); err == nil || !strings.Contains(err.Error(), "4 bits in blocks of 32, on the device 16 bits") {
		t.Errorf("another packing: %v", err)
	}
}
