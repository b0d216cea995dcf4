//go:build linux

package gpu_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
)

// resident returns the memory of this process, in bytes.
func resident(t *testing.T) int {
	runtime.GC()
	s, err := os.ReadFile("/proc/self/statm")
	check(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(s))[1])
	check(t, err)
	return pages * os.Getpagesize()
}

// TestNoLeak creates, uses and releases everything, many times over.
func TestNoLeak(t *testing.T) {
	d := gputest.Open(t)
	pl := pipeline(t, d, "axpy", axpy, nil)
	const size = 1 << 20
	data, got := noise(size, 1), make([]byte, size)
	cycle := func() {
		params, x, y := buffer(t, d, 8, gpu.Uniform), buffer(t, d, size, gpu.Storage), buffer(t, d, size, gpu.Storage)
		check(t, params.Write(0, words(size/4, 0)))
		check(t, x.Write(0, data))
		var p gpu.Program
		p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: params}, gpu.Range{Buffer: x}, gpu.Range{Buffer: y}), size/256, 1, 1)
		p.Copy(gpu.Range{Buffer: x}, gpu.Range{Buffer: y})
		check(t, d.Run(&p))
		check(t, d.Read(t.Context(), y, 0, got))
		if d.Features().TimestampQuery {
			_, err := d.RunTimed(&p)
			check(t, err)
		}
		stage, err := d.NewStage("test", size)
		check(t, err)
		mem, err := stage.Bytes(t.Context())
		check(t, err)
		copy(mem, data)
		check(t, stage.Send([]gpu.StageCopy{{Dst: gpu.Range{Buffer: x}}}, &p))
		stage.Release() // while it is on its way
		p.Release()
		params.Release()
		x.Release()
		y.Release()
	}
	for range 50 {
		cycle()
	}
	before := resident(t)
	for range 200 {
		cycle()
	}
	grown := resident(t) - before
	t.Logf("from %d MiB by %d KiB", before>>20, grown>>10)
	if grown > 8<<20 { // 200 cycles of 2 MiB each
		t.Errorf("200 cycles grew the process by %d KiB", grown>>10)
	}
	if m := d.Memory(); m["test"] != 0 {
		t.Errorf("memory in use: %v", m)
	}
}

// TestNoLeakWriting uploads much more than it keeps, without any other submission.
func TestNoLeakWriting(t *testing.T) {
	d := gputest.Open(t)
	b := buffer(t, d, 64<<20, gpu.Storage)
	data := noise(64<<20, 1)
	check(t, b.Write(0, data))
	check(t, d.Wait(t.Context()))
	before := resident(t)
	for range 16 { // 1 GiB
		check(t, b.Write(0, data))
	}
	if grown := resident(t) - before; grown > 160<<20 {
		t.Errorf("writing 1 GiB to one buffer of 64 MiB took %d MiB", grown>>20)
	}
}

// TestNoLeakOpening opens and closes devices.
func TestNoLeakOpening(t *testing.T) {
	dir := t.TempDir()
	cycle := func() {
		d, err := gpu.Open(t.Context(), gpu.Options{PipelineCache: dir})
		check(t, err)
		pl := pipeline(t, d, "spin", spin, nil)
		var p gpu.Program
		p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: buffer(t, d, 1<<20, gpu.Storage), Size: 256}), 1, 1, 1)
		check(t, d.Run(&p))
		d.Close()
	}
	for range 5 {
		cycle()
	}
	before := resident(t)
	for range 20 {
		cycle()
	}
	if grown := resident(t) - before; grown > 40<<20 {
		t.Errorf("opening 20 devices grew the process by %d KiB", grown>>10)
	} else {
		t.Logf("%d KiB a device", grown>>10/20)
	}
}

// TestOpenOften opens and closes more devices than a process can have keys of thread-local storage, of which some drivers take
// one each time they are loaded.
func TestOpenOften(t *testing.T) {
	if name := gputest.Open(t).Info().Name; strings.Contains(name, "llvmpipe") {
		t.Log(name, "is slow to open, and has not been seen to take any")
		return
	}
	for range 1100 {
		d, err := gpu.Open(t.Context(), gpu.Options{PipelineCache: gpu.PipelineCacheOff})
		check(t, err)
		d.Close()
	}
}
