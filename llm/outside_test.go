package llm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// program is one that somebody else might write.
const program = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

func main() {
	m, err := llm.Open(context.Background(), os.Args[1], llm.Options{Device: llm.CPU})
	if err != nil {
		panic(err)
	}
	defer m.Close()
	s, _ := m.NewSession()
	for piece, err := range s.Generate(context.Background(), "It was a cold morning", llm.GenerateOptions{MaxTokens: 4}) {
		fmt.Print(piece.Text, err == nil)
	}
}
`

// TestOutside builds a program in a module of its own: nothing that it needs is out of its reach.
func TestOutside(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": program,
		"go.mod": "module example.com/writer\n\ngo 1.26\n\nrequire github.com/llama-webgpu/llama-webgpu v0.0.0\n\n" +
			"replace github.com/llama-webgpu/llama-webgpu => " + strconv.Quote(filepath.ToSlash(root)) + "\n",
		"go.sum": string(sums),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	writer := filepath.Join(dir, "writer.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", writer, ".")
	build.Dir, build.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	out, err := exec.CommandContext(t.Context(), writer, tiny).CombinedOutput()
	if want := ",true andtrue thetrue windtrue"; err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("%v, %q: want %q", err, out, want)
	}
}
