package kernels_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

var (
	mainStart     = regexp.MustCompile(`(?s)fn main\([^{]*?@builtin\(local_invocation_index\) (\w+): u32[^{]*?\) \{\n`)
	workgroupVars = regexp.MustCompile(`(?m)^var<workgroup> (\w+): (.*?);`)
	arrayType     = regexp.MustCompile(`^array<(.*), (\w+)>$`)
)

// leftovers are what each type of element is filled with: NaN, in integers its bits. A compiler does not know that the private
// variable stays as it is.
var leftovers = map[string]string{
	"f32":       "%s = bitcast<f32>(leftover);",
	"vec2<f32>": "%s = vec2<f32>(bitcast<f32>(leftover));",
	"vec4<f32>": "%s = vec4<f32>(bitcast<f32>(leftover));",
	"f16":       "%s = f16(bitcast<f32>(leftover));",
	"u32":       "%s = leftover;",
	"i32":       "%s = i32(leftover);",

	"atomic<u32>": "atomicStore(&%s, leftover);",
}

// uncleared has a kernel begin with workgroup memory full of NaN: drivers can be told not to clear it. A kernel without any stays as
// it is.
func uncleared(t testing.TB, k kernels.Kernel) kernels.Kernel {
	t.Helper()
	vars := workgroupVars.FindAllStringSubmatch(k.Source, -1)
	if len(vars) != strings.Count(k.Source, "\nvar<workgroup>") {
		t.Fatalf("%s: not all declarations of its workgroup memory are understood", k.Key)
	}
	if len(vars) == 0 {
		return k
	}
	at := mainStart.FindStringSubmatchIndex(k.Source)
	if at == nil {
		t.Fatalf("%s: main does not know which thread it is", k.Key)
	}
	lane := k.Source[at[2]:at[3]]
	var fill strings.Builder
	for _, v := range vars {
		fill.WriteString(leftoverOf(t, k, lane, v[1], v[2]))
	}
	k.Source = k.Source[:at[1]] + fill.String() + "  workgroupBarrier();\n" + k.Source[at[1]:] + "\nvar<private> leftover: u32 = 0x7fc00000u;\n"
	k.Key += "/uncleared"
	return k
}

// leftoverOf is the statement by which the threads of a workgroup fill a variable together.
func leftoverOf(t testing.TB, k kernels.Kernel, lane, name, of string) string {
	t.Helper()
	var sizes []string
	for m := arrayType.FindStringSubmatch(of); m != nil; m = arrayType.FindStringSubmatch(of) {
		of, sizes = m[1], append(sizes, "u32("+m[2]+")")
	}
	set := leftovers[of]
	if set == "" {
		t.Fatalf("%s: workgroup memory of %s: say what it is filled with", k.Key, of)
	}
	if sizes == nil {
		return fmt.Sprintf("  if (%s == 0u) { %s }\n", lane, fmt.Sprintf(set, name))
	}
	element := name
	for i, size := range sizes {
		element += fmt.Sprintf("[leftover_at%s %% %s]", strings.Join(append([]string{""}, sizes[i+1:]...), " / "), size)
	}
	return fmt.Sprintf("  for (var leftover_at = %s; leftover_at < %s; leftover_at += %du) { %s }\n", lane, strings.Join(sizes, " * "), k.Invocations(), fmt.Sprintf(set, element))
}

// TestUncleared runs a kernel that reports what it finds in memory of every kind: what it is filled with, in every element.
func TestUncleared(t *testing.T) {
	const source = `// leftovers: what is in workgroup memory that nobody has written.
const LANES: u32 = 8u;
const ROWS: u32 = 5u;
var<workgroup> floats: array<array<f32, 3>, ROWS>; // more elements than threads
var<workgroup> vectors: array<vec4<f32>, 2>;
var<workgroup> pairs: array<array<array<vec2<f32>, 2>, ROWS>, 2>;
var<workgroup> words: array<u32, 9>;
var<workgroup> ints: array<i32, LANES>;
var<workgroup> one: atomic<u32>;
@group(0) @binding(0) var<storage, read_write> found: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  if (lane > 0u) { return; }
  for (var i = 0u; i < 15u; i++) { found[i] = bitcast<u32>(floats[i / 3u][i % 3u]); }
  for (var i = 0u; i < 8u; i++) { found[15u + i] = bitcast<u32>(vectors[i / 4u][i % 4u]); }
  for (var i = 0u; i < 40u; i++) { found[23u + i] = bitcast<u32>(pairs[i / 20u][i / 4u % ROWS][i / 2u % 2u][i % 2u]); }
  for (var i = 0u; i < 9u; i++) { found[63u + i] = words[i]; }
  for (var i = 0u; i < LANES; i++) { found[72u + i] = u32(ints[i]); }
  found[80] = atomicLoad(&one);
}
`
	k, err := kernels.Parse("leftovers", source, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := make([]uint32, 81)
	launchPlain(t, k, 1, 1, found)
	for i, word := range found {
		if word != 0x7fc00000 {
			t.Errorf("element %d is %#x", i, word)
		}
	}
}
