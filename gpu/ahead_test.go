package gpu_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
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
	encode := dev.Encode
	for _, want := range []string{"what was written", "between the two,"} {
		check(t, encode(&s, programs, false))
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
		encode = dev.EncodeAside
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

// TestEncodeAside encodes and sends while bind groups come and go, sums up what a kernel has added, and closes the device while a
// submission is being encoded.
func TestEncodeAside(t *testing.T) {
	d := gputest.Open(t)
	pl := pipeline(t, d, "sum", manyBindings(2, 1), nil)
	x, y := buffer(t, d, 256, gpu.Storage), buffer(t, d, 256, gpu.Storage)
	const each, rounds = 40, 50
	record := func() *gpu.Program {
		var p gpu.Program
		for range each {
			p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: x}, gpu.Range{Buffer: y}), 1, 1, 1)
			p.Copy(gpu.Range{Buffer: x, Size: 4}, gpu.Range{Buffer: y, Size: 4})
		}
		return &p
	}
	programs := [2]*gpu.Program{record(), record()}
	var turns [2]gpu.Submission
	for i := range turns {
		check(t, d.EncodeAside(&turns[i], programs[i:i+1], true))
	}
	for i := range rounds {
		s := &turns[i%2]
		passing := record() // and released while the other is encoded
		check(t, s.Send())
		check(t, d.EncodeAside(s, programs[i%2:i%2+1], i%3 == 0))
		passing.Release()
	}
	got := make([]byte, 4)
	check(t, d.Read(t.Context(), y, 0, got))
	if n := binary.LittleEndian.Uint32(got); n != each*rounds {
		t.Errorf("%d dispatches have added 1 each to 0: %d", each*rounds, n)
	}
	programs[0].Release()
	if err := d.EncodeAside(&gpu.Submission{}, []*gpu.Program{record()}, true); err != nil {
		t.Error(err)
	}
	d.Close()
	for i := range turns {
		if err := turns[i].Send(); !errors.Is(err, gpu.ErrClosed) && !errors.Is(err, gpu.ErrReleased) {
			t.Errorf("sent to a device that is closed: %v", err)
		}
		turns[i].Release()
	}
}

// TestReleaseWhileRecording releases a bind group while it is being recorded: it must not be freed before that ends.
func TestReleaseWhileRecording(t *testing.T) {
	d := gputest.Open(t)
	pl := pipeline(t, d, "sum", manyBindings(2, 1), nil)
	x, y := buffer(t, d, 256, gpu.Storage), buffer(t, d, 256, gpu.Storage)
	g := group(t, d, pl, gpu.Range{Buffer: x}, gpu.Range{Buffer: y})
	var p gpu.Program
	p.Dispatch(pl, g, 1, 1, 1)
	began, goOn := make(chan struct{}), make(chan struct{})
	d.RecordBy(func() {
		close(began)
		<-goOn
	})
	var s gpu.Submission
	check(t, d.EncodeAside(&s, []*gpu.Program{&p}, true))
	<-began
	released := make(chan struct{})
	go func() {
		g.Release()
		close(released)
	}()
	select {
	case <-released:
		t.Error("freed while it was being recorded")
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	<-released
	if err := s.Send(); !errors.Is(err, gpu.ErrReleased) {
		t.Errorf("sent with a bind group that is released: %v", err)
	}
	s.Release()
}

// TestReadbackCanceled gives up waiting for what a program copies: the next to read gets what the next program has copied, though the
// engine may answer it once the first program is done.
func TestReadbackCanceled(t *testing.T) {
	d := gputest.Open(t)
	var give func()
	early := d.AnswerEarly(func() { give() })
	src, y := buffer(t, d, 4, gpu.Storage), buffer(t, d, 256, gpu.Storage)
	out, err := d.NewReadback("test", 4)
	check(t, err)
	rounds := 1 << 22
	if d.OnCPU() {
		rounds = 1 << 15
	}
	pl := pipeline(t, d, "spin", spin, kernels.Consts{"ROUNDS": rounds})
	var p gpu.Program
	p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: y}), 32, 1, 1)
	p.Copy(out.Range(4), gpu.Range{Buffer: src})
	given := 0
	for i := range uint32(6) {
		check(t, src.Write(0, binary.LittleEndian.AppendUint32(nil, i)))
		check(t, d.Run(&p))
		ctx, cancel := context.WithCancel(t.Context())
		if give = func() {}; i%3 == 0 {
			give = cancel
		}
		got := make([]byte, 4)
		err := out.Read(ctx, got)
		cancel()
		if err != nil && i%3 == 0 {
			wantErr(t, err, context.Canceled)
			given++
			continue
		}
		check(t, err)
		if v := binary.LittleEndian.Uint32(got); v != i {
			t.Errorf("read %d, want %d", v, i)
		}
	}
	if given == 0 || early() > 0 {
		t.Errorf("%d reads were given up, %d others might have been answered early", given, early())
	}
}
