package gputest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// What takes the place of the builtins of subgroups in kernels that are put together with shuffles.wgsl.
var shuffleBuiltins = [][2]string{
	{"enable subgroups;\n", ""},
	{"diagnostic(off, subgroup_uniformity);", ""},
	{",\n        @builtin(subgroup_size) size: u32, @builtin(subgroup_invocation_id) own: u32) {\n", ") {\n  let size = SIZE;\n  let own = index % SIZE;\n  shuffle_lane = index;\n"},
}

// SubstituteShuffles has attention_subgroups emulated until the test ends.
func SubstituteShuffles(tb testing.TB, dir string) {
	tb.Helper()
	const name = "attention_subgroups"
	tb.Cleanup(kernels.Substitute(name, EmulateShuffles(tb, name, dir)))
}

// EmulateShuffles returns the text of a kernel whose subgroups do no more than shuffle as any device runs it. dir is that of
// package kernels.
func EmulateShuffles(tb testing.TB, name, dir string) string {
	tb.Helper()
	replace := append([][2]string{}, shuffleBuiltins...)
	var versions [2]string
	for i, folder := range []string{"shared", "testdata"} {
		b, err := os.ReadFile(filepath.Join(dir, folder, "shuffles.wgsl"))
		if err != nil {
			tb.Fatal(err)
		}
		versions[i] = string(b)
	}
	text, err := kernels.Text(name)
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range append(replace, versions) {
		if strings.Count(text, r[0]) != 1 {
			tb.Fatalf("%s does not have %q once", name, r[0])
		}
		text = strings.Replace(text, r[0], r[1], 1)
	}
	return text
}
