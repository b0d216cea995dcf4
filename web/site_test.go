//go:build !page

package web

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

// TestSiteOfClone has a program without the page build it twice, in two places: each time it is the same bytes.
func TestSiteOfClone(t *testing.T) {
	var sites []map[string][]byte
	for range 2 {
		isolate(t)
		built := 0
		site, err := Site(t.Context(), func() { built++ })
		if err != nil {
			t.Fatal(err)
		}
		if built != 1 {
			t.Errorf("building was announced %d times", built)
		}
		sites = append(sites, contents(t, site))
	}
	for _, name := range []string{"index.html", "app.js", "llama-webgpu/worker-thread.js", "llama-webgpu/llama-webgpu.wasm.gz"} {
		if len(sites[0][name]) == 0 {
			t.Errorf("%s is not there", name)
		}
	}
	if len(sites[0]) != len(sites[1]) {
		t.Errorf("%d files, and then %d", len(sites[0]), len(sites[1]))
	}
	for name, text := range sites[0] {
		if !bytes.Equal(sites[1][name], text) {
			t.Errorf("%s: %d bytes, and then %d that differ", name, len(text), len(sites[1][name]))
		}
	}
}

// contents reads all files.
func contents(t *testing.T, fsys fs.FS) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all[name], err = fs.ReadFile(fsys, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// isolate gives the test a user's cache directory of its own, but the Go tool the one it has, and returns it.
func isolate(t *testing.T) string {
	t.Helper()
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(cache)))
	dir := t.TempDir()
	for _, name := range []string{"XDG_CACHE_HOME", "LocalAppData"} {
		t.Setenv(name, dir)
	}
	return dir
}

// fakeTool stands for internal/tools/page in a module that has nothing else.
const fakeTool = `package main

import (
	"flag"
	"os"
)

func main() {
	flag.String("go", "", "")
	flag.String("dist", "", "")
	site := flag.String("site", "", "")
	flag.Parse()
	if err := os.MkdirAll(*site, 0o777); err != nil {
		panic(err)
	}
	if err := os.WriteFile(*site+"/index.html", []byte("of v0.9.0"), 0o666); err != nil {
		panic(err)
	}
}
`

// proxied makes version v0.9.0 of the module available to the Go tool, with a page tool of one file.
func proxied(t *testing.T, tool string) {
	t.Helper()
	proxy, cache := t.TempDir(), t.TempDir()
	dir := filepath.Join(proxy, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	mod := "module " + module + "\n\ngo 1.26.0\n"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{"go.mod": mod, "internal/tools/page/main.go": tool} {
		w, err := z.Create(module + "@v0.9.0/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"v0.9.0.info": `{"Version":"v0.9.0"}`, "v0.9.0.mod": mod, "v0.9.0.zip": b.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"GOPROXY": "file://" + filepath.ToSlash(proxy), "GOMODCACHE": cache, "GONOSUMDB": module, "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local",
	} {
		t.Setenv(name, value)
	}
}

// TestSiteOfRelease has the page of a version built from the source code that a module proxy has of it.
func TestSiteOfRelease(t *testing.T) {
	cache := isolate(t)
	proxied(t, fakeTool)
	built := 0
	get := func(sum string) (fs.FS, error) {
		return released(t.Context(), "go", cache, debug.Module{Path: module, Version: "v0.9.0", Sum: sum}, func() { built++ })
	}
	_, err := get("h1:of something else")
	if !errors.Is(err, ErrNoPage) || !strings.Contains(err.Error(), "not what this program was built from") {
		t.Fatalf("source code with another checksum: %v", err)
	}
	sum := regexp.MustCompile(`its checksum is (\S+),`).FindStringSubmatch(err.Error())
	for range 2 {
		site, err := get(sum[1])
		if err != nil {
			t.Fatal(err)
		}
		if text, err := fs.ReadFile(site, "index.html"); string(text) != "of v0.9.0" {
			t.Errorf("the page is %q, %v", text, err)
		}
	}
	if built != 2 { // the first time in vain
		t.Errorf("building was announced %d times", built)
	}
}

// TestSiteErrors checks what a user is told to do where there is no page.
func TestSiteErrors(t *testing.T) {
	cache := isolate(t)
	proxied(t, "package main\n\nfunc main() { what is this }\n")
	building := func() {}
	ctx := context.Background()
	cases := map[string]struct {
		get  func(t *testing.T) (fs.FS, error)
		want string
	}{
		"a version that no proxy has": {
			func(t *testing.T) (fs.FS, error) {
				return released(ctx, "go", cache, debug.Module{Path: module, Version: "v0.9.1", Sum: "h1:"}, building)
			},
			"cannot be downloaded",
		},
		"a clone that has gone":    {func(t *testing.T) (fs.FS, error) { return cloned(ctx, "go", cache, t.TempDir(), building) }, "go install " + module + "/cmd/llama-webgpu@latest"},
		"a program with -trimpath": {func(t *testing.T) (fs.FS, error) { return cloned(ctx, "go", cache, "", building) }, "build it with make in a clone"},
		"sources that do not compile": {
			func(t *testing.T) (fs.FS, error) {
				_, err := download(ctx, "go", debug.Module{Path: module, Version: "v0.9.0"})
				sum := regexp.MustCompile(`its checksum is (\S+),`).FindStringSubmatch(err.Error())
				dir, err := download(ctx, "go", debug.Module{Path: module, Version: "v0.9.0", Sum: sum[1]})
				if err != nil {
					return nil, err
				}
				return build(ctx, "go", dir, filepath.Join(cache, "site"))
			},
			"main.go:3:",
		},
		"no Go tool": {
			func(t *testing.T) (fs.FS, error) {
				t.Setenv("PATH", "")
				return Site(ctx, building)
			},
			"https://go.dev/dl",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := c.get(t)
			if !errors.Is(err, ErrNoPage) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: want ErrNoPage and %q", err, c.want)
			}
		})
	}
}
