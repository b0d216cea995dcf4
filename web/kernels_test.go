package web_test

import (
	"os"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
)

// TestKernelNames: the kernels that load can be asked for are those that there are.
func TestKernelNames(t *testing.T) {
	source, err := os.ReadFile("src/loader.ts")
	if err != nil {
		t.Fatal(err)
	}
	names := append([]string{tune.VariantsAuto, tune.VariantsBaseline}, tune.VariantNames()...)
	want := "kernels?: '" + strings.Join(names, "' | '") + "';"
	if !strings.Contains(string(source), want) {
		t.Errorf("src/loader.ts lacks %s", want)
	}
}
