package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// tree writes files below a temporary directory and makes it the working directory.
func tree(t *testing.T, all files) string {
	t.Helper()
	dir := t.TempDir()
	if err := all.write(dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	return dir
}

func small() files {
	return files{
		"LICENSE":                                  []byte("terms"),
		"gpu/backend.js":                           []byte("// What it does.\n(() => 1)()\n"),
		"web/src/a.ts":                             []byte("import { b } from './b.js';\nexport const a: number = b;\n"),
		"web/src/b.ts":                             []byte("export const b = 2;\n"),
		"web/src/jinja.d.ts":                       []byte("export class Template {}\n"),
		"web/page/app.ts":                          []byte("import { b } from '../src/b.js';\nconst x = await import('./llama-webgpu/a.js');\nconsole.log(x.a + b, import('./markdown.js'));\n"),
		"web/page/index.html":                      []byte("<p>\n\n  a\n  <b>b</b>\n"),
		"web/page/markdown.ts":                     []byte("import { Lexer } from 'marked';\nexport const lex = new Lexer();\n"),
		"web/page/measure.ts":                      []byte("export const measured = 1;\n"),
		"web/page/math.ts":                         []byte("import temml from 'temml';\nexport const draw = temml.render;\n"),
		"web/third_party/temml/LICENSE":            []byte("Temml's terms\n"),
		"web/third_party/temml/temml.min.js":       []byte("var temml = { render: () => 'draws formulas' };\n"),
		"web/page/sw.ts":                           []byte("declare const files: string[];\nconsole.log(files);\nexport {};\n"),
		"web/page/install.json":                    []byte("{}"),
		"web/page/settings.html":                   []byte("<p>s\n"),
		"web/page/measure.html":                    []byte("<p>m\n"),
		"web/page/styles/measure.css":              []byte("i { color: red }\n"),
		"web/page/styles/media.css":                []byte("@media print { i { color: red } }\n"),
		"web/page/styles/settings.css":             []byte("u { color: red }\n"),
		"web/page/preferences.ts":                  []byte("export const drawer = 1;\n"),
		"web/page/files.ts":                        []byte("export const read = 1;\n"),
		"web/page/shortcuts.ts":                    []byte("export const keys = 1;\n"),
		"web/page/styles/style.css":                []byte("@import './more.css';\np { color: red }\n"),
		"web/page/styles/more.css":                 []byte("b { color: blue }\n"),
		"web/page/highlight.ts":                    []byte("import core from 'highlight.js/lib/core';\nexport const color = core.highlight;\n"),
		"web/third_party/marked/LICENSE":           []byte("Marked's terms\n"),
		"web/third_party/marked/marked.esm.js":     []byte("export class Lexer { name = 'reads Markdown'; }\n"),
		"web/third_party/highlight.js/LICENSE":     []byte("Highlight's terms\n"),
		"web/third_party/highlight.js/lib/core.js": []byte("module.exports = { highlight: () => 'finds colors' };\n"),
		"web/page/icon.svg":                        []byte("<svg/>"),
		"web/" + jinja + "/LICENSE":                []byte("Their terms\n"),
		"web/" + jinja + "/index.js":               []byte("export class Template { render() { return 'unique text'; } }\nexport class Environment {}\nexport class Interpreter {}\nexport const unused = 'left out';\n"),
	}
}

// TestServiceWorker puts the names of the files in front of the script, and a version that changes with any of them.
func TestServiceWorker(t *testing.T) {
	of := func(app string) string {
		script, err := serviceWorker(files{"sw.js": []byte("work();\n"), "index.html": []byte("page"), "app.js": []byte(app), "llama-webgpu/llama-webgpu.wasm.gz": []byte("wasm")})
		if err != nil {
			t.Fatal(err)
		}
		return string(script)
	}
	script := of("a")
	if !strings.HasPrefix(script, `const files = ["app.js","index.html","llama-webgpu/llama-webgpu.wasm"];`+"\nconst version = \"") || !strings.HasSuffix(script, "\";\nwork();\n") {
		t.Errorf("the script is %q", script)
	}
	if of("a") != script || of("b") == script {
		t.Error("the script is another for the same files, or the same for others")
	}
}

// TestScripts builds the scripts of a small package and page.
func TestScripts(t *testing.T) {
	tree(t, small())
	pkg, err := packageScripts("web", "gpu/backend.js")
	if err != nil {
		t.Fatal(err)
	}
	page, err := pageFiles("web")
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(pkg)); !slices.Equal(names, []string{"a.js", "b.js", "backend.js", "jinja.js"}) {
		t.Errorf("the package is %v", names)
	}
	if names := slices.Sorted(maps.Keys(page)); !slices.Equal(names, []string{"app.js", "files.js", "highlight.js", "icon.svg", "index.html", "install.json", "markdown.js", "math.js", "measure.css", "measure.html", "measure.js", "media.css", "preferences.js", "settings.css", "settings.html", "shortcuts.js", "style.css", "sw.js"}) {
		t.Errorf("the page is %v", names)
	}
	if want := "import { b } from \"./b.js\";\nconst a = b;\nexport {\n  a\n};\n"; string(pkg["a.js"]) != want {
		t.Errorf("a.js is %q, want %q", pkg["a.js"], want)
	}
	if want := "export const backend = (() => 1)();\n"; string(pkg["backend.js"]) != want {
		t.Errorf("backend.js is %q, want %q", pkg["backend.js"], want)
	}
	bundled := string(pkg["jinja.js"])
	if !strings.HasPrefix(bundled, "/*! @huggingface/jinja\n\nTheir terms\n*/") || !strings.Contains(bundled, "unique text") || strings.Contains(bundled, "left out") {
		t.Errorf("jinja.js is %q", bundled)
	}
	if app := string(page["app.js"]); !strings.Contains(app, `import("./llama-webgpu/a.js")`) || !strings.Contains(app, `import("./markdown.js")`) || !strings.Contains(app, "a+2") {
		t.Errorf("app.js is %q: it must contain what it imports, and load the package and the other scripts", app)
	}
	if html := string(page["index.html"]); html != "<p>\na\n<b>b</b>\n" {
		t.Errorf("index.html is %q", html)
	}
	if script := string(page["highlight.js"]); !strings.HasPrefix(script, "/*! highlight.js\n\nHighlight's terms\n*/") || !strings.Contains(script, "finds colors") {
		t.Errorf("highlight.js is %q", script)
	}
	if script := string(page["math.js"]); !strings.HasPrefix(script, "/*! temml\n\nTemml's terms\n*/") || !strings.Contains(script, "draws formulas") {
		t.Errorf("math.js is %q", script)
	}
	if script := string(page["markdown.js"]); !strings.HasPrefix(script, "/*! marked\n\nMarked's terms\n*/") || !strings.Contains(script, "reads Markdown") {
		t.Errorf("markdown.js is %q", script)
	}
	if style := string(page["style.css"]); style != "b{color:#00f}p{color:red}\n" {
		t.Errorf("style.css is %q", style)
	}
}

// TestWorker checks that the Worker's script contains what it imports, neither is a module nor knows its own address,
// and is the text of worker-code.js.
func TestWorker(t *testing.T) {
	all := small()
	all["web/src/worker-thread.ts"] = []byte("import { a } from './a.js';\nimport { goFor } from './wasm_exec.js';\npostMessage([a, goFor, new URL('./x.wasm', import.meta.url)]);\n")
	tree(t, all)
	pkg, err := packageScripts("web", "gpu/backend.js")
	if err != nil {
		t.Fatal(err)
	}
	if err := bundleWorker("web", pkg); err == nil || !strings.Contains(err.Error(), "the package has no wasm_exec.js") {
		t.Errorf("without a module: %v", err)
	}
	pkg["wasm_exec.js"] = []byte("export const goFor = 'starts it';\n")
	if err := bundleWorker("web", pkg); err != nil {
		t.Fatal(err)
	}
	script, code := string(pkg["worker-thread.js"]), string(pkg["worker-code.js"])
	for _, module := range []string{"import", "export"} {
		if strings.Contains(script, module) {
			t.Errorf("worker-thread.js is %q: it contains %q", script, module)
		}
	}
	if !strings.Contains(script, "starts it") {
		t.Errorf("worker-thread.js is %q: it lacks what it imports", script)
	}
	var text string
	value := strings.TrimSuffix(strings.TrimPrefix(code, "export const workerCode = "), ";\n")
	if err := json.Unmarshal([]byte(value), &text); err != nil || text != script {
		t.Errorf("worker-code.js is %q: %v", code, err)
	}
}

// TestErrors checks that an error names the file at fault.
func TestErrors(t *testing.T) {
	cases := map[string]struct {
		file, text, want string
	}{
		"a script that cannot be parsed": {"web/src/b.ts", "export const b = ;\n", "src/b.ts:1:17"},
		"a page that imports nothing":    {"web/page/app.ts", "import '../src/c.js';\n", "page/app.ts:1:7"},
		"another kind of backend":        {"gpu/backend.js", "function f() {}\n", "gpu/backend.js"},
		"a library without what is used": {"web/" + jinja + "/index.js", "export const other = 1;\n", `"Template"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			all := small()
			all[c.file] = []byte(c.text)
			tree(t, all)
			_, err := packageScripts("web", "gpu/backend.js")
			if err == nil {
				_, err = pageFiles("web")
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: want an error that contains %q", err, c.want)
			}
		})
	}
	t.Run("another directory", func(t *testing.T) {
		t.Chdir(t.TempDir())
		if err := run("go", "site", "dist"); err == nil || !strings.Contains(err.Error(), "root of the module") {
			t.Errorf("%v", err)
		}
	})
}

// TestWithoutComments keeps the marks that package kernels reads, and all lines.
func TestWithoutComments(t *testing.T) {
	kernel := "// k: y = x.\n// with shared/put.wgsl: put\nconst N: u32 = 4u; // of them\n\nfn f() {\n  for (;;) { // unroll\n  } // the end\n  // what\n}\n"
	want := "//\n// with shared/put.wgsl:\nconst N: u32 = 4u;\n\nfn f() {\nfor (;;) { // unroll\n}\n\n}\n"
	if got := string(withoutComments([]byte(kernel))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestKernelsWithoutComments compares the kernels as the WebAssembly has them with those in the repository: all of
// their code, and what package kernels reads in comments, is there.
func TestKernelsWithoutComments(t *testing.T) {
	t.Chdir("../../..")
	dir, left := t.TempDir(), 0
	if _, err := writeOverlay(dir, map[string]string{}); err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Glob("kernels/*.wgsl")
	if err != nil {
		t.Fatal(err)
	}
	shared, err := filepath.Glob("kernels/shared/*.wgsl")
	if err != nil || len(own) < 20 || len(shared) == 0 {
		t.Fatalf("%d kernels, %d shared pieces, %v", len(own), len(shared), err)
	}
	for _, name := range append(own, shared...) {
		before, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(after) == "//\n" { // see TestUnused
			left++
			continue
		}
		b, a := strings.Split(string(before), "\n"), strings.Split(string(after), "\n")
		if len(b) != len(a) {
			t.Fatalf("%s: %d lines, want %d", name, len(a), len(b))
		}
		for i := range b {
			code, words, _ := strings.Cut(b[i], "//")
			want := strings.TrimSpace(code)
			switch {
			case strings.HasPrefix(words, " with "):
				file, _, _ := strings.Cut(words, ":")
				want = "//" + file + ":"
			case strings.HasPrefix(words, " unroll"), strings.HasPrefix(words, " if "):
				want = strings.TrimSpace(b[i])
			}
			switch {
			case want != strings.TrimSuffix(a[i], "//"):
				t.Errorf("%s:%d: %q, which was %q", name, i+1, a[i], b[i])
			case strings.HasPrefix(b[i], "//") && !strings.HasPrefix(a[i], "//"):
				t.Errorf("%s:%d: %q is no comment any more, as %q was", name, i+1, a[i], b[i])
			}
		}
	}
	if left < len(unusedKernels) || left > 3*len(unusedKernels) {
		t.Errorf("%d texts are left out, of %d kernels and pieces of theirs", left, len(unusedKernels))
	}
}

// TestUnused leaves out kernels that are never asked for with their own pieces, and no program for the browser asks for them: they are
// named only where calibration is, and where products are divided natively.
func TestUnused(t *testing.T) {
	texts := files{
		"kernels/gram.wgsl": []byte("//\n// with shared/a.wgsl:\n// with shared/b.wgsl:\n"), "kernels/k.wgsl": []byte("//\n// with shared/b.wgsl:\n"),
		"kernels/shared/a.wgsl": nil, "kernels/shared/b.wgsl": nil, "gpu/backend.js": nil,
	}
	if got := slices.Sorted(slices.Values(unused(texts))); !slices.Equal(got, []string{"kernels/gram.wgsl", "kernels/shared/a.wgsl"}) {
		t.Errorf("left out: %q", got)
	}
	t.Chdir("../../..")
	allowed := []string{"gpu/calibrate/", "gpu/gputest/", "gpu/graph/slices.go", "gpu/graph/addends.go"}
	for _, name := range unusedKernels {
		if _, err := os.Stat("kernels/" + name + ".wgsl"); err != nil {
			t.Error(err)
		}
		for _, dir := range []string{"gpu", "llm", "cmd/wasm"} {
			err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
				if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
					return err
				}
				text, err := os.ReadFile(path)
				path = filepath.ToSlash(path)
				if strings.Contains(string(text), strconv.Quote(name)) && !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(path, a) }) {
					t.Errorf("%s names %s, which the WebAssembly leaves out", path, name)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestKernelsWithoutIndent finds that package kernels reads and unrolls a kernel without indentation just as it does with it.
func TestKernelsWithoutIndent(t *testing.T) {
	read := func(name string, text []byte) kernels.Kernel {
		k, err := kernels.Parse(name, string(text), nil)
		if err == nil {
			k, err = k.Unrolled()
		}
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(k.Source) {
			code, _, _ := strings.Cut(line, "//")
			if code = strings.TrimSpace(code); code != "" {
				lines = append(lines, code)
			}
		}
		k.Source = strings.Join(lines, "\n")
		return k
	}
	for _, name := range []string{"matvec", "matvec_int8", "matmul", "attention", "attention_split", "rope", "recall", "repack"} {
		text, err := os.ReadFile(filepath.Join("../../../kernels", name+".wgsl"))
		if err != nil {
			t.Fatal(err)
		}
		if want, got := read(name, text), read(name, withoutComments(text)); !reflect.DeepEqual(want, got) {
			t.Errorf("%s is read as\n%+v, not\n%+v", name, got, want)
		}
	}
}

// TestWrite checks that what a former build has left goes, and that types that tsc has written stay.
func TestWrite(t *testing.T) {
	dir := tree(t, small())
	before := files{
		"dist/a.d.ts": []byte("types"), "dist/gone.d.ts": []byte("types"), "dist/gone.js": []byte("script"), "dist/loader.jsx": []byte("script"),
		"site/gone.js": []byte("script"),
	}
	if err := before.write(dir); err != nil {
		t.Fatal(err)
	}
	pkg := files{"a.js": []byte("script"), "worker.js": []byte("script"), "node.js": []byte("for Node"), "jinja.js": []byte("library")}
	for range 2 {
		if err := writeDist("dist", pkg, []byte("wasm")); err != nil {
			t.Fatal(err)
		}
		if err := writeSite("site/", files{"index.html": []byte("page")}, pkg, []byte("wasm")); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"dist/a.d.ts", "dist/a.js", "dist/jinja.d.ts", "dist/jinja.js", "dist/llama-webgpu.wasm", "dist/node.js",
		"dist/worker.js", "dist/worker.jsx",
		"site/index.html", "site/sw.js", "site/llama-webgpu/a.js", "site/llama-webgpu/jinja.js", "site/llama-webgpu/llama-webgpu.wasm.gz",
		"site/llama-webgpu/worker.js",
	}
	var got []string
	for _, pattern := range []string{"dist*/*", "site*/*.*", "site*/*/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			got = append(got, filepath.ToSlash(name))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("after two builds there are\n%v, want\n%v", got, want)
	}
	if license, err := os.ReadFile("web/LICENSE"); string(license) != "terms" {
		t.Errorf("the package's license is %q, %v", license, err)
	}
}
