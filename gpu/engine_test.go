//go:build !js

package gpu_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// TestEngine refuses what no engine is called and libraries that cannot be loaded.
func TestEngine(t *testing.T) {
	t.Setenv(gpu.LibraryVariable, "")
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	for _, c := range []struct {
		o    gpu.Select
		want string
	}{
		{gpu.Select{Engine: "cuda"}, `engine "cuda": want builtin or dawn`},
		{gpu.Select{Engine: gpu.EngineBuiltin, Library: "x.so"}, "does not use the library x.so"},
		{gpu.Select{Library: "none/x.so"}, "none/x.so"},
		{gpu.Select{Engine: gpu.EngineDawn, Library: "none/x.so"}, "none/x.so"},
		{gpu.Select{Engine: gpu.EngineDawn}, gpu.LibraryVariable},
	} {
		_, err := gpu.Open(t.Context(), gpu.Options{Select: c.o})
		wantErr(t, err, nil, c.want)
		_, err = gpu.Adapters(c.o)
		wantErr(t, err, nil, c.want)
	}
	t.Chdir(t.TempDir())
	check(t, os.WriteFile("bare.so", []byte("no library"), 0o600))
	_, err := gpu.Adapters(gpu.Select{Library: "bare.so"}) // a file of this directory, not one of the system's
	wantErr(t, err, nil, string(filepath.Separator)+"bare.so", "name another one")
	t.Setenv(gpu.LibraryVariable, "none/y.so")
	_, err = gpu.Adapters(gpu.Select{})
	wantErr(t, err, nil, "none/y.so", gpu.LibraryVariable+" names it")
	if _, err := gpu.Adapters(gpu.Select{Engine: gpu.EngineBuiltin}); err != nil && !errors.Is(err, gpu.ErrNoGPU) {
		t.Errorf("built-in: %v", err)
	}
}

// A library that lies where libraries are looked for is preferred, and one that is none is not passed over in silence.
func TestLibraryIsPreferred(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("LibraryDir depends on XDG_DATA_HOME on Linux only")
	}
	t.Setenv(gpu.LibraryVariable, "")
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	if err := os.MkdirAll(gpu.LibraryDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(gpu.LibraryDir(), "libwebgpu_dawn.so")
	if err := os.WriteFile(damaged, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := gpu.Adapters(gpu.Select{})
	wantErr(t, err, nil, damaged, "remove it")
	_, builtin := gpu.Adapters(gpu.Select{Engine: gpu.EngineBuiltin})
	if !errors.Is(builtin, gpu.ErrNoGPU) {
		wantErr(t, err, nil, "the engine builtin does without it")
	}
	if err := builtin; err != nil && !errors.Is(err, gpu.ErrNoGPU) {
		t.Errorf("built-in: %v", err)
	}
}
