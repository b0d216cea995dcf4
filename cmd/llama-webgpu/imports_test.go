package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/llama-webgpu/llama-webgpu/"
)

// allowed says which packages of the module a package may import: the direction in which data
// flows, from the checkpoint to the device. Commands and internal/tools put the others together and may import all.
var allowed = map[string][]string{
	"format/model":                         {},
	"format/strict":                        {},
	"format/tokenizer":                     {"format/strict"},
	"format/tokenizer/chat":                {"format/tokenizer/chat/internal/jinja"},
	"format/tokenizer/chat/internal/jinja": {},
	"format/vocab":                         {"format/gguf"},
	"format/gguf":                          {},
	"format/hub":                           {},
	"format/hub/hubtest":                   {},
	"format/gguf/gguftest":                 {},
	"format/hf":                            {"format/gguf", "format/model", "format/outdir", "format/vocab", "internal/mapped", "internal/vector"},
	"format/block":                         {"internal/vector"},
	"format/bundle":                        {"format/block", "format/model", "format/outdir", "format/strict", "internal/mapped", "internal/sha256"},
	"format/outdir":                        {},
	"format/source":                        {"format/block", "format/bundle", "format/hf", "format/model", "format/tokenizer"},
	"llm":                                  {"format/outdir", "format/source", "format/tokenizer", "format/tokenizer/chat", "gpu", "gpu/sample", "internal/option", "llm/engine", "llm/grammar", "quant/auto", "quant/convert", "verify/run"},
	"llm/bench":                            {"cpu", "format/bundle", "format/hf", "format/source", "format/tokenizer", "gpu", "gpu/graph", "gpu/transformer", "gpu/tune", "llm", "llm/engine", "llm/server"},
	"llm/grammar":                          {"format/strict", "gpu/sample"},
	"llm/server":                           {"format/strict", "format/tokenizer", "llm", "llm/grammar", "llm/tools"},
	"llm/tools":                            {"format/strict", "llm", "llm/grammar"},
	"llm/engine":                           {"cpu", "format/model", "format/outdir", "format/source", "gpu", "gpu/graph", "gpu/transformer", "gpu/tune", "kernels", "kernels/simd", "verify"},
	"quant":                                {"format/block", "internal/vector"},
	"quant/auto":                           {"format/block", "format/bundle", "format/hf", "format/model", "format/outdir", "format/source", "format/strict", "format/tokenizer", "format/tokenizer/chat", "format/vocab", "gpu", "gpu/calibrate", "gpu/transformer", "internal/option", "quant", "quant/calibrate", "quant/convert", "verify"},
	"quant/calibrate":                      {"cpu", "format/block", "format/model", "kernels/simd", "quant", "quant/overlay", "verify"},
	"quant/convert":                        {"format/block", "format/bundle", "format/hf", "format/model", "format/outdir", "internal/mapped", "quant"},
	"internal/sha256":                      {},
	"quant/overlay":                        {"format/block", "format/model"},
	"kernels":                              {"internal/sha256"},
	"gpu":                                  {"gpu/internal/dawn", "gpu/internal/pipelinecache", "kernels"},
	"gpu/internal/dawn":                    {},
	"gpu/internal/pipelinecache":           {},
	"gpu/arena":                            {"gpu"},
	"gpu/gputest":                          {"gpu", "kernels"},
	"gpu/sample":                           {},
	"gpu/calibrate":                        {"cpu", "format/block", "format/model", "gpu", "gpu/arena", "gpu/graph", "kernels", "quant", "quant/overlay"},
	"gpu/graph":                            {"format/block", "format/model", "gpu", "gpu/arena", "kernels"},
	"gpu/modeltest":                        {"format/block", "format/bundle", "format/model", "quant", "quant/convert"},
	"gpu/transformer":                      {"format/model", "gpu", "gpu/arena", "gpu/graph", "gpu/sample", "kernels"},
	"gpu/tune":                             {"format/block", "format/model", "gpu", "gpu/arena", "gpu/graph", "gpu/sample", "gpu/transformer", "kernels"},
	"web":                                  {},
	"internal/release":                     {},
	"kernels/simd":                         {"format/block", "internal/vector"},
	"cpu":                                  {"format/block", "format/model", "internal/mapped", "kernels/simd"}, // never verify: each is to find mistakes of the other
	"verify":                               {"format/block", "format/model"},                                    // never cpu or gpu: it compares two Forwarders
	"verify/report":                        {"verify"},
	"verify/run":                           {"format/block", "format/bundle", "format/hf", "format/model", "format/source", "format/tokenizer", "gpu", "gpu/transformer", "internal/option", "llm/engine", "verify", "verify/report"},
	"internal/fixture":                     {"format/block"},
	"internal/cmdline":                     {"format/outdir"},
	"internal/option":                      {},
	"internal/mapped":                      {},
	"internal/vector":                      {},
}

// TestImportDirection reads the imports of all files but tests, whatever system they are for.
func TestImportDirection(t *testing.T) {
	seen := map[string]bool{}
	eachGoFile(t, func(file, pkg string) {
		seen[pkg] = true
		if !strings.HasPrefix(pkg, "cmd/") && !strings.HasPrefix(pkg, "internal/tools/") {
			checkImports(t, file, pkg)
		}
	})
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("package %s is in the list of allowed imports, and nowhere else", pkg)
		}
	}
}

// eachGoFile calls f with each Go file of the repository but for tests, and with its package.
func eachGoFile(t *testing.T, f func(file, pkg string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, file)
		if d.IsDir() && rel != "." && (rel == "build" || d.Name() == "testdata" || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if strings.HasSuffix(rel, ".go") && !strings.HasSuffix(rel, "_test.go") {
			f(file, path.Dir(filepath.ToSlash(rel)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImports(t *testing.T, file, pkg string) {
	t.Helper()
	to, ok := allowed[pkg]
	if !ok {
		t.Errorf("%s: package %s is not in the list of allowed imports", file, pkg)
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	for _, spec := range f.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Error(err)
		}
		if ours, ok := strings.CutPrefix(name, module); ok && !slices.Contains(to, ours) {
			t.Errorf("%s: package %s must not import %s", file, pkg, ours)
		}
	}
}

// TestTopLevel finds nothing at the top of the repository but what belongs there. Dotfiles and
// what is built do not count.
func TestTopLevel(t *testing.T) {
	belongs := strings.Fields(`cmd cpu docs format gpu internal kernels llm quant scripts testdata verify web build
		action.yml go.mod go.sum CHANGELOG.md CONTRIBUTING.md LICENSE Makefile README.md`)
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(belongs, e.Name()) {
			t.Errorf("%s: does not belong at the top of the repository", e.Name())
		}
	}
}
