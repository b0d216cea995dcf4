package gpu_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
)

// TestSubmission encodes and sends copies to a Readback, and misuses both.
func TestSubmission(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	src, err := dev.NewBuffer("test", 16, gpu.Storage)
	if err != nil {
		t.Fatal(err)
	}
	out, err := dev.NewReadback("test", 16)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	var p gpu.Program
	p.Copy(out.Range(16), gpu.Range{Buffer: src})
	programs := []*gpu.Program{&p}
	var s gpu.Submission
	if err := s.Send(); err == nil {
		t.Error("what was not encoded was sent")
	}
	for _, want := range []string{"what was written", "between the two,"} {
		if err := dev.Encode(&s, programs, false); err != nil {
			t.Fatal(err)
		}
		if err := src.Write(0, []byte(want + "        ")[:16]); err != nil { // after it was encoded, before it is sent
			t.Fatal(err)
		}
		if err := dev.Encode(&s, programs, false); err == nil {
			t.Error("encoded twice")
		}
		if err := s.Send(); err != nil {
			t.Fatal(err)
		}
		if err := s.Send(); err == nil {
			t.Error("sent twice")
		}
		got := make([]byte, 16)
		if err := out.Read(ctx, got); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("read %q (%v), want %q", got, err, want)
		}
	}
	for _, n := range []int{0, 3, 20} {
		if err := out.Read(ctx, make([]byte, n)); err == nil {
			t.Errorf("%d bytes of 16 were read", n)
		}
	}
	if err := dev.Encode(&s, programs, false); err != nil {
		t.Fatal(err)
	}
	src.Release()
	if err := s.Send(); !errors.Is(err, gpu.ErrReleased) {
		t.Errorf("sent with a buffer that is released: %v", err)
	}
	s.Release()
}
