package llm_test

import (
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

// onGPU makes a model of made-up weights on a GPU.
func onGPU(t *testing.T, o transformer.Options) *transformer.Transformer {
	t.Helper()
	tr, err := transformer.New(t.Context(), gputest.Open(t), modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(8, 64)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

// tokens generates with an engine.
func tokens(t *testing.T, e llm.Engine, prompt []int32, o llm.GenerateOptions) []int32 {
	t.Helper()
	s, err := llm.New(llm.Parts{Engine: e, Vocabulary: llm.Vocabulary{BOS: -1}}).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	r, err := llm.Collect(s.GenerateTokens(t.Context(), prompt, o))
	if err != nil {
		t.Fatal(err)
	}
	return r.Tokens
}

// TestCandidates compares tokens that are chosen from the GPU's largest logits with those chosen from all of them.
func TestCandidates(t *testing.T) {
	tr := onGPU(t, transformer.Options{})
	for _, s := range []llm.Sampling{{}, {Temperature: 0.8, TopK: 20, TopP: 0.9, Seed: 7, RepeatPenalty: 1.2}, {Temperature: 1, Seed: 1}} {
		o := llm.GenerateOptions{MaxTokens: 30, Sampling: s}
		few, all := tokens(t, tr, []int32{1, 2, 3}, o), tokens(t, llm.OnCPU(tr), []int32{1, 2, 3}, o)
		if len(few) != 30 || !slices.Equal(few, all) {
			t.Errorf("%+v: %v from candidates, %v from all logits", s, few, all)
		}
	}
}

// TestBatchOnGPU continues more prompts than there are sequences, of different lengths and with different ends, greedily
// and by drawing: each text is what it is alone.
func TestBatchOnGPU(t *testing.T) {
	requests := []llm.Request{
		{Prompt: []int32{1, 2, 3}, Options: llm.GenerateOptions{MaxTokens: 12}},
		{Prompt: []int32{9}, Options: llm.GenerateOptions{MaxTokens: 3}},
		{Prompt: []int32{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4}, Options: llm.GenerateOptions{MaxTokens: 20, Sampling: llm.Sampling{Temperature: 0.7, TopK: 10, Seed: 3}}},
		{Prompt: []int32{7, 8}, Options: llm.GenerateOptions{MaxTokens: llm.NoTokens}},
		{Prompt: []int32{30, 20, 10}, Options: llm.GenerateOptions{MaxTokens: 9, Sampling: llm.Sampling{RepeatPenalty: 1.3}}},
		{Prompt: []int32{2, 1}, Options: llm.GenerateOptions{MaxTokens: 1}},
		{Prompt: []int32{5, 6}, Options: llm.GenerateOptions{MaxTokens: 15}},
	}
	alone := onGPU(t, transformer.Options{})
	var want [][]int32
	for i := range requests {
		ids := tokens(t, alone, requests[i].Prompt, requests[i].Options)
		if i == len(requests)-1 { // this one ends early
			requests[i].Options.StopTokens = [][]int32{{ids[4]}}
			ids = ids[:slices.Index(ids, ids[4])]
		}
		want = append(want, ids)
	}
	for _, sequences := range []int{1, 2, 3, 8} {
		m := llm.New(llm.Parts{Engine: onGPU(t, transformer.Options{MaxBatch: sequences}), Vocabulary: llm.Vocabulary{BOS: -1}})
		for p, err := range m.Batch(t.Context(), requests) {
			if err != nil {
				t.Fatal(err)
			}
			if p.Result != nil && !slices.Equal(p.Result.Tokens, want[p.Index]) {
				t.Errorf("%d sequences: text %d is %v, alone it is %v", sequences, p.Index, p.Result.Tokens, want[p.Index])
			}
		}
	}
}
