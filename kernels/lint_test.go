package kernels_test

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

var (
	lintComment = regexp.MustCompile(`//.*`)
	lintConst   = regexp.MustCompile(`(?m)^const ([A-Z][A-Z0-9_]*): (u32|i32|f32|bool) = ([^;\n]+);`)
	lintDecl    = regexp.MustCompile(`(?m)^(?:@group.*)?(?:const|fn|struct|alias|var<[^>]*>|var) +(\w+)`)
	lintNumber  = regexp.MustCompile(`^-?[0-9][0-9.e+-]*[uif]?$`)
	// What one of the compilers refuses, or a device may lack.
	lintForeign = regexp.MustCompile(`\b(enable|requires|diagnostic|override|const_assert|alias|f16|vec[234]h|subgroup\w*|quad[A-Z]\w*|` +
		`(un)?pack4x[IU]8\w*|pack4xU8Clamp|dot4[IU]8Packed)\b|@(id|must_use|diagnostic)\b|ptr<\s*(storage|workgroup)|/\*`)
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

// assembled returns a kernel's text followed by its shared pieces.
func assembled(t *testing.T, name string) string {
	t.Helper()
	k, err := kernels.Specialize(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k.Source
}

// literals returns the constants of a kernel, or those named, whose values are numbers: those that Go
// may set. The others are computed from them.
func literals(t *testing.T, name string, only ...string) kernels.Consts {
	t.Helper()
	c := kernels.Consts{}
	for _, m := range lintConst.FindAllStringSubmatch(assembled(t, name), -1) {
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

// long lists the kernels that may have more than 119 lines, and how many.
var long = map[string]int{"matvec_batch": 210, "matmul": 150, "attention": 140, "attention_matrix": 165, "attention_subgroups": 225}

// foreign is the part of lintForeign that a kernel may use if it enables or requires a feature.
var foreign = map[string]string{
	"f16": `enable|f16|vec[234]h`, "subgroups": `enable|diagnostic|subgroup\w*`,
	"packed_4x8_integer_dot_product":        `requires|pack4x\w*|dot4[IU]8Packed`,
	"chromium_experimental_subgroup_matrix": `enable|diagnostic|alias|subgroup\w*`,
}

// TestLint checks the form of every kernel: what docs promise and compilers need.
func TestLint(t *testing.T) {
	for _, name := range kernels.Names() {
		t.Run(name, func(t *testing.T) {
			lintFile(t, name, readFile(t, name+".wgsl"), max(119, long[name]))
			lintPieces(t, name)
			lintDialect(t, name)
			lintUse(t, assembled(t, name))
			lintSpecialize(t, name)
		})
	}
}

// TestLintShared: a shared piece says what it is for, and some kernel is put together with it.
func TestLintShared(t *testing.T) {
	paths, err := filepath.Glob("shared/*.wgsl")
	if err != nil || len(paths) == 0 {
		t.Fatalf("shared pieces: %v, %v", paths, err)
	}
	var all strings.Builder
	for _, name := range kernels.Names() {
		all.WriteString(readFile(t, name+".wgsl"))
	}
	for _, path := range paths {
		lintFile(t, path, readFile(t, path), 119)
		if !strings.Contains(all.String(), "// with "+filepath.ToSlash(path)+": ") {
			t.Errorf("%s: no kernel is put together with it", path)
		}
	}
}

// lintFile checks the form of one file: how it opens, its length, its white space, its constants.
func lintFile(t *testing.T, name, src string, most int) {
	t.Helper()
	base := strings.TrimSuffix(filepath.Base(name), ".wgsl")
	lines := strings.Split(strings.TrimSuffix(src, "\n"), "\n")
	if !strings.HasPrefix(src, "// "+base+": ") && !strings.HasPrefix(src, "// "+base+" ") {
		t.Errorf("%s opens with %q: want // %s and what it computes", name, lines[0], base)
	}
	if len(lines) > most {
		t.Errorf("%s has %d lines: want at most %d", name, len(lines), most)
	}
	for i, line := range lines {
		code := lintComment.ReplaceAllString(line, "")
		if regexp.MustCompile(`\bconst\b`).MatchString(code) && !lintConst.MatchString(line) {
			t.Errorf("%s, line %d: %s: want a line of its own at the top: const NAME: type = value;", name, i+1, code)
		}
		if strings.TrimRight(line, " \t") != line || strings.Contains(line, "\t") || strings.Contains(code, "}  ") {
			t.Errorf("%s, line %d: stray white space", name, i+1)
		}
	}
}

// lintPieces compares the names that a kernel lists for each shared piece with those that the piece declares.
func lintPieces(t *testing.T, name string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^// with (shared/\w+\.wgsl): (.*)$`).FindAllStringSubmatch(readFile(t, name+".wgsl"), -1) {
		var names []string
		for _, d := range lintDecl.FindAllStringSubmatch(readFile(t, m[1]), -1) {
			names = append(names, d[1])
		}
		if want := strings.Join(names, ", "); m[2] != want {
			t.Errorf("it lists %[2]q for %[1]s, which declares %[3]q", m[1], m[2], want)
		}
	}
}

// lintDialect: a kernel may use what every device has, and what it enables or requires.
func lintDialect(t *testing.T, name string) {
	t.Helper()
	k, err := kernels.Specialize(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	own := regexp.MustCompile(`^$`)
	for _, need := range k.Needs {
		own = regexp.MustCompile(own.String() + `|^(` + foreign[need] + `)$`)
	}
	code := lintComment.ReplaceAllString(k.Source, "")
	for _, m := range lintForeign.FindAllString(code, -1) {
		if !own.MatchString(m) {
			t.Errorf("%q is not in the dialect that every device has", m)
		}
	}
}

// lintUse finds constants that nothing reads and functions that nothing calls.
func lintUse(t *testing.T, src string) {
	t.Helper()
	code := lintComment.ReplaceAllString(src, "")
	for _, d := range lintDecl.FindAllStringSubmatch(code, -1) {
		if strings.HasPrefix(d[0], "@group") {
			continue // interchangeable kernels bind the same, used or not
		}
		if len(regexp.MustCompile(`\b`+d[1]+`\b`).FindAllString(code, 2)) < 2 && d[1] != "main" {
			t.Errorf("%s is not used", d[1])
		}
	}
}

// lintSpecialize sets every number to its own value, all at once, and expects to find the same values.
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
