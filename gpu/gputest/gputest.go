// Package gputest opens GPU devices for tests. A test that needs one fails where there is
// none: it never passes by being skipped.
package gputest

import (
	"context"
	"errors"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

const help = "\nThese tests need a GPU driver; a software one will do." +
	"\nDebian, Ubuntu:  apt-get install libvulkan1 mesa-vulkan-drivers" +
	"\nFedora:          dnf install vulkan-loader mesa-vulkan-drivers"

// Open opens the default device and closes it when the test ends.
func Open(tb testing.TB) *gpu.Device {
	tb.Helper()
	return OpenWith(tb, gpu.Options{})
}

// OpenWith is Open with options. Compiled kernels are only kept in a directory that o names.
func OpenWith(tb testing.TB, o gpu.Options) *gpu.Device {
	tb.Helper()
	if o.PipelineCache == "" {
		o.PipelineCache = gpu.PipelineCacheOff
	}
	d, err := gpu.Open(context.Background(), o)
	if errors.Is(err, gpu.ErrNoAdapter) || errors.Is(err, gpu.ErrNoGPU) {
		tb.Fatal(err, help)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(d.Close)
	return d
}
