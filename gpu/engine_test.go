package gpu_test

import (
	"errors"
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
	t.Setenv(gpu.LibraryVariable, "none/y.so")
	_, err := gpu.Adapters(gpu.Select{})
	wantErr(t, err, nil, "none/y.so")
	if _, err := gpu.Adapters(gpu.Select{Engine: gpu.EngineBuiltin}); err != nil && !errors.Is(err, gpu.ErrNoGPU) {
		t.Errorf("built-in: %v", err)
	}
}
