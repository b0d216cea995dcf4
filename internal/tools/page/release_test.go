package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReleaseInModuleCache has the Go release lie in the module cache: its files are reached by a link from outside, and it is the same
// release.
func TestReleaseInModuleCache(t *testing.T) {
	t.Chdir(t.TempDir())
	plain := goRelease{"go", os.Environ()}
	text, err := plain.output("env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOMODCACHE", filepath.Dir(strings.TrimSpace(string(text))))
	dir := t.TempDir()
	linked, err := release("go", dir)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := linked.output("list", "-f", "{{.Dir}}", "fmt"); err != nil || !strings.HasPrefix(string(at), dir) {
		t.Errorf("package fmt lies in %s, want it in %s: %v", at, dir, err)
	}
	want, err := plain.output("env", "GOVERSION")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := linked.output("env", "GOVERSION"); err != nil || string(got) != string(want) {
		t.Errorf("the linked release is %s, want %s: %v", got, want, err)
	}
}
