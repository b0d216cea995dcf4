package arena

import (
	"context"
	"maps"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestNeed reserves the same without and with a device: what is counted is what is then allocated.
func TestNeed(t *testing.T) {
	dev := gputest.Open(t)
	reserve := func(a *Arena) {
		a.Reserve("x", 1000, gpu.Storage)
		a.Reserve("x", 24, gpu.Storage)
		a.Reserve("y", 512, gpu.Uniform)
	}
	counted, made := New(nil), New(dev)
	reserve(counted)
	reserve(made)
	if err := made.Allocate(); err != nil {
		t.Fatal(err)
	}
	if got := dev.Memory(); !maps.Equal(counted.Need(), got) || !maps.Equal(made.Need(), got) || got["x"] != 1024 {
		t.Errorf("counted %v, said %v, allocated %v", counted.Need(), made.Need(), got)
	}
	if counted.Largest("x") != 1000 || counted.Largest("z") != 0 {
		t.Errorf("the largest buffer has %d bytes", counted.Largest("x"))
	}
	if err := counted.Allocate(); err == nil {
		t.Error("memory without a device")
	}
	if err := counted.Reserve("x", 4, gpu.Storage).Write(0, make([]byte, 4)); err == nil {
		t.Error("a buffer without memory was written")
	}
	made.Close()
	if got := dev.Memory(); len(got) != 0 {
		t.Errorf("left on the device: %v", got)
	}
}

// TestGroups asks for bind groups again, releases a buffer, and counts those that are left.
func TestGroups(t *testing.T) {
	dev := gputest.Open(t)
	a := New(dev)
	defer a.Close()
	x, y, z := a.Reserve("x", 4096, gpu.Storage), a.Reserve("y", 4096, gpu.Storage), a.Reserve("z", 4096, gpu.Storage)
	if err := a.Allocate(); err != nil {
		t.Fatal(err)
	}
	k, err := kernels.Specialize("copy", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := dev.Pipeline(k)
	if err != nil {
		t.Fatal(err)
	}
	group := func(r ...gpu.Range) *gpu.BindGroup {
		t.Helper()
		g, err := a.Group(p, r...)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	xy := group(x.Range(), y.Range())
	if group(x.Range(), y.Range()) != xy || a.Groups() != 1 {
		t.Errorf("one bind group was made %d times", a.Groups())
	}
	if group(x.Part(256, 1024).Range(), y.Range()) == xy || group(x.Range(), z.Range()) == xy || a.Groups() != 3 {
		t.Errorf("three bind groups are %d", a.Groups())
	}
	a.Release(y)
	if a.Groups() != 1 {
		t.Errorf("with one buffer gone there are %d bind groups, want 1", a.Groups())
	}
	if got := dev.Memory(); len(got) != 2 || !maps.Equal(a.Need(), map[string]uint64{"x": 4096, "y": 0, "z": 4096}) {
		t.Errorf("on the device %v, needed %v", got, a.Need())
	}
	if _, err := a.Group(p, make([]gpu.Range, mostBindings+1)...); err == nil {
		t.Error("too many bindings were taken")
	}
}

// TestUniforms puts equal and different uniforms: equal ones lie at one place, and all of them hold what
// was put.
func TestUniforms(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	a := New(dev)
	defer a.Close()
	u := NewUniforms(a, "sizes")
	at := map[*Buffer]byte{}
	for round := range 2 {
		for i := range 2 * uniformSlots / 3 * 2 {
			r, err := u.Put([]byte{byte(i), byte(i >> 8), 0, 0})
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := at[r]; ok != (round == 1) {
				t.Fatalf("round %d, uniform %d: at a place of its own: %v", round, i, !ok)
			}
			at[r] = byte(i)
		}
	}
	for r, want := range at {
		var got [4]byte
		if err := dev.Read(ctx, r.Range().Buffer, r.Range().Offset, got[:]); err != nil || got[0] != want {
			t.Fatalf("at %d: %v (%v), want %d", r.Range().Offset, got, err, want)
		}
	}
	if n := a.Need()["sizes"]; n != 2*uniformSlots*gpu.Align {
		t.Errorf("%d bytes of uniforms", n)
	}
}
