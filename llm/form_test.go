package llm_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

const personSchema = `{"type":"object","properties":{"name":{"type":"string","maxLength":12},"age":{"type":"integer","minimum":0,"maximum":150},
	"tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":3}},"required":["name","age"],"additionalProperties":false}`

// openTiny opens the model that comes with the source, which was never shown any JSON.
func openTiny(t *testing.T) *llm.Model {
	t.Helper()
	m, err := llm.Open(t.Context(), tiny, llm.Options{Device: llm.CPU, Context: 256})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// TestJSONSchema makes a model write JSON, greedily and by drawing: the schema accepts every text that comes to its end.
func TestJSONSchema(t *testing.T) {
	m := openTiny(t)
	form, err := m.JSONSchema([]byte(personSchema))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(personSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("s", doc); err != nil {
		t.Fatal(err)
	}
	oracle := c.MustCompile("s")
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var alone []*llm.Result
	var requests []llm.Request
	for seed := range uint64(6) {
		o := llm.GenerateOptions{MaxTokens: 120, Form: form, Sampling: llm.Sampling{Seed: seed}}
		if seed > 0 {
			o.Sampling.Temperature, o.Sampling.TopK = 1.2, 40
		}
		r, err := llm.Collect(s.Generate(t.Context(), "It was a cold morning", o))
		if err != nil {
			t.Fatal(err)
		}
		alone = append(alone, r)
		requests = append(requests, llm.Request{Prompt: r.Prompt, Options: o})
		if r.Finish != llm.FinishEOS {
			t.Errorf("seed %d: ended by %s after %q", seed, r.Finish, r.Text)
			continue
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(r.Text))
		if err == nil {
			err = oracle.Validate(v)
		}
		if err != nil || !json.Valid([]byte(r.Text)) {
			t.Errorf("seed %d: wrote %s: %v", seed, r.Text, err)
		}
	}
	s.Close()
	for p, err := range m.Batch(t.Context(), requests) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Result != nil && p.Result.Text != alone[p.Index].Text {
			t.Errorf("seed %d: in a batch %s, alone %s", p.Index, p.Result.Text, alone[p.Index].Text)
		}
	}
}

// TestForm ends a text when its form does, or at the limit, and gives a sampler back as it was.
func TestForm(t *testing.T) {
	m := openTiny(t)
	g, err := grammar.ParseGBNF(`root ::= " yes" | " no" "pe"?`)
	if err != nil {
		t.Fatal(err)
	}
	form, err := m.Form(g)
	if err != nil {
		t.Fatal(err)
	}
	sampler, err := llm.NewSampler(llm.Sampling{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	free, err := llm.Collect(s.Generate(t.Context(), "He said", llm.GenerateOptions{MaxTokens: 5}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := llm.Collect(s.Generate(t.Context(), "He said", llm.GenerateOptions{Form: form, Sampler: sampler}))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains([]string{" yes", " no", " nope"}, r.Text) || r.Finish != llm.FinishEOS {
		t.Errorf("wrote %q, ended by %s", r.Text, r.Finish)
	}
	again, err := llm.Collect(s.Generate(t.Context(), "He said", llm.GenerateOptions{MaxTokens: 5, Sampler: sampler}))
	if err != nil || again.Text != free.Text {
		t.Errorf("the sampler chooses %q afterwards, want %q (%v)", again.Text, free.Text, err)
	}
	short, err := llm.Collect(s.Generate(t.Context(), "He said", llm.GenerateOptions{Form: form, MaxTokens: 1}))
	if err != nil || short.Finish != llm.FinishLength && short.Text != " yes" && short.Text != " no" {
		t.Errorf("one token: %q, ended by %s (%v)", short.Text, short.Finish, err)
	}
	if _, err := m.JSONSchema([]byte(`{"not":{}}`)); err == nil || !strings.Contains(err.Error(), "#/not") {
		t.Errorf("a schema that is not supported: %v", err)
	}
}

// TestLogprobs compares the probabilities of tokens with the model's logits.
func TestLogprobs(t *testing.T) {
	m := openTiny(t)
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var all []llm.Logprob
	o := llm.GenerateOptions{MaxTokens: 6, Logprobs: true, TopLogprobs: 3, Sampling: llm.Sampling{Temperature: 1.5, Seed: 4, PresencePenalty: 1}}
	var last *llm.Result
	for p, err := range s.Generate(t.Context(), "It was a cold", o) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Token >= 0 {
			all = append(all, *p.Logprob)
		}
		last = p.Result
	}
	if len(all) != len(last.Tokens) || len(all) == 0 {
		t.Fatalf("%d probabilities of %d tokens", len(all), len(last.Tokens))
	}
	tokens := slices.Concat(last.Prompt, last.Tokens)
	err = s.Logits(t.Context(), tokens[:len(tokens)-1], len(last.Prompt)-1, func(i int, logits []float32) error {
		got, sum, above := all[i-len(last.Prompt)+1], 0.0, 0
		for _, l := range logits {
			sum += math.Exp(float64(l))
			if l > logits[got.Top[2].Token] {
				above++
			}
		}
		want := float64(logits[got.Token]) - math.Log(sum)
		if got.Token != tokens[i+1] || math.Abs(got.Logprob-want) > 1e-3 || len(got.Top) != 3 || above != 2 || got.Top[0].Logprob < got.Top[1].Logprob {
			t.Errorf("token %d: %+v, want %g", i, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSpecialTokens has a special token written where a grammar wants it. The text has its name where it is to be shown.
func TestSpecialTokens(t *testing.T) {
	m := openTiny(t)
	const name = "<|begin_of_text|>"
	if v := m.Vocabulary(); !v.Special(name) || v.Special("It") || v.Special("<|nothing|>") {
		t.Fatal("Special")
	}
	form, err := m.Form(grammar.Sequence(grammar.Text("yes"), grammar.Token(name), grammar.Text("no")))
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, show := range [][]string{nil, {name}} {
		r, err := llm.Collect(s.Generate(t.Context(), "It was", llm.GenerateOptions{Form: form, Show: show}))
		if err != nil {
			t.Fatal(err)
		}
		if want := "yes" + strings.Join(show, "") + "no"; r.Text != want || r.Finish != llm.FinishEOS {
			t.Errorf("showing %q: %q, ended by %s", show, r.Text, r.Finish)
		}
	}
}
