//go:build cgo && !js

package gpu

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// abiValues are the values of webgpu.h that Go code repeats.
func abiValues() map[string]uint32 {
	values := map[string]uint32{
		"WGPUBufferUsage_MapRead": usageMapRead, "WGPUBufferUsage_CopySrc": usageCopySrc, "WGPUBufferUsage_CopyDst": usageCopyDst,
		"WGPUBufferUsage_Uniform": usageUniform, "WGPUBufferUsage_Storage": usageStorage, "WGPUBufferUsage_QueryResolve": usageQueryResolve,
		"WGPUBufferBindingType_Uniform":         uint32(bindingTypes[kernels.Uniform]),
		"WGPUBufferBindingType_Storage":         uint32(bindingTypes[kernels.Storage]),
		"WGPUBufferBindingType_ReadOnlyStorage": uint32(bindingTypes[kernels.ReadStorage]),
	}
	for value, name := range backendNames {
		values["WGPUBackendType_"+strings.ReplaceAll(strings.ReplaceAll(name, "OpenGL ES", "OpenGLES"), " ", "")] = uint32(value)
	}
	for value, name := range []string{"DiscreteGPU", "IntegratedGPU", "CPU", "Unknown"} { // as typeNames
		values["WGPUAdapterType_"+name] = uint32(value)
	}
	return values
}

// TestABI lets the C compiler compare what native.c declares of the library with the library's own headers.
func TestABI(t *testing.T) {
	dir := strings.TrimSpace(output(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cogentcore/webgpu"))
	include := filepath.Join(dir, "wgpu", "lib")
	if _, err := os.Stat(filepath.Join(include, "webgpu.h")); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	source := fmt.Sprintf("#include %q\n", filepath.ToSlash(filepath.Join(here, "testdata", "abi.c")))
	for name, value := range abiValues() {
		source += fmt.Sprintf("VALUE(%d, %s)\n", value, name)
	}
	compile := func(source string) (string, error) {
		cc := strings.Fields(output(t, "go", "env", "CC"))
		cmd := exec.Command(cc[0], append(cc[1:], "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", include, "-I", here, "-x", "c", "-")...)
		cmd.Stdin = strings.NewReader(source)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := compile(source); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// The comparison finds what differs.
	for wrong, want := range map[string]string{
		"VALUE(3, WGPUBufferUsage_MapRead)\n":                        "3 is not WGPUBufferUsage_MapRead",
		"FIELD(abi_limits, max_samplers, WGPULimits, maxBindGroups)": "max_samplers lies elsewhere",
		"extern int wgpuQueueRelease(abi_queue);\n":                  "wgpuQueueRelease",
	} {
		if out, err := compile(source + wrong); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s compiles (%v): %s", wrong, err, out)
		}
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out)
}
