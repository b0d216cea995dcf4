package llm_test

import (
	"iter"
	"math"
	"sync"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

// TestPromptLogprobs scores prompts, with a text after them or none, alone and among other texts, and compares them with the model's
// logits.
func TestPromptLogprobs(t *testing.T) {
	t.Run("CPU", func(t *testing.T) { testPromptLogprobs(t, openTiny(t)) })
	t.Run("GPU", func(t *testing.T) {
		testPromptLogprobs(t, llm.New(llm.Parts{Engine: onGPU(t, transformer.Options{MaxBatch: 4, MaxSeqLen: 256}), Vocabulary: llm.Vocabulary{BOS: -1}}))
	})
}

func testPromptLogprobs(t *testing.T, m *llm.Model) {
	prompt := make([]int32, 150) // more than one chunk
	for i := range prompt {
		prompt[i] = int32(i * 7 % m.VocabSize())
	}
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	want := []llm.Logprob{{}}
	err = s.Logits(t.Context(), prompt, 0, func(i int, logits []float32) error {
		sum, best := 0.0, 0
		for id, l := range logits {
			sum += math.Exp(float64(l))
			if l > logits[best] {
				best = id
			}
		}
		if i+1 < len(prompt) {
			id := prompt[i+1]
			want = append(want, llm.Logprob{Token: id, Logprob: float64(logits[id]) - math.Log(sum), Top: []llm.Logprob{{Token: int32(best)}}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, pieces iter.Seq2[llm.Piece, error], tokens int) {
		var got []*llm.Logprob
		n := 0
		for p, err := range pieces {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			if p.PromptLogprobs != nil && got != nil {
				t.Errorf("%s: the prompt is scored twice", name)
			}
			got = append(got, p.PromptLogprobs...)
			if p.Token >= 0 {
				n++
			}
			if r := p.Result; r != nil && r.Stats.CachedTokens != 0 {
				t.Errorf("%s: %+v", name, r.Stats)
			}
		}
		if len(got) != len(prompt) || got[0] != nil || n != tokens {
			t.Errorf("%s: %d scores of %d tokens, %d tokens follow", name, len(got), len(prompt), n)
			return
		}
		for i, p := range got[1:] {
			w := want[i+1]
			if p.Token != w.Token || math.Abs(p.Logprob-w.Logprob) > 1e-3 || len(p.Top) != 2 || p.Top[0].Token != w.Top[0].Token || p.Top[0].Logprob < p.Top[1].Logprob {
				t.Errorf("%s, token %d: %+v, want %+v", name, i+1, p, w)
				return
			}
		}
	}
	o := llm.GenerateOptions{MaxTokens: llm.NoTokens, PromptLogprobs: true, TopLogprobs: 2}
	check("no text", s.GenerateTokens(t.Context(), prompt, o), 0)
	o.MaxTokens = 3
	check("a text", s.GenerateTokens(t.Context(), prompt, o), 3) // of which the cache has all
	s.Close()
	scheduler, err := llm.NewScheduler(m, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer scheduler.Close(t.Context())
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			o := o
			if o.MaxTokens = i; i == 0 {
				o.MaxTokens = llm.NoTokens
			}
			check("among others", scheduler.Generate(t.Context(), llm.Request{Prompt: prompt, Options: o}), i)
		})
		all.Go(func() {
			if _, err := llm.Collect(scheduler.Generate(t.Context(), llm.Request{Prompt: prompt[:20+i], Options: llm.GenerateOptions{MaxTokens: 4}})); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	one := o
	one.MaxTokens = llm.NoTokens
	for p, err := range scheduler.Generate(t.Context(), llm.Request{Prompt: prompt[:1], Options: one}) {
		if err != nil || len(p.PromptLogprobs) != 1 || p.PromptLogprobs[0] != nil {
			t.Errorf("a prompt of one token: %+v, %v", p, err)
		}
	}
}
