package web

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

const module = "github.com/llama-webgpu/llama-webgpu"

// ErrNoPage says that there is no demo page to serve and no way to build it here.
var ErrNoPage = errors.New("this program was built without the demo page")

// built has the page in site/ if the program was built with -tags page, else it is nil.
var built *embed.FS

// Site returns the files of the demo page and of the package that it loads. A program that was built without
// them has the Go tool build them from its own source code: the released version from the module cache, once,
// and a clone each time. They are kept in the user's cache directory. Before that, which takes up to a few
// minutes, it calls building.
func Site(ctx context.Context, building func()) (fs.FS, error) {
	if built != nil {
		return fs.Sub(built, "site")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("%w, and there is no Go tool to build it: install Go (https://go.dev/dl/), or use a released program, which contains the page", ErrNoPage)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("%w, and there is no directory to build it in: %w", ErrNoPage, err)
	}
	cache = filepath.Join(cache, "llama-webgpu", "page")
	if m := ownModule(); m.Sum != "" {
		return released(ctx, goTool, cache, m, building)
	}
	return cloned(ctx, goTool, cache, sourceRoot(), building)
}

// ownModule says of which module and version this package is.
func ownModule() debug.Module {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return debug.Module{}
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Replace == nil {
			return *m
		}
	}
	return debug.Module{}
}

// sourceRoot is the directory of the module when the program was built, "" if the program does not say.
func sourceRoot() string {
	_, file, _, _ := runtime.Caller(0)
	if !filepath.IsAbs(file) {
		return "" // -trimpath
	}
	return filepath.Dir(filepath.Dir(file))
}

// released returns the page of a version, and builds it unless that has been done.
func released(ctx context.Context, goTool, cache string, m debug.Module, building func()) (fs.FS, error) {
	site := filepath.Join(cache, m.Version)
	if _, err := os.Stat(filepath.Join(site, "index.html")); err == nil {
		return os.DirFS(site), nil
	}
	building()
	dir, err := download(ctx, goTool, m)
	if err != nil {
		return nil, err
	}
	return build(ctx, goTool, dir, site)
}

// download has the Go tool fetch the source code of a version, if it is not in the module cache, and returns
// its directory.
func download(ctx context.Context, goTool string, m debug.Module) (string, error) {
	version := m.Path + "@" + m.Version
	cmd := exec.CommandContext(ctx, goTool, "mod", "download", "-json", version)
	cmd.Dir = os.TempDir() // a go.mod or go.work of the user's has no say
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	var got struct{ Dir, Sum, Error string }
	if e := json.Unmarshal(out, &got); e != nil {
		return "", fmt.Errorf("%w, and go mod download %s failed: %w", ErrNoPage, version, errors.Join(err, e))
	}
	if got.Error != "" {
		return "", fmt.Errorf("%w, and its source code cannot be downloaded: %s", ErrNoPage, got.Error)
	}
	if got.Sum != m.Sum {
		return "", fmt.Errorf("%w, and the source code of %s is not what this program was built from: its checksum is %s, not %s", ErrNoPage, version, got.Sum, m.Sum)
	}
	return got.Dir, nil
}

// cloned builds the page from the directory in which the program itself was built.
func cloned(ctx context.Context, goTool, cache, root string, building func()) (fs.FS, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if root == "" || err != nil || !strings.HasPrefix(string(text), "module "+module+"\n") {
		return nil, fmt.Errorf("%w, and its source code is not on this machine: build it with make in a clone, or with go install %s/cmd/llama-webgpu@latest", ErrNoPage, module)
	}
	building()
	key := sha256.Sum256([]byte(root))
	return build(ctx, goTool, root, filepath.Join(cache, fmt.Sprintf("clone-%x", key[:6])))
}

// build builds the page from the source code in root.
func build(ctx context.Context, goTool, root, site string) (fs.FS, error) {
	cmd := exec.CommandContext(ctx, goTool, "run", "-mod=readonly", "./internal/tools/page", "-go", goTool, "-dist", "", "-site", site)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK=off")
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 5*time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w, and building it in %s failed: %w\n%s", ErrNoPage, root, err, strings.TrimSpace(string(out)))
	}
	return os.DirFS(site), nil
}
