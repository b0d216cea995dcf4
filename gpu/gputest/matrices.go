package gputest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// emulations turn a kernel of subgroup matrices into one that any device runs: testdata/matrices.wgsl takes the place of
// shared/matrices.wgsl and of WGSL's functions.
var emulations = []struct{ from, to string }{
	{`(?m)^(enable|diagnostic).*\n`, ""},
	{`subgroupMatrixLoad<Left, row_major>\(&ws\[(.*?)\], (.*?), PITCH\)`, "left_at($1, $2)"},
	{`subgroupMatrixLoad<Right, col_major>\(&xs\[(.*?)\], (.*?), PITCH\)`, "right_at($1, $2)"},
	{`subgroupMatrixStore<col_major>\(&ps\[(.*?)\], 0u, (.*?), 16u\)`, "store_at($1, $2)"},
	{`\bf16\b`, "f32"},
	{`(?m)^  let subgroup = lane / 32u;`, "${0}\n  matrix_lane = lane % 32u;"},
}

// EmulateMatrices returns the text of a kernel of subgroup matrices as any device runs it. dir is that of package kernels.
func EmulateMatrices(tb testing.TB, k kernels.Kernel, dir string) string {
	tb.Helper()
	var pieces [2]string
	for i, name := range []string{"shared/matrices.wgsl", "testdata/matrices.wgsl"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			tb.Fatal(err)
		}
		pieces[i] = string(text)
	}
	if !strings.Contains(k.Source, pieces[0]) {
		tb.Fatalf("%s is not put together with subgroup matrices", k.Name)
	}
	text := strings.Replace(k.Source, pieces[0], pieces[1], 1)
	for _, e := range emulations {
		re := regexp.MustCompile(e.from)
		if !re.MatchString(text) {
			tb.Fatalf("%s has no %s", k.Name, e.from)
		}
		text = re.ReplaceAllString(text, e.to)
	}
	return text
}

// SubstituteMatrices has the kernels of subgroup matrices emulated until the test ends, unless the device can run them.
func SubstituteMatrices(tb testing.TB, runs func(k kernels.Kernel) bool, dir string) {
	tb.Helper()
	for _, name := range []string{"matmul_matrix", "matmul_matrix_experts"} {
		k, err := kernels.Specialize(name, nil)
		if err != nil {
			tb.Fatal(err)
		}
		if !runs(k) {
			tb.Cleanup(kernels.Substitute(name, EmulateMatrices(tb, k, dir)))
		}
	}
}
