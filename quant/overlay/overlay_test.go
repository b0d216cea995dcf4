package overlay

import (
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// ones is a model whose rows are all ones: an embedding [4][2] and a matrix [3][2] of layer 0.
type ones struct{ model.Weights }

func (ones) Spec() *model.Spec { return &model.Spec{} }

func (ones) Tensors() []model.Tensor {
	return []model.Tensor{
		{Name: "embed", Role: model.RoleEmbed, Layer: model.NoLayer, Shape: []int{4, 2}},
		{Name: "q", Role: model.RoleQ, Shape: []int{3, 2}},
	}
}

func (ones) Rows(_, _, _ int, dst []float32) error {
	for i := range dst {
		dst[i] = 1
	}
	return nil
}

func TestModel(t *testing.T) {
	m, f16 := New(ones{}, [][]int32{{2}, {0, 2}}), block.Packing{Bits: 16}
	rows := func(values ...float32) []byte {
		b := make([]byte, 2*len(values))
		block.Float16s(b, values)
		return b
	}
	check := func(what string, i, row0, n int, want ...float32) {
		t.Helper()
		got := make([]float32, len(want))
		if err := m.Rows(i, row0, n, got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v (%v), want %v", what, got, err, want)
		}
	}
	check("before", 1, 1, 2, 1, 1, 1, 1)
	m.Set(1, f16, 0, rows(1, 2, 3, 4))
	check("not yet whole", 1, 0, 1, 1, 1)
	if late := m.Late([]int{0, 1}); len(late) != 0 {
		t.Errorf("late: %v", late)
	}
	m.Set(1, f16, 2, rows(5, 6))
	check("whole", 1, 1, 2, 3, 4, 5, 6)
	if late := m.Late([]int{0, 1}); !slices.Equal(late, []int{1}) || len(m.Late([]int{0, 1})) != 0 {
		t.Errorf("late: %v, want 1 once", late)
	}

	m.Set(0, f16, 0, rows(1, 2, 3, 4, 5, 6, 7, 8))
	check("embedding of a token", 0, 2, 1, 5, 6)
	if err := m.Rows(0, 1, 1, make([]float32, 2)); err == nil {
		t.Error("the embedding of a token that no text has: no error")
	}

	m.Forget(0)
	check("forgotten", 0, 2, 1, 1, 1)
	check("of a later layer", 1, 0, 1, 1, 2)
	m.Forget(1)
	check("forgotten, too", 1, 0, 1, 1, 1)
}

func TestMisuse(t *testing.T) {
	m, f16 := New(ones{}, nil), block.Packing{Bits: 16}
	m.Set(1, f16, 0, make([]byte, 4))
	for what, set := range map[string]func(){
		"a row twice":   func() { m.Set(1, f16, 0, make([]byte, 4)) },
		"half a row":    func() { m.Set(1, f16, 1, make([]byte, 2)) },
		"a row too far": func() { m.Set(1, f16, 1, make([]byte, 12)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			set()
		}()
	}
}
