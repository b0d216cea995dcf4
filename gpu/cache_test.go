package gpu_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestPipelineCache compiles kernels on a device and, from what that has kept, on a second one, which computes the same and
// compiles nothing. A cache that was damaged is not used. The built-in engine keeps nothing.
func TestPipelineCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pipelines")
	first := cached(t, dir)
	if gputest.OpenWith(t, gpu.Options{}).Info().Engine != gpu.EngineDawn {
		if _, err := os.Stat(dir); first != (cacheCounts{}) || !os.IsNotExist(err) {
			t.Errorf("the built-in engine counts %+v; its directory: %v", first, err)
		}
		return
	}
	if first.hits != 0 || first.misses < 3 {
		t.Errorf("the first device counts %+v: want a miss for each of 3 kernels, and no hits", first)
	}
	if second := cached(t, dir); second.misses != 0 || second.hits < first.misses {
		t.Errorf("the second device counts %+v: want nothing but hits, for all that the first has missed: %+v", second, first)
	}
	damage(t, dir)
	if third := cached(t, dir); third != first {
		t.Errorf("after all entries were damaged: %+v, want %+v", third, first)
	}
	if off := cached(t, gpu.PipelineCacheOff); off != (cacheCounts{}) {
		t.Errorf("without a cache: %+v", off)
	}
	if other := cached(t, filepath.Join(dir, "none\x00")); other != (cacheCounts{}) {
		t.Errorf("in a directory that cannot be made: %+v", other)
	}
}

type cacheCounts struct{ hits, misses int }

// cached compiles three kernels on a new device, runs one, and returns what its cache counts for them.
func cached(t *testing.T, dir string) cacheCounts {
	t.Helper()
	d := gputest.OpenWith(t, gpu.Options{PipelineCache: dir})
	defer d.Close()
	before := d.Stats()
	for a := range 2 {
		pipeline(t, d, "axpy", axpy, kernels.Consts{"A": a + 4})
	}
	pl := pipeline(t, d, "spin", spin, kernels.Consts{"ROUNDS": 1})
	y := buffer(t, d, 256, gpu.Storage)
	var p gpu.Program
	p.Dispatch(pl, group(t, d, pl, gpu.Range{Buffer: y}), 1, 1, 1)
	check(t, d.Run(&p))
	got := make([]byte, 4)
	check(t, d.Read(t.Context(), y, 0, got))
	if want := words(1013904223); !bytes.Equal(got, want) {
		t.Errorf("the kernel wrote %x, want %x", got, want)
	}
	after := d.Stats()
	return cacheCounts{after.CacheHits - before.CacheHits, after.CacheMisses - before.CacheMisses}
}

// damage changes a byte of every entry.
func damage(t *testing.T, dir string) {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(dir, "*.pipeline"))
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d entries: %v", len(entries), err)
	}
	for _, path := range entries {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)-1] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
