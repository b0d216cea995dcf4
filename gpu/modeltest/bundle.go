package modeltest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// Bundle makes a bundle of weights, which is closed when the test ends.
func Bundle(tb testing.TB, w model.Weights, o convert.Options) *bundle.Bundle {
	tb.Helper()
	out := filepath.Join(tb.TempDir(), "out")
	if _, err := convert.Run(context.Background(), convert.Source{Weights: w}, out, o); err != nil {
		tb.Fatal(err)
	}
	b, err := bundle.Open(out)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	return b
}
