package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const tiny = "../../testdata/tiny"

// makeBundle quantizes the tiny model.
func makeBundle(t *testing.T, format string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), format)
	if _, err := output(t.Context(), t, "quantize", "--input-dir", tiny, "--output-dir", dir, "--format", format, "--method", "rtn"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// canceler is a writer that interrupts the command that writes to it.
type canceler struct {
	text   strings.Builder
	cancel func()
}

func (c *canceler) Write(p []byte) (int, error) {
	if len(p) > 0 {
		c.cancel()
	}
	return c.text.Write(p)
}

// TestInterruptedInfer stops a generation after its first token: that is no error.
func TestInterruptedInfer(t *testing.T) {
	dir := makeBundle(t, "int8")
	ctx, cancel := context.WithCancel(t.Context())
	out := &canceler{cancel: cancel}
	app := newApp()
	app.Writer = out
	err := app.RunContext(ctx, []string{"llama-webgpu", "infer", "--model", dir, "--prompt", "It was", "-n", "500", "--temperature", "0", "--device", "cpu"})
	if !errors.As(err, new(interrupted)) {
		t.Errorf("error %v, want that it was interrupted", err)
	}
	if text := out.text.String(); len(text) < 2 || len(text) > 60 || !strings.HasSuffix(text, "\n") {
		t.Errorf("wrote %q, want some tokens and the end of the line", text)
	}
}

// TestInterruptedQuantize finds nothing left of a conversion that was interrupted.
func TestInterruptedQuantize(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	_, err := output(ctx, t, "quantize", "--input-dir", tiny, "--output-dir", filepath.Join(dir, "out"), "--format", "int4")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestWithoutCgo runs a build without cgo: everything works on the CPU, and commands that need a
// GPU say what to do.
func TestWithoutCgo(t *testing.T) {
	dir := t.TempDir()
	program, out := filepath.Join(dir, "llama-webgpu.exe"), filepath.Join(dir, "out")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, step := range []struct {
		args, want string
		ok         bool
	}{
		{"quantize --method rtn --format int8 --input-dir " + tiny + " --output-dir " + out, "int8/128", true},
		{"inspect --check " + out, "hashes checked", true},
		{"infer --temperature 0 -n 4 --prompt It --device cpu --model " + out, "", true},
		{"verify --windows 1 --window-tokens 16 --device cpu --model " + out + " --reference " + tiny, "PASS", true},
		{"version", "without a GPU", true},
		{"infer --prompt It --model " + out, "get one with make dawn", false},
		{"verify --model " + out + " --reference " + tiny, "or use --device cpu", false},
		{"adapters", "this build has no GPU", false},
		{"adapters --engine builtin", "use the engine dawn, or build the program with cgo", false},
	} {
		text, err := exec.CommandContext(t.Context(), program, strings.Fields(step.args)...).CombinedOutput()
		if (err == nil) != step.ok || !strings.Contains(string(text), step.want) {
			t.Errorf("%s: %v, want %q in\n%s", step.args, err, step.want, text)
		}
	}
}
