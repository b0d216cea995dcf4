package kernels_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

const sometimes = `const N: u32 = 0u;
const M: u32 = 1u;
@group(0) @binding(1) var<storage, read> b: array<f32>; // if N: [4]
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>; // if 2u * N + M
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> z: array<vec4<u32>>; // if M % 2u
@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) lane: u32) {
  y[lane] = a[0][lane];
  if (N == 1u) { y[lane] += b[lane]; }
  if (M == 1u) { z[0][lane] = lane + 1u; }
}
`

// TestUnbound runs specializations of a kernel that bind all, some or few of its operands.
func TestUnbound(t *testing.T) {
	for _, c := range []struct {
		n, m int
		want []int
	}{{1, 1, nil}, {0, 1, []int{0, 2, 3}}, {1, 2, []int{0, 1, 3}}, {0, 2, []int{0, 3}}} {
		k, err := kernels.Parse("sometimes", sometimes, kernels.Consts{"N": c.n, "M": c.m})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(k.Operands, c.want) {
			t.Errorf("N %d, M %d: operands %v, want %v", c.n, c.m, k.Operands, c.want)
		}
		y, z := make([]float32, 4), make([]uint32, 4)
		launchPlain(t, k, 1, 1, []float32{1, 2, 3, 4}, []float32{10, 20, 30, 40}, z, y)
		want, marks := []float32{1, 2, 3, 4}, []uint32{0, 0, 0, 0}
		if c.n == 1 {
			want = []float32{11, 22, 33, 44}
		}
		if c.m == 1 {
			marks = []uint32{1, 2, 3, 4}
		}
		if !slices.Equal(y, want) || !slices.Equal(z, marks) {
			t.Errorf("N %d, M %d: %v and %v, want %v and %v", c.n, c.m, y, z, want, marks)
		}
	}
}

func TestUnboundMistakes(t *testing.T) {
	for text, want := range map[string]string{
		strings.Replace(sometimes, "// if N:", "// if NONE:", 1):                   "NONE",
		strings.Replace(sometimes, "b: array<f32>; // if N", "b: f32; // if N", 1): "only an array can stay unbound",
		strings.Replace(sometimes, "@binding(3)", "@binding(4)", 1):                "want the numbers",
	} {
		if _, err := kernels.Parse("mistake", text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
