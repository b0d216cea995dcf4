package kernels

import (
	"slices"
	"strings"
)

// matrixNeed is what kernels of subgroup matrices enable.
const matrixNeed = "chromium_experimental_subgroup_matrix"

// MatrixTrial is a kernel that compiles on devices with the subgroup matrices that kernels use: of float16, 16 × 16, added up
// in float32. A device may have others and not these, and lists of them are laid out differently from one version of
// webgpu.h to the next. A workgroup has to be whole subgroups, whatever their size.
const MatrixTrial = `enable f16;
enable chromium_experimental_subgroup_matrix;
@compute @workgroup_size(128)
fn main() {
  var sums: subgroup_matrix_result<f32, 16, 16>;
  sums = subgroupMatrixMultiplyAccumulate(subgroup_matrix_left<f16, 16, 16>(), subgroup_matrix_right<f16, 16, 16>(), sums);
}
`

// Int8Trial is the same for matrices of int8, 16 × 32, and 32 × 16 or 32 × 8, added up in int32.
const Int8Trial = `enable chromium_experimental_subgroup_matrix;
@compute @workgroup_size(128)
fn main() {
  var sums: subgroup_matrix_result<i32, 16, 16>;
  sums = subgroupMatrixMultiplyAccumulate(subgroup_matrix_left<i8, 32, 16>(), subgroup_matrix_right<i8, 16, 32>(), sums);
  sums = subgroupMatrixScalarMultiply(sums, 256i);
  var few: subgroup_matrix_result<i32, 8, 16>;
  few = subgroupMatrixMultiplyAccumulate(subgroup_matrix_left<i8, 32, 16>(), subgroup_matrix_right<i8, 8, 32>(), few);
}
`

// OlderMatrices returns k as compilers understand it that take the order of a subgroup matrix in memory as an argument:
// subgroupMatrixLoad<T>(&p, 0u, false, 16u), where kernels have subgroupMatrixLoad<T, row_major>(&p, 0u, 16u). ok is
// false if it has no such calls.
func (k Kernel) OlderMatrices() (older Kernel, ok bool) {
	if !slices.Contains(k.Needs, matrixNeed) {
		return k, false
	}
	source := k.Source
	for _, call := range []string{"subgroupMatrixLoad<", "subgroupMatrixStore<"} {
		var b strings.Builder
		for {
			before, rest, found := strings.Cut(source, call)
			b.WriteString(before)
			if !found {
				break
			}
			var one bool
			if source, one = olderCall(&b, call[:len(call)-1], rest); !one {
				return k, false
			}
			ok = true
		}
		source = b.String()
	}
	k.Source = source
	return k, ok
}

// olderCall writes a call whose template arguments begin at rest, and returns what comes after it.
func olderCall(b *strings.Builder, name, rest string) (after string, ok bool) {
	types, rest, err := arguments(rest, '<', '>')
	if err != nil || len(types) == 0 {
		return "", false
	}
	args, after, err := arguments(strings.TrimPrefix(rest, "("), '(', ')')
	if err != nil || len(args) < 3 {
		return "", false
	}
	last := len(types) - 1
	major := map[string]string{"row_major": "false", "col_major": "true"}[types[last]]
	if major == "" {
		return "", false
	}
	b.WriteString(name)
	if last > 0 {
		b.WriteString("<" + types[0] + ">")
	}
	n := len(args) - 1
	b.WriteString("(" + strings.Join(args[:n], ", ") + ", " + major + ", " + args[n] + ")")
	return after, true
}
