package kernels_test

import (
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestOlderMatrices rewrites calls as older compilers want them, and nothing else.
func TestOlderMatrices(t *testing.T) {
	const kernel = "enable chromium_experimental_subgroup_matrix;\n@compute @workgroup_size(32)\nfn main() { BODY }\n"
	for body, want := range map[string]string{
		"let a = subgroupMatrixLoad<Left, row_major>(&ws[f(1u, 2u)], k * 16u, PITCH);":                                                    "let a = subgroupMatrixLoad<Left>(&ws[f(1u, 2u)], k * 16u, false, PITCH);",
		"x(subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&a, 0u, 8u), subgroupMatrixLoad<T, row_major>(&b, 1u, 2u));": "x(subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>>(&a, 0u, true, 8u), subgroupMatrixLoad<T>(&b, 1u, false, 2u));",
		"subgroupMatrixStore<col_major>(&ps[subgroup], 0u, sums, 16u);":                                                                   "subgroupMatrixStore(&ps[subgroup], 0u, sums, true, 16u);",
	} {
		k, err := kernels.Parse("t", strings.Replace(kernel, "BODY", body, 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		older, ok := k.OlderMatrices()
		if got := strings.Replace(kernel, "BODY", want, 1); !ok || older.Source != got {
			t.Errorf("%s became\n%s", body, older.Source)
		}
		if _, again := older.OlderMatrices(); again {
			t.Errorf("%s: the older form was taken for the newer", want)
		}
	}
	k, err := kernels.Specialize("matmul", nil)
	if _, ok := k.OlderMatrices(); ok || err != nil {
		t.Errorf("matmul: %v, %v: it has no subgroup matrices", ok, err)
	}
}
