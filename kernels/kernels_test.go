package kernels

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

const sample = `// A comment with const BITS: u32 = 9u; in it.
/* const BLOCK: u32 = 1u; /* nested */
@group(0) @binding(7) var<uniform> none: u32; */
const BITS: u32 = 4u;    // 8, 4 or 2
const BLOCK : u32=0x80u; const NOT_AT_LINE_START: u32 = 1u;
const EPS: f32 = 1e-5;
const NEG: i32 = -3i;
const FAST: bool = false;
const UNTYPED = 2;
const WORDS: u32 = BLOCK * BITS / 32u;
var<private> p: array<f32, 100>;
var<workgroup> tile: array<vec4<f32>, WORDS + 1>;
var<workgroup> sums: array<f32, 2u * (BITS - 1u)>;
var<workgroup> count: atomic<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(2)
var<storage> y: array<f32, WORDS>;
fn helper() {}
@compute @workgroup_size(BITS * 8u, 2)
fn entry(@builtin(global_invocation_id) id: vec3<u32>) { }
`

func TestParse(t *testing.T) {
	k, err := Parse("sample", sample, nil)
	if err != nil {
		t.Fatal(err)
	}
	if k.Source != sample || k.Key != "sample" || k.Name != "sample" || k.Entry != "entry" {
		t.Errorf("got %+v", k)
	}
	if want := []Binding{ReadStorage, Storage, ReadStorage, Uniform}; !slices.Equal(k.Bindings, want) {
		t.Errorf("bindings %v, want %v", k.Bindings, want)
	}
	if want := []uint64{16, 4, 64, 0}; !slices.Equal(k.MinSizes, want) {
		t.Errorf("least sizes %v, want %v", k.MinSizes, want)
	}
	if want := [3]uint32{32, 2, 1}; k.WorkgroupSize != want || k.Invocations() != 64 {
		t.Errorf("workgroup size %v", k.WorkgroupSize)
	}
	if want := 17*16 + 32 + 16; k.WorkgroupBytes != want { // 6 sums take 24 bytes, rounded up to 16
		t.Errorf("%d bytes of workgroup memory, want %d", k.WorkgroupBytes, want)
	}
}

func TestSpecializeConsts(t *testing.T) {
	k, err := Parse("sample", sample, Consts{
		"BITS": 8, "BLOCK": uint32(256), "EPS": float32(1e-6), "NEG": int32(-7), "FAST": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(sample, "\n")
	for line, text := range map[int]string{
		3: "const BITS: u32 = 8u;    // 8, 4 or 2",
		4: "const BLOCK : u32=256u; const NOT_AT_LINE_START: u32 = 1u;",
		5: "const EPS: f32 = 1e-06f;",
		6: "const NEG: i32 = -7i;",
		7: "const FAST: bool = true;",
	} {
		want[line] = text
	}
	if k.Source != strings.Join(want, "\n") {
		t.Errorf("source is\n%s", k.Source)
	}
	if k.Key != "sample/BITS=8/BLOCK=256/EPS=1e-06/FAST=true/NEG=-7" {
		t.Errorf("key %q", k.Key)
	}
	if k.WorkgroupSize[0] != 64 || k.WorkgroupBytes != 65*16+64+16 {
		t.Errorf("size %v, %d bytes", k.WorkgroupSize, k.WorkgroupBytes)
	}
	if again, err := Parse("sample", k.Source, Consts{"BITS": 4}); err != nil || again.WorkgroupSize[0] != 32 {
		t.Errorf("a specialized source cannot be parsed again: %v", err)
	}
}

func TestConstErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		v    any
		want string
	}{
		{"NOTHING", 1, "no constant NOTHING"},
		{"tile", 1, "no constant tile"},
		{"NOT_AT_LINE_START", 1, "no constant"},
		{"UNTYPED", 1, "has no type"},
		{"BITS", -1, "-1 (int) is not a valid u32"},
		{"BITS", int64(1) << 32, "is not a valid u32"},
		{"BITS", 4.0, "is not a valid u32"},
		{"BITS", "4", "is not a valid u32"},
		{"BITS", true, "is not a valid u32"},
		{"NEG", uint64(1) << 63, "is not a valid i32"},
		{"NEG", int64(1) << 31, "is not a valid i32"},
		{"EPS", math.NaN(), "is not a valid f32"},
		{"EPS", math.Inf(1), "is not a valid f32"},
		{"EPS", 1e300, "is not a valid f32"},
		{"FAST", 1, "is not a valid bool"},
	} {
		_, err := Parse("sample", sample, Consts{c.name: c.v})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s = %v: error %v, want %q", c.name, c.v, err, c.want)
		}
	}
}

const ending = "\n@compute @workgroup_size(1) fn main() { }\n"

func TestParseErrors(t *testing.T) {
	for src, want := range map[string]string{
		"":                      "0 @compute functions",
		ending + ending:         "2 @compute functions",
		"@compute fn main() {}": "no @workgroup_size",
		"@compute @workgroup_size(0) fn main() {}":                                                                  "not between",
		"@compute @workgroup_size(1,1,1,1) fn main() {}":                                                            "not understood",
		"@compute @workgroup_size(N) fn main() {}":                                                                  "N is not a constant",
		"@compute @workgroup_size(1":                                                                                "not understood",
		"@group(0) @binding(1) var<storage> a: array<u32>;" + ending:                                                "numbers 0 to 0",
		"@group(1) @binding(0) var<storage> a: array<u32>;" + ending:                                                "group 0",
		"@binding(0) @group(0) var<storage> a: array<u32>;" + ending:                                                "1 of its 1 bindings",
		"@group(0) @binding(0) var<storage, write> a: array<u32>;" + ending:                                         "want uniform or storage",
		"@group(0) @binding(0) var t: texture_2d<f32>;" + ending:                                                    "1 of its 1 bindings",
		"var<workgroup> a: array<u32>;" + ending:                                                                    "not understood",
		"var<workgroup> a: Params;" + ending:                                                                        "Params",
		"var<workgroup> a: array<u32, 0>;" + ending:                                                                 "0 elements",
		"var<workgroup> a: array<array<u32, 65536>, 65536>;" + ending:                                               "too large",
		"const N = N;\nvar<workgroup> a: array<u32, N>;" + ending:                                                   "too deeply",
		"const N = N + N;\nvar<workgroup> a: array<u32, N>;" + ending:                                               "too",
		"var<workgroup> a: array<u32, " + strings.Repeat("(", 1e5) + "1" + strings.Repeat(")", 1e5) + ">;" + ending: "too complex",
	} {
		if _, err := Parse("bad", src, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "bad") {
			t.Errorf("%.200q: error %.200v, want %q", src, err, want)
		}
	}
}

func TestEval(t *testing.T) {
	ev := newEvaluator("const A = 6u;\nconst B = A * 2u + 1u;\nconst C: i32 = -(3);\n")
	for expr, want := range map[string]int64{
		"1": 1, "0x1Fu": 31, "7i": 7, "A": 6, "B": 13, "C": -3, "-C": 3, "1 + 2 * 3": 7, "(1 + 2) * 3": 9,
		"7 - 2 - 1": 4, "17 / 5": 3, "17 % 5 * 2": 4, "-7 / 2": -3, "1u << 4u | 3u": 19, "255 & 0x3c >> 1": 30,
		"max(A, 4u) + min(A, 4u)": 10, "u32(B) - i32(A)": 7, " ( ( A ) ) ": 6, "4294967295": math.MaxUint32,
	} {
		if got, err := ev.eval(expr); err != nil || got != want {
			t.Errorf("%s = %d (%v), want %d", expr, got, err, want)
		}
	}
	for _, expr := range []string{
		"", "1 +", "(1", "1)", "1 2", "D", "1 / 0", "1 % (A - 6)", "1 << 32", "1 << -1", "4294967295 + 1", "65536 * 65536",
		"4294967296", "1.5", "09", "f(1)", "max(1)", "max(1, 2", "1 ? 2", "- -", "+1", "0x",
	} {
		if got, err := ev.eval(expr); err == nil {
			t.Errorf("%q = %d, want an error", expr, got)
		}
	}
}

func TestLayout(t *testing.T) {
	ev := newEvaluator("")
	for typ, want := range map[string]layout{
		"f32": {4, 4}, "u32": {4, 4}, "i32": {4, 4}, "bool": {4, 4}, "f16": {2, 2}, "atomic<i32>": {4, 4},
		"vec2<f32>": {8, 8}, "vec3<u32>": {12, 16}, "vec4<i32>": {16, 16}, "vec2f": {8, 8}, "vec3u": {12, 16}, "vec4h": {8, 8},
		"array<f32, 3>": {12, 4}, "array<vec3<f32>, 3>": {48, 16}, "array< array<vec2<f16>,4> , 2>": {32, 4},
		"array<vec4<u32>, (2 + 1) * 2>": {96, 16},
	} {
		if got, err := ev.layout(typ); err != nil || got != want {
			t.Errorf("%s: %v (%v), want %v", typ, got, err, want)
		}
	}
	for _, typ := range []string{"", "f64", "vec5<f32>", "vec2", "vec2x", "vec4<f32", "array<f32>", "array<f32, 1> x", "mat2x2<f32>", "array<S, 2>"} {
		if got, err := ev.layout(typ); err == nil {
			t.Errorf("%q: %v, want an error", typ, got)
		}
	}
}

// TestEveryKernel: each file, with its pieces, is a kernel within WebGPU's default limits; one for subgroup matrices, which runs where it
// fits alone, within those of the GPUs that have them.
func TestEveryKernel(t *testing.T) {
	names := Names()
	if len(names) == 0 || !slices.IsSorted(names) {
		t.Fatalf("kernels %v", names)
	}
	for _, name := range names {
		k, err := Specialize(name, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		most := 16 << 10
		if slices.Contains(k.Needs, "chromium_experimental_subgroup_matrix") {
			most = 48 << 10
		}
		if k.Key != name || len(k.Bindings) == 0 || k.WorkgroupBytes > most || k.Invocations() > 256 {
			t.Errorf("%s: %d bindings, %d bytes, workgroup %v", k.Key, len(k.Bindings), k.WorkgroupBytes, k.WorkgroupSize)
		}
	}
	if _, err := Specialize("no_such_kernel", nil); err == nil || !strings.Contains(err.Error(), "no_such_kernel") {
		t.Errorf("error %v", err)
	}
}

// TestAssemble: a kernel's own text comes first, so that lines keep their numbers; a missing piece is an error.
func TestAssemble(t *testing.T) {
	const opening, rest = "// mine: …\n// with %sshared/put.wgsl: put\n// with %sshared/shape.wgsl: Shape\n",
		"fn f() {}\n// with shared/nothing.wgsl: not in the opening comment\n"
	got, err := assemble(fmt.Sprintf(opening, "", "") + rest)
	if err != nil {
		t.Fatal(err)
	}
	pieces, ok := strings.CutPrefix(got, strings.ReplaceAll(opening, "%s", "(below) ")+rest)
	if put, shape := strings.Index(pieces, "fn put("), strings.Index(pieces, "struct Shape "); !ok || put < 0 || shape < put {
		t.Errorf("assembled:\n%s", got)
	}
	if again, err := assemble(got); err != nil || again != got {
		t.Errorf("assembled twice: %v", err)
	}
	for _, bad := range []string{"nothing.wgsl: x", "put.wgsl", "../norm.wgsl: x", ": x"} {
		if _, err := Parse("bad", "// with shared/"+bad+"\n"+ending, nil); err == nil || !strings.Contains(err.Error(), "kernel bad: ") || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
	if Version("matvec") == "" || Version("matvec") == Version("matvec_f16") || Version("no_such_kernel") != "" {
		t.Error("versions do not tell texts apart")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample, "BITS", uint32(4))
	f.Add("// with shared/shape.wgsl: Shape\n"+ending, "A", uint32(0))
	f.Add("const A: u32 = A + A;\nvar<workgroup> a: array<u32, A>;"+ending, "A", uint32(1))
	f.Add("const A: u32 = ((1));"+ending, "A", uint32(0))
	f.Add("/* /* */ const A: u32 = 1;"+ending, "A", uint32(1))
	f.Add("var<workgroup> a: array<array<u32, 2>, max(1, 2) << 3>;"+ending, "", uint32(0))
	f.Fuzz(func(t *testing.T, src, name string, v uint32) {
		k, err := Parse("fuzz", src, nil)
		if err != nil {
			return
		}
		if k.WorkgroupBytes < 0 || k.Invocations() < 1 || len(k.MinSizes) != len(k.Bindings) || k.Entry == "" {
			t.Errorf("%q: %+v", src, k)
		}
		k, err = Parse("fuzz", src, Consts{name: v})
		if err != nil {
			return
		}
		if again, err := Parse("fuzz", k.Source, Consts{name: v}); err != nil || again.Source != k.Source || !strings.Contains(k.Source, fmt.Sprint(v)) {
			t.Errorf("%q with %s = %d: specializing twice is not the same: %v", src, name, v, err)
		}
	})
}
