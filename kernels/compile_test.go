package kernels_test

import (
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

func TestKernelsCompile(t *testing.T) {
	dev := gputest.Open(t)
	for _, name := range kernels.Names() {
		for _, bits := range []int{32, 16, 8, 4, 2} {
			c := kernels.Consts{"BITS": bits}
			k, err := kernels.Specialize(name, c)
			if err != nil {
				k, err = kernels.Specialize(name, nil)
			}
			if err == nil {
				_, err = dev.Pipeline(k)
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
