//go:build linux

package gpu_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
)

const inChild = "GPU_TEST_OUT_OF_MEMORY"

// TestOutOfMemory fills the memory of a process of its own, which a software device shares.
func TestOutOfMemory(t *testing.T) {
	if os.Getenv(inChild) != "" {
		runOutOfMemory(t)
		return
	}
	if d := gputest.Open(t); !d.OnCPU() {
		t.Skip("the memory of a real GPU is not this test's to fill")
	}
	if d := gputest.Open(t); strings.Contains(d.Info().Name, "SwiftShader") {
		t.Skip("SwiftShader ends the process when memory runs out")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfMemory$")
	cmd.Env = append(os.Environ(), inChild+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func runOutOfMemory(t *testing.T) {
	d := gputest.Open(t)
	check(t, d.Wait(t.Context()))
	s, err := os.ReadFile("/proc/self/statm")
	check(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(s))[0])
	check(t, err)
	limit := uint64(pages*os.Getpagesize()) + 1<<30
	check(t, syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}))
	const size = 128 << 20
	var kept []*gpu.Buffer
	for range 16 {
		var b *gpu.Buffer
		if b, err = d.NewBuffer("weights", size, gpu.Storage); err != nil {
			break
		}
		kept = append(kept, b)
	}
	if !errors.Is(err, gpu.ErrOutOfMemory) || len(kept) < 2 {
		t.Fatalf("after %d buffers: %v", len(kept), err)
	}
	wantErr(t, err, nil, "weights", fmt.Sprint(size), fmt.Sprint(len(kept)*size))
	// The device goes on with what it has.
	kept[0].Release()
	check(t, kept[1].Write(4, words(7)))
	got := make([]byte, 8)
	check(t, d.Read(t.Context(), kept[1], 0, got))
	if string(got) != string(words(0, 7)) {
		t.Errorf("read %v", got)
	}
}
