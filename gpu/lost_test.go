//go:build (linux || darwin || windows) && (amd64 || arm64)

package gpu_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// lostThings are what a device may have when it is lost.
type lostThings struct {
	d          *gpu.Device
	pl         *gpu.Pipeline
	g          *gpu.BindGroup
	b          *gpu.Buffer
	p          gpu.Program
	submission gpu.Submission
	back       *gpu.Readback
	sent, free *gpu.Stage
	fence      gpu.Fence
}

func newLostThings(t *testing.T, d *gpu.Device) *lostThings {
	l := &lostThings{d: d, pl: pipeline(t, d, "spin", spin, nil), b: buffer(t, d, 256, gpu.Storage)}
	l.g = group(t, d, l.pl, gpu.Range{Buffer: l.b})
	l.p.Dispatch(l.pl, l.g, 1, 1, 1)
	var err error
	l.back, err = d.NewReadback("test", 256)
	check(t, err)
	l.sent, err = d.NewStage("test", 256)
	check(t, err)
	check(t, l.sent.Send([]gpu.StageCopy{{Dst: gpu.Range{Buffer: l.b}}}))
	l.free, err = d.NewStage("test", 256)
	check(t, err)
	l.fence, err = d.Fence()
	check(t, err)
	check(t, d.Encode(&l.submission, []*gpu.Program{&l.p}, false))
	return l
}

// lostCalls are all that can be asked of a device.
var lostCalls = map[string]func(ctx context.Context, l *lostThings) error{
	"buffer": func(_ context.Context, l *lostThings) error {
		_, err := l.d.NewBuffer("test", 64, gpu.Storage)
		return err
	},
	"write": func(_ context.Context, l *lostThings) error { return l.b.Write(0, make([]byte, 64)) },
	"read":  func(ctx context.Context, l *lostThings) error { return l.d.Read(ctx, l.b, 0, make([]byte, 64)) },
	"group": func(_ context.Context, l *lostThings) error {
		_, err := l.d.BindGroup(l.pl, gpu.Range{Buffer: l.b})
		return err
	},
	"run":   func(_ context.Context, l *lostThings) error { return l.d.Run(&l.p) },
	"timed": func(_ context.Context, l *lostThings) error { _, err := l.d.RunTimed(&l.p); return err },
	"encode": func(_ context.Context, l *lostThings) error {
		return l.d.Encode(new(gpu.Submission), []*gpu.Program{&l.p}, false)
	},
	"send":     func(_ context.Context, l *lostThings) error { return l.submission.Send() },
	"wait":     func(ctx context.Context, l *lostThings) error { return l.d.Wait(ctx) },
	"fence":    func(ctx context.Context, l *lostThings) error { return l.fence.Wait(ctx) },
	"mark":     func(_ context.Context, l *lostThings) error { _, err := l.d.Fence(); return err },
	"stage":    func(_ context.Context, l *lostThings) error { _, err := l.d.NewStage("test", 64); return err },
	"bytes":    func(ctx context.Context, l *lostThings) error { _, err := l.sent.Bytes(ctx); return err },
	"stage on": func(_ context.Context, l *lostThings) error { return l.free.Send(nil) },
	"readback": func(ctx context.Context, l *lostThings) error { return l.back.Read(ctx, make([]byte, 64)) },
	"pipeline": func(_ context.Context, l *lostThings) error {
		k, err := kernels.Parse("spin", spin, kernels.Consts{"ROUNDS": 7})
		if err == nil {
			_, err = l.d.Pipeline(k)
		}
		return err
	},
}

// TestLost loses a device: every call says so, the first one after it and those that follow, and nothing hangs or is leaked.
func TestLost(t *testing.T) {
	for name, call := range lostCalls {
		d := gputest.Open(t)
		l := newLostThings(t, d)
		check(t, d.Failed())
		if !d.Lose("pulled out") {
			return // the engine has no way to lose a device
		}
		for again := range 2 {
			if again > 0 && name == "fence" { // which is the zero one now
				break
			}
			wantErr(t, call(t.Context(), l), gpu.ErrDeviceLost, "pulled out")
			if t.Failed() {
				t.Fatal(name)
			}
		}
		wantErr(t, d.Failed(), gpu.ErrDeviceLost, "pulled out")
		l.submission.Release()
		l.p.Release()
		l.back.Release()
		l.sent.Release()
		l.free.Release()
		l.b.Release()
		if m := d.Memory(); len(m) != 0 {
			t.Errorf("%s: memory in use: %v", name, m)
		}
		d.Close()
		wantErr(t, d.Wait(t.Context()), gpu.ErrClosed)
	}
}

// TestLostWhileWaiting loses a device that others wait for, and one that they compile for.
func TestLostWhileWaiting(t *testing.T) {
	for name, wait := range map[string]func(ctx context.Context, l *lostThings) error{
		"wait": lostCalls["wait"], "read": lostCalls["read"], "readback": lostCalls["readback"], "bytes": lostCalls["bytes"],
		"pipeline": func(ctx context.Context, l *lostThings) error {
			for i := 1; ; i++ {
				k, err := kernels.Parse("spin", spin, kernels.Consts{"ROUNDS": i})
				if err == nil {
					_, err = l.d.Pipeline(k)
				}
				if err != nil {
					return err
				}
			}
		},
	} {
		d := gputest.Open(t)
		if d.Info().Engine != gpu.EngineDawn {
			return // the engine has no way to lose a device
		}
		l := newLostThings(t, d)
		long := pipeline(t, d, "spin", spin, kernels.Consts{"ROUNDS": 1 << 15})
		var p gpu.Program
		p.Dispatch(long, group(t, d, long, gpu.Range{Buffer: l.b}), 64, 1, 1)
		check(t, d.Run(&p))
		check(t, l.free.Send(nil))
		done := make(chan error)
		go func() { done <- wait(t.Context(), l) }()
		time.Sleep(20 * time.Millisecond) // any moment is a good one
		d.Lose("pulled out")
		if err := <-done; err != nil && !errors.Is(err, gpu.ErrDeviceLost) {
			t.Errorf("%s: %v", name, err)
		}
		wantErr(t, d.Wait(t.Context()), gpu.ErrDeviceLost, "pulled out")
		d.Close()
	}
}

// TestRunOut has memory run out in the middle of things: the call that needs it says so, and the device goes on.
func TestRunOut(t *testing.T) {
	d := gputest.Open(t)
	kept := buffer(t, d, 1<<10, gpu.Storage)
	if !d.RunOut("none left") {
		return // TestOutOfMemory fills the memory of other engines
	}
	_, err := d.NewBuffer("weights", 1<<20, gpu.Storage)
	wantErr(t, err, gpu.ErrOutOfMemory, "weights", "1048576 bytes requested, 1024 bytes in use")
	d.RunOut("none left")
	_, err = d.NewStage("loading", 1<<20)
	wantErr(t, err, gpu.ErrOutOfMemory, "loading", "none left")
	if m := d.Memory(); m["weights"] != 0 || m["loading"] != 0 {
		t.Errorf("memory in use: %v", m)
	}
	check(t, kept.Write(0, words(7)))
	got := make([]byte, 4)
	check(t, d.Read(t.Context(), kept, 0, got))
	if string(got) != string(words(7)) {
		t.Errorf("read %v", got)
	}
	d.RunOut("none left")
	wantErr(t, kept.Write(0, words(8)), gpu.ErrOutOfMemory)
	check(t, d.Wait(t.Context()))
	l := newLostThings(t, d)
	d.RunOut("none left")
	wantErr(t, d.Run(&l.p), gpu.ErrOutOfMemory)
	wantErr(t, d.Wait(t.Context()), gpu.ErrOutOfMemory, "failed before") // nobody knows what has run
}
