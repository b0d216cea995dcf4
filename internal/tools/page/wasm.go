package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// buildWasm compiles cmd/wasm. Without inlining the code is a sixth smaller when packed; what hashes the weights, and must
// be fast, is written so that it needs none.
func buildWasm(goTool string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "llama-webgpu-page-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "llama-webgpu.wasm")
	cmd := exec.Command(goTool, "build", "-trimpath", "-buildvcs=false", "-gcflags=all=-l", "-ldflags=-s -w",
		"-o", out, "./cmd/wasm")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s build ./cmd/wasm: %w\n%s", goTool, err, text)
	}
	return os.ReadFile(out)
}

// writeSync is how wasm_exec.js calls the file system: by a name that is looked up on the page's global object.
var writeSync = regexp.MustCompile(`([^.A-Za-z])fs\.writeSync`)

// wasmExec makes a module of the file of the Go distribution that starts the WebAssembly. The file puts
// stand-ins for fs, process and path on its global object: it is given one of its own, and the page's stays
// as it is.
func wasmExec(goTool string) ([]byte, error) {
	root, err := exec.Command(goTool, "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("%s env GOROOT: %w", goTool, err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return nil, err
	}
	text = writeSync.ReplaceAll(text, []byte("${1}globalThis.fs.writeSync"))
	return bytes.Join([][]byte{[]byte("export function goFor(globalThis) {"), text, []byte("return new globalThis.Go();\n}\n")}, []byte("\n")), nil
}
