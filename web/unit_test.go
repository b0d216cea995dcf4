package web_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestUnits runs test/unit in Node: the modules of the package that need no GPU.
func TestUnits(t *testing.T) {
	t.Parallel()
	_, err := os.Stat("dist/index.js")
	require(t, err == nil, "dist is missing: make page")
	files, err := filepath.Glob("test/unit/*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("test/unit has %d tests: %v", len(files), err)
	}
	testInNode(t, files)
}

// testInNode runs tests of node:test, all files side by side: most of them wait.
func testInNode(t *testing.T, files []string) {
	t.Helper()
	node, err := exec.LookPath("node")
	require(t, err == nil, "Node is missing")
	var all sync.WaitGroup
	for _, file := range files {
		all.Go(func() {
			if out, err := exec.Command(node, "--test", file).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", file, err, out)
			}
		})
	}
	all.Wait()
}

// TestNormalForms runs the tokenizer's test of that name as WebAssembly, which leaves normal forms to JavaScript. The flags are those of
// the package's WebAssembly, whose build has compiled most of it.
func TestNormalForms(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("node")
	require(t, err == nil, "Node is missing")
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "go_js_wasm_exec")
	cmd := exec.Command("go", "test", "-trimpath", "-gcflags=all=-l", "-vet=off", "-exec", run, "-run", "^TestNormalForms$", "-v", ".")
	cmd.Dir = filepath.Join("..", "format", "tokenizer")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestNormalForms") {
		t.Errorf("%v\n%s", err, out)
	}
}
