//go:build bundlers

package web_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// bundlers are the bundlers, versions and ways that `make bundlers` tries. Each is installed into build/bundlers.
var bundlers = []struct {
	name     string
	packages []string // from npm
	how      string
	project  project
}{
	{"Vite", []string{"vite@5.4.21"}, "build", viteBuild},
	{"Vite", []string{"vite@5.4.21"}, "dev", viteDev},
	{"Vite", []string{"vite@6.4.6"}, "build", viteBuild},
	{"Vite", []string{"vite@6.4.6"}, "dev", viteDev},
	{"Vite", []string{"vite@7.3.8"}, "build", viteBuild},
	{"Vite", []string{"vite@7.3.8"}, "dev", viteDev},
	{"Vite", []string{"vite@8.4.0"}, "build", viteBuild},
	{"Vite", []string{"vite@8.4.0"}, "dev", viteDev},
	{"webpack", webpack, "--mode production", webpackBuild("production")},
	{"webpack", webpack, "--mode development", webpackBuild("development")},
	{"Next.js", next15, "build (webpack)", nextStart()},
	{"Next.js", next15, "build --turbopack", nextStart("--turbopack")},
	{"Next.js", next15, "dev --turbopack", nextDev("--turbopack")},
	{"Next.js", next16, "build --webpack", nextStart("--webpack")},
	{"Next.js", next16, "build (Turbopack)", nextStart()},
	{"Next.js", next16, "dev (Turbopack)", nextDev()},
	{"Next.js", next16, "dev --webpack", nextDev("--webpack")},
	{"Parcel", []string{"parcel@2.16.4"}, "build", project{dir: "web", build: []string{"node_modules/parcel/lib/bin.js", "build", "index.html"}, output: "dist"}},
}

var (
	webpack = []string{"webpack@5.113.0", "webpack-cli@7.3.1"}
	next15  = []string{"next@15.5.29", "react@19.3.1", "react-dom@19.3.1"}
	next16  = []string{"next@16.4.6", "react@19.3.1", "react-dom@19.3.1"}

	viteBuild = project{dir: "web", build: []string{"node_modules/vite/bin/vite.js", "build"}, output: "dist"}
	viteDev   = project{dir: "web", server: []string{"node_modules/vite/bin/vite.js", "--port", "PORT", "--strictPort"}}
)

func webpackBuild(mode string) project {
	return project{dir: "web", build: []string{"node_modules/webpack-cli/bin/cli.js", "--mode", mode, "--entry", "./start.js", "--output-path", "dist", "--output-filename", "start.js"}, output: "dist"}
}

func nextStart(flags ...string) project {
	return project{
		dir: "next", build: append([]string{"node_modules/next/dist/bin/next", "build"}, flags...),
		server: []string{"node_modules/next/dist/bin/next", "start", "--port", "PORT"},
	}
}

func nextDev(flags ...string) project {
	return project{dir: "next", server: append([]string{"node_modules/next/dist/bin/next", "dev", "--port", "PORT"}, flags...)}
}

// TestBundlers builds a small project with every bundler, from packages as npm has them and without any configuration,
// runs it in Chromium and prints a table.
func TestBundlers(t *testing.T) {
	w := theWorld(t)
	tarball, node := packed(t)
	ctx := browser(t, withGPU()...)
	table := []string{"| bundler | version | how | result |", "|---|---|---|---|"}
	for _, b := range bundlers {
		version := b.packages[0][strings.LastIndex(b.packages[0], "@")+1:]
		begun := time.Now()
		ran := false
		ok := t.Run(fmt.Sprintf("%s %s %s", b.name, version, b.how), func(t *testing.T) {
			ran = true
			dir := install(t, b.project.dir, b.packages, tarball)
			b.project.make(t, node, dir)
			checkWrote(t, ctx, b.project.serve(t, w, node, dir)+"?both")
		})
		if !ran {
			continue // -run has left it out
		}
		result := "failed"
		if ok {
			result = fmt.Sprintf("works (%.0f s)", time.Since(begun).Seconds())
		}
		table = append(table, fmt.Sprintf("| %s | %s | %s | %s |", b.name, version, b.how, result))
	}
	fmt.Println(strings.Join(table, "\n"))
}

// install puts a project, packages from npm and our own package into a fresh directory in build/bundlers, where the
// packages from npm stay.
func install(t *testing.T, project string, packages []string, tarball string) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	require(t, err == nil, "npm is missing")
	dir, err := filepath.Abs(filepath.Join("../build/bundlers", strings.ReplaceAll(packages[0], "@", "-")))
	if err != nil {
		t.Fatal(err)
	}
	keep := []string{"node_modules", "package.json", "package-lock.json", "installed"}
	entries, _ := os.ReadDir(dir) // none the first time
	for _, e := range entries {
		if !slices.Contains(keep, e.Name()) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	source(t, project, dir)
	stamp := filepath.Join(dir, "installed")
	if done, _ := os.ReadFile(stamp); string(done) != strings.Join(packages, "\n") {
		if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private": true, "type": "module"}`), 0o666); err != nil {
			t.Fatal(err)
		}
		command(t, dir, npm, append([]string{"install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"}, packages...)...)
		if err := os.WriteFile(stamp, []byte(strings.Join(packages, "\n")), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, cache := range []string{".vite", ".cache"} { // bundles of our package as it was before
		if err := os.RemoveAll(filepath.Join(dir, "node_modules", cache)); err != nil {
			t.Fatal(err)
		}
	}
	unpack(t, tarball, filepath.Join(dir, "node_modules"))
	return dir
}
