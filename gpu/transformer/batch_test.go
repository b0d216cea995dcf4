package transformer

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// TestGenerateBatch continues more prompts than there are sequences, of different lengths and with different
// ends, greedily and by drawing: each text is what it is alone.
func TestGenerateBatch(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 64))
	type text struct {
		prompt []int32
		n      int
		end    int32 // a token that ends it
		o      sample.Options
	}
	texts := []text{
		{[]int32{1, 2, 3}, 12, -1, sample.Options{}},
		{[]int32{9}, 3, -1, sample.Options{}},
		{[]int32{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4}, 20, -1, sample.Options{Temperature: 0.7, TopK: 10, Seed: 3}},
		{[]int32{7, 8}, 0, -1, sample.Options{}},
		{[]int32{30, 20, 10}, 9, -1, sample.Options{RepeatPenalty: 1.3}},
		{[]int32{2, 1}, 1, -1, sample.Options{}},
		{[]int32{5, 6}, 15, -1, sample.Options{}},
	}
	newSampler := func(o sample.Options) *sample.Sampler {
		s, err := sample.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	alone, err := New(ctx, dev, src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	var want [][]int32
	for i, x := range texts {
		alone.Reset()
		var ids []int32
		for id, err := range sample.Generate(ctx, alone, newSampler(x.o), x.prompt, x.n) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		if i == 6 { // this one ends early
			texts[i].end = ids[4]
			ids = ids[:slices.Index(ids, ids[4])+1]
		}
		want = append(want, ids)
	}
	for _, sequences := range []int{1, 2, 3, 8} {
		tr, err := New(ctx, dev, src, Options{MaxBatch: sequences})
		if err != nil {
			t.Fatal(err)
		}
		got := make([][]int32, len(texts))
		running, most, ended := 0, 0, 0
		var requests []sample.Request
		for i, x := range texts {
			requests = append(requests, sample.Request{
				Prompt: x.prompt, N: x.n, Sampler: newSampler(x.o),
				Begin: func() { running++; most = max(most, running) },
				Take: func(id int32) bool {
					got[i] = append(got[i], id)
					return id != x.end
				},
				End: func() { running--; ended++ },
			})
		}
		if err := sample.GenerateBatch(ctx, tr, requests); err != nil {
			t.Fatal(err)
		}
		tr.Close()
		if running != 0 || ended != len(texts) || most > sequences {
			t.Errorf("%d sequences: %d texts ended, %d at once", sequences, ended, most)
		}
		for i := range texts {
			if !slices.Equal(got[i], want[i]) {
				t.Errorf("%d sequences: text %d is %v, alone it is %v", sequences, i, got[i], want[i])
			}
		}
	}
}

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
