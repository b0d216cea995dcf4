package gpu_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestStage sends data through one Stage many times, with a program after each.
func TestStage(t *testing.T) {
	d := gputest.Open(t)
	const n = 64 << 10 // bytes a time
	s, err := d.NewStage("test", n+256)
	check(t, err)
	in, params, all := buffer(t, d, n, gpu.Storage), buffer(t, d, 256, gpu.Uniform), buffer(t, d, 10*n, gpu.Storage)
	pl := pipeline(t, d, "axpy", axpy, kernels.Consts{"A": 0})
	want := make([]byte, 0, 10*n)
	for i := range 10 {
		data := noise(n, uint64(i))
		mem, err := s.Bytes(t.Context())
		check(t, err)
		copy(mem, words(n/4, 0))
		copy(mem[256:], data)
		var p gpu.Program
		out := gpu.Range{Buffer: all, Offset: uint64(i) * n, Size: n}
		p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: params}, gpu.Range{Buffer: in}, out), n/4/64, 1, 1)
		check(t, s.Send([]gpu.StageCopy{
			{Dst: gpu.Range{Buffer: params, Size: 8}}, {Dst: gpu.Range{Buffer: in}, From: 256},
		}, &p))
		want = append(want, data...)
	}
	got := make([]byte, 10*n)
	check(t, d.Read(t.Context(), all, 0, got))
	if !bytes.Equal(got, want) {
		t.Error("what arrived is not what was sent")
	}
	if m := d.Memory()["test"]; m != n+256+n+256+10*n {
		t.Errorf("%d bytes in use", m)
	}
	s.Release()
	s.Release()
	_, err = s.Bytes(t.Context())
	wantErr(t, err, gpu.ErrReleased)
	wantErr(t, s.Send(nil), gpu.ErrReleased)
}

func TestStageErrors(t *testing.T) {
	d, other := gputest.Open(t), gputest.Open(t)
	_, err := d.NewStage("test", 0)
	wantErr(t, err, nil, `stage "test": 0 bytes`)
	s, err := d.NewStage("test", 1000)
	check(t, err)
	b, gone := buffer(t, d, 4096, gpu.Storage), buffer(t, d, 64, gpu.Storage)
	gone.Release()
	for _, c := range []struct {
		copy gpu.StageCopy
		want string
	}{
		{gpu.StageCopy{}, "no buffer"},
		{gpu.StageCopy{Dst: gpu.Range{Buffer: gone}}, "already released"},
		{gpu.StageCopy{Dst: gpu.Range{Buffer: buffer(t, other, 64, gpu.Storage)}}, "another device"},
		{gpu.StageCopy{Dst: gpu.Range{Buffer: b}}, "copy of bytes 0+4096 is out of range: it has 1000"},
		{gpu.StageCopy{Dst: gpu.Range{Buffer: b, Size: 8}, From: 996}, "copy of bytes 996+8 is out of range: it has 1000"},
		{gpu.StageCopy{Dst: gpu.Range{Buffer: b, Size: 8}, From: 2}, "want multiples of 4"},
		{gpu.StageCopy{Dst: gpu.Range{Buffer: b, Offset: 4092, Size: 8}}, "it has 4096"},
	} {
		wantErr(t, s.Send([]gpu.StageCopy{c.copy}), nil, `stage "test"`, c.want)
	}
	ok := []gpu.StageCopy{{Dst: gpu.Range{Buffer: b, Size: 1000}}}
	check(t, s.Send(ok))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Bytes(ctx)
	wantErr(t, err, context.Canceled)
	_, err = s.Bytes(t.Context())
	check(t, err)
	check(t, s.Send(ok)) // nobody waits for it any more
	d.Close()
	_, err = s.Bytes(t.Context())
	wantErr(t, err, gpu.ErrClosed)
}

// TestStageCanceled gives up waiting for a Stage: until the device has read what was sent, its memory cannot be had.
func TestStageCanceled(t *testing.T) {
	d := gputest.Open(t)
	const n = 1 << 20
	s, err := d.NewStage("test", n)
	check(t, err)
	y, b := buffer(t, d, 256, gpu.Storage), buffer(t, d, n, gpu.Storage)
	pl := pipeline(t, d, "spin", spin, kernels.Consts{"ROUNDS": 1 << 18})
	var long gpu.Program
	long.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: y}), 8, 1, 1)
	got := make([]byte, n)
	for i := range 2 {
		mem, err := s.Bytes(t.Context())
		check(t, err)
		copy(mem, bytes.Repeat([]byte{byte(i + 1)}, n))
		check(t, d.Run(&long)) // the copy comes late, or, where the driver waits between submissions, what follows it
		check(t, s.Send([]gpu.StageCopy{{Dst: gpu.Range{Buffer: b}}}, &long))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := s.Bytes(ctx); err != nil { // unless the device was quick
			wantErr(t, err, context.DeadlineExceeded)
			wantErr(t, s.Send(nil), nil, "before Bytes was called")
		}
		cancel()
		mem, err = s.Bytes(t.Context())
		check(t, err)
		copy(mem, make([]byte, n))
		check(t, d.Read(t.Context(), b, 0, got))
		if !bytes.Equal(got, bytes.Repeat([]byte{byte(i + 1)}, n)) {
			t.Errorf("round %d: what was sent has been overwritten", i)
		}
	}
}

// TestStagesAndCompilation has several goroutines send data and others compile, good kernels and bad
// ones: every error belongs to the kernel that has it.
func TestStagesAndCompilation(t *testing.T) {
	d := gputest.Open(t)
	const n, senders, times = 256 << 10, 4, 12
	all := buffer(t, d, senders*n, gpu.Storage)
	var wg sync.WaitGroup
	for g := range senders {
		wg.Go(func() {
			s, err := d.NewStage("test", n)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Release()
			for i := range times {
				mem, err := s.Bytes(t.Context())
				if err == nil {
					copy(mem, noise(n, uint64(100*g+i)))
					err = s.Send([]gpu.StageCopy{{Dst: gpu.Range{Buffer: all, Offset: uint64(g * n), Size: n}}})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for i := range times {
				k, err := kernels.Parse("axpy", axpy, kernels.Consts{"A": i}) // the same ones in each goroutine
				if err == nil {
					_, err = d.Pipeline(k)
				}
				if err != nil {
					t.Error(err)
				}
				bad, err := kernels.Parse(fmt.Sprintf("bad%d_%d", g, i), axpy[:len(axpy)-3]+"; nonsense; }\n", nil)
				if err != nil {
					t.Error(err)
				} else if _, err = d.Pipeline(bad); err == nil {
					t.Error("nonsense compiles")
				}
			}
		})
	}
	wg.Wait()
	got := make([]byte, senders*n)
	check(t, d.Read(t.Context(), all, 0, got))
	for g := range senders {
		if !bytes.Equal(got[g*n:(g+1)*n], noise(n, uint64(100*g+times-1))) {
			t.Errorf("sender %d: what arrived is not what was sent last", g)
		}
	}
	if s := d.Stats(); s.Pipelines != times || s.CompileTime <= 0 {
		t.Errorf("%d pipelines in %v: want %d", s.Pipelines, s.CompileTime, times)
	}
}

// TestStageReleasedEarly releases Stages about when the device is done with them, while others wait for it: nobody gets an error.
func TestStageReleasedEarly(t *testing.T) {
	d := gputest.Open(t)
	const n, waiting = 4096, 6
	to := []gpu.StageCopy{{Dst: gpu.Range{Buffer: buffer(t, d, n, gpu.Storage)}}}
	var wg sync.WaitGroup
	var ended atomic.Bool
	for range waiting {
		wg.Go(func() {
			for !ended.Load() {
				if err := d.Wait(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for start := time.Now(); time.Since(start) < 3*time.Second && !t.Failed(); {
		s, err := d.NewStage("test", n)
		if err == nil {
			err = s.Send(to)
		}
		if err != nil {
			t.Error(err)
		}
		for sent, about := time.Now(), 50+rand.N(40); time.Since(sent) < time.Duration(about)*time.Microsecond; {
			continue
		}
		s.Release()
	}
	ended.Store(true)
	wg.Wait()
}
