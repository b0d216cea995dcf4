package web_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestUnits runs test/unit in Node: the modules of the package that need no GPU.
func TestUnits(t *testing.T) {
	_, err := os.Stat("dist/index.js")
	require(t, err == nil, "dist is missing: make page")
	files, err := filepath.Glob("test/unit/*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("test/unit has %d tests: %v", len(files), err)
	}
	testInNode(t, files)
}

// testInNode runs tests of node:test.
func testInNode(t *testing.T, files []string) {
	t.Helper()
	node, err := exec.LookPath("node")
	require(t, err == nil, "Node is missing")
	if out, err := exec.Command(node, append([]string{"--test"}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
