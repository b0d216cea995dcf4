package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// goRelease is the Go release that compiles the WebAssembly: its command, and the environment to run it in.
type goRelease struct {
	tool string
	env  []string
}

// release returns the release that goTool is. One in the module cache, where go build -overlay replaces no file, is reached by a link
// in dir.
func release(goTool, dir string) (goRelease, error) {
	g := goRelease{goTool, append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")}
	text, err := g.output("env", "GOROOT", "GOMODCACHE")
	if err != nil {
		return g, err
	}
	root, modules, _ := strings.Cut(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") // a line each, in which there may be blanks
	modules = strings.TrimSuffix(modules, "\n")
	if modules == "" || !strings.HasPrefix(root, modules+string(filepath.Separator)) {
		return g, nil
	}
	link := filepath.Join(dir, "go")
	if err := os.Symlink(root, link); err != nil {
		return g, fmt.Errorf("a link to the Go release in the module cache: %w", err)
	}
	g.tool = filepath.Join(link, "bin", "go")
	g.env = append(g.env, "GOROOT="+link, "GOTOOLCHAIN=local")
	return g, nil
}

// output returns what a command prints.
func (g goRelease) output(args ...string) ([]byte, error) {
	cmd := exec.Command(g.tool, args...)
	cmd.Env, cmd.Stderr = g.env, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", g.tool, strings.Join(args, " "), err)
	}
	return out, nil
}
