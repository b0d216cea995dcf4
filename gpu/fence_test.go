package gpu_test

import (
	"context"
	"errors"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
)

// TestFence waits for what was submitted before a fence, and gives up when the context ends.
func TestFence(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	var zero gpu.Fence
	if err := zero.Wait(ctx); err != nil {
		t.Errorf("the zero fence: %v", err)
	}
	src, err := dev.NewBuffer("test", 16, gpu.Storage)
	check(t, err)
	dst, err := dev.NewBuffer("test", 16, gpu.Storage)
	check(t, err)
	var p gpu.Program
	p.Copy(gpu.Range{Buffer: dst}, gpu.Range{Buffer: src})
	check(t, dev.Run(&p))
	f, err := dev.Fence()
	check(t, err)
	check(t, f.Wait(ctx))
	check(t, f.Wait(ctx)) // it is the zero fence now

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	f, err = dev.Fence()
	check(t, err)
	if err := f.Wait(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled wait: %v", err)
	}
	f, err = dev.Fence()
	check(t, err)
	f.Release()
	f.Release()
}

// TestFenceAfterClose finds a fence that outlives its device to be an error, and no crash.
func TestFenceAfterClose(t *testing.T) {
	dev, err := gpu.Open(context.Background(), gpu.Options{})
	check(t, err)
	f, err := dev.Fence()
	check(t, err)
	dev.Close()
	if err := f.Wait(context.Background()); !errors.Is(err, gpu.ErrClosed) {
		t.Errorf("error %v, want %v", err, gpu.ErrClosed)
	}
	if _, err := dev.Fence(); !errors.Is(err, gpu.ErrClosed) {
		t.Errorf("error %v, want %v", err, gpu.ErrClosed)
	}
}
