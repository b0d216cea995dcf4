package transformer

import (
	"context"
	"maps"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// TestNeedWithoutDevice compares what is counted without a device with what is counted on one.
func TestNeedWithoutDevice(t *testing.T) {
	dev := gputest.Open(t)
	for _, o := range []Options{{}, {MaxSeqLen: 77, KVBits: 32, Chunk: 64}} {
		src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 32), modeltest.Blocks(8, 64), modeltest.Floats(16))
		tr, err := New(context.Background(), dev, src, o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Need(src, o, dev.Limits().MaxBinding)
		if err != nil {
			t.Fatal(err)
		}
		if want := tr.Need(); !maps.Equal(got, want) || len(want) < 4 {
			t.Errorf("%+v: %v, on a device %v", o, got, want)
		}
		tr.Close()
	}
}
