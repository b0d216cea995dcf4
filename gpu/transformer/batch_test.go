package transformer

import (
	"context"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

func TestTopOfErrors(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	tr, err := New(ctx, dev, modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 64)), Options{MaxBatch: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for want, in := range map[string]struct {
		sequences []int
		tokens    []int32
	}{
		"0 tokens for 0 sequences":              {nil, nil},
		"2 tokens for 1 sequences":              {[]int{0}, []int32{1, 1}},
		"sequence 1: it is fed two tokens":      {[]int{1, 1}, []int32{1, 1}},
		"sequence 2: there are 2":               {[]int{2}, []int32{1}},
		"sequence 1: token 0 is -1: the vocabu": {[]int{1}, []int32{-1}},
	} {
		if err := tr.TopOf(ctx, in.sequences, in.tokens, ignored); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", in, err, want)
		}
	}
}
