//go:build !js

package gpu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// prepare readies the process for the first driver.
var prepare = sync.OnceFunc(func() {
	if runtime.GOOS == "linux" && os.Getenv("XDG_RUNTIME_DIR") == "" {
		// Mesa complains on standard error without it, and puts nothing there for computing.
		_ = os.Setenv("XDG_RUNTIME_DIR", os.TempDir())
	}
})

// The values of webgpu.h, alike for both engines.
var (
	backendNames = map[uint32]string{
		1: "Null", 2: "WebGPU", 3: "D3D11", 4: "D3D12", 5: "Metal", 6: "Vulkan", 7: "OpenGL", 8: "OpenGL ES",
	}
	vendors = map[uint32]string{ // PCI's, and those Khronos gave to software
		0x1002: "AMD", 0x1010: "Imagination", 0x106b: "Apple", 0x10de: "NVIDIA", 0x13b5: "Arm", 0x1414: "Microsoft",
		0x1ae0: "Google", 0x5143: "Qualcomm", 0x8086: "Intel", 0x10005: "Mesa",
	}
	typeNames = []string{"discrete", "integrated", "cpu", "unknown"} // also best first
)

// LibraryDir is the user's directory in which a Dawn library is looked for; "" if there is none.
func LibraryDir() string {
	var dir string
	home, _ := os.UserHomeDir()
	switch runtime.GOOS {
	case "windows":
		dir = os.Getenv("LocalAppData")
	case "darwin":
		if home != "" {
			dir = filepath.Join(home, "Library", "Application Support")
		}
	default:
		if dir = os.Getenv("XDG_DATA_HOME"); dir == "" && home != "" {
			dir = filepath.Join(home, ".local", "share")
		}
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "llama-webgpu")
}

// driver is an engine that has found its adapters.
type driver interface {
	infos() []AdapterInfo // best first, at least one
	// open opens the adapter that o chooses; then the driver belongs to the backend.
	open(ctx context.Context, o Options) (backend, error)
	release()
}

// findDriver starts the engine that o chooses; if it leaves the choice, Dawn where there is a library that has an adapter.
func findDriver(o Select) (driver, error) {
	if err := o.checkEngine(); err != nil {
		return nil, err
	}
	if o.Engine == EngineBuiltin {
		b, err := findBuiltin()
		if !hasBuiltin {
			err = fmt.Errorf("%w: use the engine %s, or build the program with cgo", err, EngineDawn)
		}
		return b, err
	}
	d, err := findDawn(o)
	named := o.Engine == EngineDawn || o.Library != "" || os.Getenv(LibraryVariable) != ""
	missing := errors.Is(err, errNoLibrary) || errors.Is(err, ErrNoAdapter)
	if err == nil || named || !missing {
		return d, explainDawn(o, err)
	}
	b, failed := findBuiltin() // whose adapters may be others
	if failed != nil {
		o.Engine = EngineDawn // the other one is no way out
		return nil, fmt.Errorf("%w; %w", failed, explainDawn(o, err))
	}
	return b, nil
}

func (o Select) checkEngine() error {
	switch {
	case o.Engine != "" && o.Engine != EngineBuiltin && o.Engine != EngineDawn:
		return fmt.Errorf("engine %q: want %s or %s", o.Engine, EngineBuiltin, EngineDawn)
	case o.Engine == EngineBuiltin && o.Library != "":
		return fmt.Errorf("engine %s: it does not use the library %s", EngineBuiltin, o.Library)
	}
	return nil
}

// explainDawn says what to do about a library that is missing or of no use.
func explainDawn(o Select, err error) error {
	var what []string
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoLibrary):
		return fmt.Errorf("%w: get one with make dawn in the program's source code, put one beside the program or into %s, or name it with %s", err, LibraryDir(), LibraryVariable)
	case errors.Is(err, ErrNoAdapter):
		what = append(what, "a newer driver of the GPU may help")
	case o.Library != "":
		what = append(what, "name another one")
	case os.Getenv(LibraryVariable) != "":
		what = append(what, LibraryVariable+" names it: name another one, or unset it")
	default:
		what = append(what, "put another one in its place, or remove it")
	}
	if hasBuiltin && o.Engine == "" {
		what = append(what, "the engine "+EngineBuiltin+" does without it")
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(what, "; "))
}

// Adapters lists the adapters of the engine that o chooses, best first.
func Adapters(o Select) ([]AdapterInfo, error) {
	d, err := findDriver(o)
	if err != nil {
		return nil, err
	}
	defer d.release()
	return d.infos(), nil
}

func openBackend(ctx context.Context, o Options) (backend, error) {
	d, err := findDriver(o.Select)
	if err != nil {
		return nil, err
	}
	b, err := d.open(ctx, o)
	if err != nil {
		d.release()
		return nil, err
	}
	return b, nil
}
