package transformer

import (
	"context"
	"maps"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
)

// TestNeedWithoutDevice compares what is counted without a device with what is counted on one.
func TestNeedWithoutDevice(t *testing.T) {
	dev := gputest.Open(t)
	for _, o := range []Options{{}, {MaxSeqLen: 77, KVBits: 32, Chunk: 64}} {
		src := newModel(t, plainSpec(), scheme{4, 32}, scheme{8, 64}, scheme{16, 0})
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
