package kernels_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

var (
	lintComment = regexp.MustCompile(`//.*`)
	lintConst   = regexp.MustCompile(`(?m)^const ([A-Z][A-Z0-9_]*): (u32|i32|f32|bool) = ([^;\n]+);`)
	lintNumber  = regexp.MustCompile(`^-?[0-9][0-9.e+-]*[uif]?$`)
	// What either compiler refuses, or a device may not have.
	lintForeign = regexp.MustCompile(`\b(enable|requires|diagnostic|override|const_assert|alias|f16|vec[234]h|subgroup\w*|quad[A-Z]\w*|` +
		`(un)?pack4x[IU]8\w*|pack4xU8Clamp|dot4[IU]8Packed)\b|@(id|must_use|diagnostic)\b|ptr<\s*(storage|workgroup)|/\*`)
)

func readKernel(t *testing.T, name string) string {
	t.Helper()
	src, err := os.ReadFile(name + ".wgsl")
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

// literals returns the constants of a kernel, or those named, that are given a number: what Go
// may set. The others are computed from them.
func literals(t *testing.T, name string, only ...string) kernels.Consts {
	t.Helper()
	c := kernels.Consts{}
	for _, m := range lintConst.FindAllStringSubmatch(readKernel(t, name), -1) {
		if len(only) > 0 && m[1] != only[0] || !lintNumber.MatchString(m[3]) {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimRight(m[3], "uif"), 32)
		if err != nil {
			t.Fatalf("%s: constant %s: %v", name, m[1], err)
		}
		if m[2] == "f32" {
			c[m[1]] = float32(v)
		} else {
			c[m[1]] = int64(v)
		}
	}
	return c
}

// long are the kernels that may have more than 119 lines, and how many.
var long = map[string]int{
	"matvec": 205, "matvec_batch": 260, "matvec_subgroups": 205, "matvec_dot4": 230, "matvec_f16": 160, "matmul": 165, "attention": 145, "attention_split": 150,
}

// foreign is what of lintForeign a kernel may use that enables or requires a feature.
var foreign = map[string]string{
	"f16": `enable|f16|vec[234]h`, "subgroups": `enable|subgroup\w*`,
	"packed_4x8_integer_dot_product": `requires|pack4x\w*|dot4[IU]8Packed`,
}

// TestLint holds every kernel file to the form that docs and compilers expect of it.
func TestLint(t *testing.T) {
	for _, name := range kernels.Names() {
		t.Run(name, func(t *testing.T) {
			src := readKernel(t, name)
			lines := strings.Split(strings.TrimSuffix(src, "\n"), "\n")
			if !strings.HasPrefix(src, "// "+name+": ") {
				t.Errorf("it opens with %q: want // %s: and what it computes", lines[0], name)
			}
			if most := max(119, long[name]); len(lines) > most {
				t.Errorf("it has %d lines: want at most %d", len(lines), most)
			}
			k, err := kernels.Specialize(name, nil)
			if err != nil {
				t.Fatal(err)
			}
			own := regexp.MustCompile(`^$`)
			for _, need := range k.Needs {
				own = regexp.MustCompile(own.String() + `|^(` + foreign[need] + `)$`)
			}
			typed := map[string]bool{}
			for i, line := range lines {
				code := lintComment.ReplaceAllString(line, "")
				if m := lintForeign.FindString(code); m != "" && !own.MatchString(m) {
					t.Errorf("line %d: %q is not in the dialect that every device has", i+1, m)
				}
				if m := lintConst.FindStringSubmatch(line); m != nil {
					typed[m[1]] = true
				} else if regexp.MustCompile(`\bconst\b`).MatchString(code) {
					t.Errorf("line %d: %s: want a line of its own at the top: const NAME: type = value;", i+1, code)
				}
				if strings.TrimRight(line, " \t") != line || strings.Contains(line, "\t") || strings.Contains(code, "}  ") {
					t.Errorf("line %d: stray white space", i+1)
				}
			}
			lintUse(t, src, typed)
			lintSpecialize(t, name)
		})
	}
}

// lintUse: a constant that nothing reads would be set in vain.
func lintUse(t *testing.T, src string, names map[string]bool) {
	t.Helper()
	code := lintComment.ReplaceAllString(src, "")
	for name := range names {
		if len(regexp.MustCompile(`\b`+name+`\b`).FindAllString(code, 2)) < 2 {
			t.Errorf("constant %s is not used", name)
		}
	}
}

// lintSpecialize sets every number to the value it has, all at once, and finds them there again.
func lintSpecialize(t *testing.T, name string) {
	t.Helper()
	c := literals(t, name)
	if len(c) == 0 {
		t.Fatal("it has no constants")
	}
	k, err := kernels.Specialize(name, c)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range lintConst.FindAllStringSubmatch(k.Source, -1) {
		want, ok := c[m[1]]
		if !ok {
			continue
		}
		found++
		got, err := strconv.ParseFloat(strings.TrimRight(m[3], "uif"), 32)
		switch w := want.(type) {
		case float32:
			if err != nil || math.Float32bits(float32(got)) != math.Float32bits(w) {
				t.Errorf("constant %s became %s, want %v", m[1], m[3], w)
			}
		case int64:
			if err != nil || int64(got) != w {
				t.Errorf("constant %s became %s, want %v", m[1], m[3], w)
			}
		}
	}
	if found != len(c) {
		t.Errorf("%d of %d constants were found again", found, len(c))
	}
}

// TestSameText: WGSL has no include, so kernels repeat what they have in common. It is to stay the same.
func TestSameText(t *testing.T) {
	part := func(name, from, to string) string {
		src := readKernel(t, name)
		i := strings.Index(src, from)
		j := strings.Index(src[max(i, 0):], to)
		if i < 0 || j < 0 {
			t.Fatalf("%s has no text from %q to %q", name, from, to)
		}
		return src[i : i+j]
	}
	const loop, quad, total, store, main = "\n  for (var v = lane;", "// quad returns", "// total returns", "// store ends", "@compute"
	if part("matvec", loop, "\n  for (var k = 0u; k < PARTS") != part("matvec_subgroups", loop, "\n  let own") {
		t.Error("the loops of matvec and matvec_subgroups differ")
	}
	if part("matvec", quad, total) != part("matvec_subgroups", quad, total) {
		t.Error("quad of matvec and matvec_subgroups differ")
	}
	for _, name := range []string{"matvec_batch", "matvec_subgroups", "matvec_dot4", "matvec_f16"} {
		if part("matvec", store, main) != part(name, store, main) {
			t.Errorf("store of matvec and %s differ", name)
		}
	}
	for _, name := range []string{"matvec_dot4", "matvec_f16"} {
		if part("matvec", total, store) != part(name, total, store) {
			t.Errorf("total of matvec and %s differ", name)
		}
		const tail = "\n  if (NORM == 1u) {\n    for"
		if part("matvec", tail, "up to a whole vec4") != part(name, tail, "up to a whole vec4") {
			t.Errorf("what comes after the loop differs between matvec and %s", name)
		}
	}
}
