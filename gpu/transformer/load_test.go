package transformer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// logitsAfter loads a model with so many readers and returns the logits after a few tokens.
func logitsAfter(t *testing.T, src Source, procs int, o Options) []float32 {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	dev := gputest.Open(t)
	tr, err := New(context.Background(), dev, src, o)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if m := dev.Memory(); m[purposeLoading]+m["staging"] != 0 {
		t.Errorf("after loading there is still %v", m)
	}
	var logits []float32
	err = tr.Forward(context.Background(), []int32{1, 2, 3}, 2, func(_ int, l []float32) error {
		logits = slices.Clone(l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

// TestReaders loads with one goroutine and with many: the device holds the same.
func TestReaders(t *testing.T) {
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32))
	want := logitsAfter(t, src, 1, Options{})
	for range 3 {
		if got := logitsAfter(t, src, 8, Options{Warm: []int{1, 3}}); !slices.Equal(got, want) {
			t.Fatal("eight readers load another model than one")
		}
	}
}

// inTurn is a Source that wants what a Source may want: every tensor read once, from its first byte to
// its last.
type inTurn struct {
	*modeltest.Model
	mu   sync.Mutex
	read map[int]int64 // bytes by tensor
	bad  error         // what reading tensor 3 returns
}

func (s *inTurn) ReadAt(i int, p []byte, off int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read[i] != off {
		return errors.New("not in turn")
	}
	s.read[i] += int64(len(p))
	if i == 3 && s.bad != nil {
		return s.bad
	}
	return s.Model.ReadAt(i, p, off)
}

func TestReadInTurn(t *testing.T) {
	for _, procs := range []int{1, 8} {
		src := &inTurn{Model: modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32)), read: map[int]int64{}}
		logitsAfter(t, src, procs, Options{})
		for i, tensor := range src.Tensors() {
			if tensor.Role == model.RoleQ && src.read[i] != int64(len(src.Stored[i])) {
				t.Errorf("%d readers: tensor %d: %d bytes of %d were read", procs, i, src.read[i], len(src.Stored[i]))
			}
		}
	}
}

// TestLoadFails has one tensor fail: loading ends with that error, whoever meets it.
func TestLoadFails(t *testing.T) {
	dev := gputest.Open(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, procs := range []int{1, 8} {
		runtime.GOMAXPROCS(procs)
		src := &inTurn{Model: modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32)), read: map[int]int64{}, bad: errors.New("the disk is on fire")}
		_, err := New(context.Background(), dev, src, Options{Warm: []int{1}})
		if !errors.Is(err, src.bad) {
			t.Errorf("%d readers: %v, want %v", procs, err, src.bad)
		}
		if m := dev.Memory(); len(m) != 0 {
			t.Errorf("%d readers: what failed leaves %v", procs, m)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32))
	_, err := New(ctx, dev, src, Options{Progress: func(uint64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("canceled while it loads: %v", err)
	}
}

// TestWarm checks that what Warm names needs no compilation afterwards, and no new bind groups.
func TestWarm(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32))
	ctx := context.Background()
	tr, err := New(ctx, dev, src, Options{MaxBatch: 2, Warm: []int{1, 2, 20}})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	compiled, groups := dev.Stats().Pipelines, tr.arena.Groups()
	prompt := make([]int32, 20)
	for _, feed := range []func() error{
		func() error { _, _, err := tr.Top(ctx, prompt); return err },
		func() error { _, _, err := tr.Top(ctx, prompt[:1]); return err },
		func() error { return tr.TopOf(ctx, []int{0, 1}, prompt[:2], ignored) },
	} {
		if err := feed(); err != nil {
			t.Fatal(err)
		}
		if s := dev.Stats(); s.Pipelines != compiled || tr.arena.Groups() != groups {
			t.Fatalf("%d pipelines and %d bind groups were made ready, and now there are %d and %d", compiled, groups, s.Pipelines, tr.arena.Groups())
		}
	}
}

// TestWarmStep compiles the kernels of steps of several sequences while others run: those steps need no compilation
// afterwards, whatever the length of the context, and nothing is compiled twice.
func TestWarmStep(t *testing.T) {
	dev := gputest.Open(t)
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32))
	ctx := t.Context()
	tr, err := New(ctx, dev, src, Options{MaxBatch: 4, Warm: []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	compile, err := tr.WarmStep(3)
	if err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if n, err := compile(stopped); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended, %d kernels were compiled: %v", n, err)
	}
	done := make(chan error)
	go func() {
		n, err := compile(ctx)
		if n == 0 && err == nil {
			err = errors.New("there was nothing to compile")
		}
		done <- err
	}()
	for range 3 {
		if err := tr.TopOf(ctx, []int{0}, []int32{1}, ignored); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	compiled := dev.Stats().Pipelines
	if err := tr.TopOf(ctx, []int{0, 1, 2}, []int32{1, 2, 3}, ignored); err != nil {
		t.Fatal(err)
	}
	if n := dev.Stats().Pipelines; n != compiled {
		t.Errorf("the step compiled %d kernels more", n-compiled)
	}
	if compile, err = tr.WarmStep(3); err != nil {
		t.Fatal(err)
	}
	if n, err := compile(ctx); n != 0 || err != nil {
		t.Errorf("%d kernels were compiled again, %v", n, err)
	}
	if _, err := tr.WarmStep(5); err == nil {
		t.Error("a step of more sequences than there are was taken")
	}
}

// TestWarmStepWhileClosing closes the model and its device while kernels are compiled: closing waits for the one that the driver is
// at, and the next is refused.
func TestWarmStepWhileClosing(t *testing.T) {
	dev := gputest.Open(t)
	tr, err := New(t.Context(), dev, modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32)), Options{MaxBatch: 4})
	if err != nil {
		t.Fatal(err)
	}
	compile, err := tr.WarmStep(4)
	if err != nil {
		t.Fatal(err)
	}
	before := dev.Stats().Pipelines
	done := make(chan error)
	go func() {
		n, err := compile(t.Context())
		if !errors.Is(err, gpu.ErrClosed) {
			err = fmt.Errorf("%d kernels were compiled, and then: %w", n, err)
		} else {
			err = nil
		}
		done <- err
	}()
	for dev.Stats().Pipelines == before { // it has begun
		runtime.Gosched()
	}
	tr.Close()
	dev.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func ignored(int, []sample.Candidate, float64) error { return nil }
