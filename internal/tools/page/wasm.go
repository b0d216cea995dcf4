package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// buildWasm compiles cmd/wasm, as small as it gets when compressed. Without inlining it is a sixth smaller; the hash of
// the weights, which must be fast, is written so that it needs none. What it embeds, it embeds without comments, and the
// standard library it has without line numbers.
func buildWasm(goTool string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "llama-webgpu-page-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	g, err := release(goTool, dir)
	if err != nil {
		return nil, err
	}
	replace, err := standardLibrary(g, dir)
	if err != nil {
		return nil, err
	}
	overlay, err := writeOverlay(dir, replace)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "llama-webgpu.wasm")
	cmd := exec.Command(g.tool, "build", "-trimpath", "-buildvcs=false", "-gcflags=all=-l", "-ldflags=-s -w",
		"-overlay", overlay, "-o", out, "./cmd/wasm")
	cmd.Env = g.env
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s build ./cmd/wasm: %w\n%s", goTool, err, text)
	}
	return os.ReadFile(out)
}

// writeOverlay writes to dir what the WebAssembly embeds in place of the files in the repository, and returns the name
// of the file that tells go build -overlay about it and about what else is replaced.
func writeOverlay(dir string, replace map[string]string) (string, error) {
	instead := files{"gpu/backend.js": []byte("(() => { throw new Error('llamaWebGPUBackend is missing') })")} // the package has it
	for _, pattern := range []string{"kernels/*.wgsl", "kernels/shared/*.wgsl"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		for _, name := range found {
			text, err := os.ReadFile(name)
			if err != nil {
				return "", err
			}
			instead[filepath.ToSlash(name)] = withoutComments(text)
		}
	}
	for _, name := range unused(instead) {
		instead[name] = []byte("//\n")
	}
	if err := instead.write(dir); err != nil {
		return "", err
	}
	for name := range instead {
		replace[absolute(filepath.FromSlash(name))] = filepath.Join(dir, filepath.FromSlash(name))
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, text, 0o666)
}

// unusedKernels are those that the WebAssembly never asks for: calibration's, and those of products that only native programs divide.
var unusedKernels = []string{"gather", "gram", "gram_matrix", "matvec_join", "matvec_slices", "spans", "split_columns"}

// usesPiece finds the shared pieces that a kernel is put together with.
var usesPiece = regexp.MustCompile(`(?m)^// with (shared/\w+\.wgsl):`)

// unused lists the texts of kernels that are never asked for, and of pieces that only they are put together with.
func unused(texts files) (names []string) {
	needed := map[string]bool{}
	for name, text := range texts {
		if dir, kernel := path.Split(name); dir == "kernels/" && !slices.Contains(unusedKernels, strings.TrimSuffix(kernel, ".wgsl")) {
			needed[name] = true
			for _, m := range usesPiece.FindAllSubmatch(text, -1) {
				needed["kernels/"+string(m[1])] = true
			}
		}
	}
	for name := range texts {
		if strings.HasPrefix(name, "kernels/") && !needed[name] {
			names = append(names, name)
		}
	}
	return names
}

// lineComment is a comment that takes a whole line, comment one after code, with the space before it. Package kernels
// reads the comments that begin like marks.
var (
	lineComment = regexp.MustCompile(`(?m)^//.*$`)
	comment     = regexp.MustCompile(`(?m)[ \t]+//.*$`)
	indent      = regexp.MustCompile(`(?m)^[ \t]+`)
	names       = regexp.MustCompile(`(?m)^(// with shared/.*?:).*$`)
	marks       = []string{"// with shared/", "// unroll", "// if "}
)

// withoutComments empties the comments of a kernel and leaves out what it is indented by. Lines keep their numbers, which
// errors name, and the comment that opens a kernel stays one, because package kernels looks for marks in it, though not at
// what readers are told there.
func withoutComments(kernel []byte) []byte {
	cut := func(c []byte, left string) []byte {
		for _, mark := range marks {
			if bytes.HasPrefix(bytes.TrimLeft(c, " \t"), []byte(mark)) {
				return c
			}
		}
		return []byte(left)
	}
	kernel = names.ReplaceAll(kernel, []byte("$1"))
	kernel = lineComment.ReplaceAllFunc(kernel, func(c []byte) []byte { return cut(c, "//") })
	kernel = comment.ReplaceAllFunc(kernel, func(c []byte) []byte { return cut(c, "") })
	return indent.ReplaceAll(kernel, nil)
}

// writeSync is how wasm_exec.js calls the file system: by a name that is looked up on the page's global object.
var writeSync = regexp.MustCompile(`([^.A-Za-z])fs\.writeSync`)

// wasmExec makes a module of the file of the Go distribution that starts the WebAssembly. The file puts
// stand-ins for fs, process and path on its global object: it is given one of its own, and the page's stays
// as it is.
func wasmExec(goTool string) ([]byte, error) {
	root, err := goRelease{goTool, os.Environ()}.output("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return nil, err
	}
	text = writeSync.ReplaceAll(text, []byte("${1}globalThis.fs.writeSync"))
	return bytes.Join([][]byte{[]byte("export function goFor(globalThis) {"), text, []byte("return new globalThis.Go();\n}\n")}, []byte("\n")), nil
}
