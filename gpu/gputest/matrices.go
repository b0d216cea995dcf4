package gputest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// emulations turn a kernel of subgroup matrices into one that any device runs: pieces of testdata take the place of those of
// shared with their names, and of WGSL's functions.
var emulations = []struct {
	from, to string
	must     bool // every kernel has it
}{
	{`(?m)^(enable|diagnostic).*\n`, "", true},
	{`subgroupMatrixLoad<Left, row_major>\(&ws\[(.*?)\], (.*?), (\w+)\)`, "left_at($1, $2, $3)", false},
	{`subgroupMatrixLoad<Left, col_major>\(&ws\[(.*?)\], (.*?), (\w+)\)`, "left_by_columns($1, $2, $3)", false},
	{`subgroupMatrixLoad<Right, col_major>\(&[wx]s\[(.*?)\], (.*?), (\w+)\)`, "right_by_columns($1, $2, $3)", false},
	{`subgroupMatrixLoad<Right, row_major>\(&xs\[(.*?)\], (.*?), (\w+)\)`, "right_by_rows($1, $2, $3)", false},
	{`subgroupMatrixStore<col_major>\(&[pw]s\[(.*?)\], (.*?), (.*?), 16u\)`, "store_at($1, $2, $3)", false},
	{`subgroupMatrixStore<col_major>\(&[pw]s\[(.*?)\], (.*?), (.*?), SUM_PITCH\)`, "store_sums($1, $2, $3, SUM_PITCH)", false},
	{`\bf16\b`, "f32", false},
	{`(?m)^  let subgroup = lane / 32u.*`, "${0}\n  matrix_lane = lane % 32u;", true},
}

// emulatedPieces are the pieces that testdata has a counterpart of. Every kernel has one of the first two.
var emulatedPieces = []string{"matrices.wgsl", "matrices8.wgsl", "halves.wgsl", "stored.wgsl"}

// halvesInStorage declares matrices of activations that are loaded from a buffer.
const halvesInStorage = "xs: array<array<f16, 256>>"

// EmulateMatrices returns the text of a kernel of subgroup matrices as any device runs it. dir is that of package kernels.
func EmulateMatrices(tb testing.TB, name, dir string) string {
	tb.Helper()
	text, err := kernels.Text(name)
	if err != nil {
		tb.Fatal(err)
	}
	replaced := 0
	for i, piece := range emulatedPieces {
		var versions [2]string
		for v, folder := range []string{"shared", "testdata"} {
			b, err := os.ReadFile(filepath.Join(dir, folder, piece))
			if err != nil {
				tb.Fatal(err)
			}
			versions[v] = string(b)
		}
		if i < 2 {
			replaced += strings.Count(text, versions[0])
		}
		text = strings.Replace(text, versions[0], versions[1], 1)
	}
	if replaced != 1 {
		tb.Fatalf("%s is put together with %d of %v", name, replaced, emulatedPieces[:2])
	}
	if strings.Contains(text, halvesInStorage) { // which are read as words
		text = strings.NewReplacer(halvesInStorage, "xs: array<array<u32, 128>>", "xs[b.panel][b.at + k * b.k + n * b.n]",
			"unpack2x16float(xs[b.panel][(b.at + k * b.k + n * b.n) / 2u])[(b.at + k * b.k + n * b.n) % 2u]").Replace(text)
	}
	if !strings.Contains(text, " xs: ") { // all panels are of one array
		text = strings.NewReplacer("xs[", "ws[", "ps[", "ws[").Replace(text)
	}
	for _, e := range emulations {
		re := regexp.MustCompile(e.from)
		if e.must && !re.MatchString(text) {
			tb.Fatalf("%s has no %s", name, e.from)
		}
		text = re.ReplaceAllString(text, e.to)
	}
	if strings.Contains(text, "subgroupMatrix") {
		tb.Fatalf("%s uses subgroup matrices in a way that is not emulated", name)
	}
	return text
}

// SubstituteMatrices has the kernels of subgroup matrices emulated until the test ends, unless the device can run them.
func SubstituteMatrices(tb testing.TB, runs func(k kernels.Kernel) bool, dir string) {
	tb.Helper()
	for _, name := range []string{"matmul_matrix", "matmul_matrix_experts", "attention_matrix", "matvec_matrix", "matvec_int8", "matvec_slices", "gram_matrix"} {
		k, err := kernels.Specialize(name, nil)
		if err != nil {
			tb.Fatal(err)
		}
		if !runs(k) {
			tb.Cleanup(kernels.Substitute(name, EmulateMatrices(tb, name, dir)))
		}
	}
}
