package llm_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
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
	for _, s := range []llm.Sampling{{}, {Temperature: 0.8, TopK: 20, TopP: new(float32(0.9)), Seed: 7, RepeatPenalty: 1.2}, {Temperature: 1, Seed: 1}} {
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

// TestCanceledOnGPU ends a text between two tokens. The session keeps what was computed, and goes on as if nothing had been.
func TestCanceledOnGPU(t *testing.T) {
	tr := onGPU(t, transformer.Options{Chunk: 4})
	prompt := []int32{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}
	want := tokens(t, tr, prompt, llm.GenerateOptions{MaxTokens: 12})

	s, err := llm.New(llm.Parts{Engine: tr, Vocabulary: llm.Vocabulary{BOS: -1}}).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []int32
	var last *llm.Result
	var failed error
	for p, err := range s.GenerateTokens(ctx, prompt, llm.GenerateOptions{MaxTokens: 12}) {
		if err != nil {
			failed = err
			break
		}
		if last = p.Result; p.Token >= 0 {
			seen = append(seen, p.Token)
		}
		if len(seen) == 5 {
			cancel()
		}
	}
	if !errors.Is(failed, context.Canceled) || last == nil || last.Finish != llm.FinishCanceled || !slices.Equal(last.Tokens, want[:5]) {
		t.Fatalf("error %v, result %+v: want %v", failed, last, want[:5])
	}
	rest, err := llm.Collect(s.GenerateTokens(t.Context(), slices.Concat(prompt, seen), llm.GenerateOptions{MaxTokens: 7}))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Concat(seen, rest.Tokens); !slices.Equal(got, want) || rest.Stats.CachedTokens != len(prompt)+4 {
		t.Errorf("%v with %d tokens cached, want %v with %d", got, rest.Stats.CachedTokens, want, len(prompt)+4)
	}
}

// TestLearnedPositions generates until a model with learned positions has none left, on the GPU and on the CPU.
func TestLearnedPositions(t *testing.T) {
	spec := modeltest.PlainSpec()
	modeltest.Specs["learned positions, LayerNorm, GELU, head bias"](&spec)
	src := modeltest.New(t, spec, modeltest.Blocks(16, 0))
	tr, err := transformer.New(t.Context(), gputest.Open(t), src, transformer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ref, err := cpu.New(src, cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	prompt := make([]int32, spec.Positions-3)
	for i := range prompt {
		prompt[i] = int32(i)
	}
	for _, e := range []llm.Engine{tr, llm.OnCPU(ref)} {
		if got := tokens(t, e, prompt, llm.GenerateOptions{}); len(got) != 4 { // the last need not be fed
			t.Errorf("%d tokens after %d of %d positions", len(got), len(prompt), spec.Positions)
		}
	}
}

// TestSameText draws 16 texts from prompts with a common beginning, some alone in a model that has seen nothing, then all
// together, and together again with warm caches: the same seed gives the same text. On the CPU, they follow one another.
func TestSameText(t *testing.T) {
	const texts, most, compared = 16, 8, 4 // every fourth text is compared
	request := func(i int) llm.Request {
		prompt := make([]int32, 0, 120)
		for k := range 96 + i%3*6 {
			prompt = append(prompt, int32(300+k*k%97+k/96*i))
		}
		return llm.Request{Prompt: prompt, Options: llm.GenerateOptions{MaxTokens: most, Sampling: llm.Sampling{Temperature: .8, TopK: 40, Seed: uint64(i)}}}
	}
	dir, err := tinyBundle()
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range []llm.Device{llm.GPU, llm.CPU} {
		open := func(t *testing.T, sequences int) *llm.Model {
			if device == llm.CPU {
				sequences = 1
			}
			m, err := llm.Open(t.Context(), dir, llm.Options{Device: device, Context: 160, Sequences: sequences, Warm: []int{}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.Close() })
			return m
		}
		t.Run(string(device), func(t *testing.T) {
			single, err := open(t, 1).NewSession()
			if err != nil {
				t.Fatal(err)
			}
			var want [texts][]int32
			for i := 0; i < texts; i += compared {
				single.Reset()
				r, err := llm.Collect(single.GenerateTokens(t.Context(), request(i).Prompt, request(i).Options))
				if err != nil {
					t.Fatal(err)
				}
				want[i] = r.Tokens
			}
			s, err := llm.NewScheduler(open(t, texts), texts)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(t.Context())
			for _, caches := range []string{"empty", "warm"} {
				var all sync.WaitGroup
				for i := range want {
					all.Go(func() {
						r, err := llm.Collect(s.Generate(t.Context(), request(i)))
						if err != nil || i%compared == 0 && !slices.Equal(r.Tokens, want[i]) {
							t.Errorf("%s caches: text %d is %v (%v), alone %v", caches, i, r.Tokens, err, want[i])
						}
					})
				}
				all.Wait()
			}
			if n := s.Stats().SharedTokens; device == llm.GPU && n < 95*texts*3/4 {
				t.Errorf("%d tokens were copied", n)
			}
		})
	}
}

// TestWindowForgets continues one long prompt and then another that begins otherwise, on the CPU: the cache of a layer with a
// window has let go of everything that the sequence could go back to but its beginning.
func TestWindowForgets(t *testing.T) {
	c, err := hf.Open(fixture.Family(t, "gemma2"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	prompt := func(first int) []int32 {
		ids := make([]int32, 700)
		for i := range ids {
			ids[i] = int32((first + i*i) % c.Spec().Vocab)
		}
		return ids
	}
	model := func() *llm.Session {
		e, err := cpu.New(c, cpu.Options{MaxSeqLen: 1000})
		if err != nil {
			t.Fatal(err)
		}
		s, err := llm.New(llm.Parts{Engine: llm.OnCPU(e)}).NewSession()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	again := model()
	for first := range 2 {
		want, err := llm.Collect(model().GenerateTokens(t.Context(), prompt(first), llm.GenerateOptions{MaxTokens: 4}))
		if err != nil {
			t.Fatal(err)
		}
		got, err := llm.Collect(again.GenerateTokens(t.Context(), prompt(first), llm.GenerateOptions{MaxTokens: 4}))
		if err != nil || !slices.Equal(got.Tokens, want.Tokens) {
			t.Errorf("prompt %d: %+v, %v, want %v", first, got, err, want.Tokens)
		}
	}
}
