package llm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// A prompt that is too long loses its oldest tokens after the first ones, and the text is that of the shorter prompt.
func TestTruncate(t *testing.T) {
	prompt := append([]int32{1}, numbers(5, 29)...)
	for name, c := range map[string]struct {
		keep, n, kept, tail int
	}{
		"the beginning":      {0, 4, 1, 8}, // three tokens are fed after the prompt
		"none":               {NoTokens, 4, 0, 9},
		"some":               {5, 4, 5, 4},
		"room for many":      {2, 100, 2, 5}, // at most half
		"room for one token": {2, 1, 2, 10},
	} {
		m, _ := smallModel(1, 12)
		s := session(t, m)
		o := GenerateOptions{Overflow: OverflowTruncate, Keep: c.keep, MaxTokens: c.n}
		got := generated(t, s, prompt, o)
		short := slices.Concat(prompt[:c.kept], prompt[len(prompt)-c.tail:])
		if !slices.Equal(got.Prompt, short) || got.Stats.DroppedTokens != len(prompt)-len(short) {
			t.Errorf("%s: prompt %v, %d dropped, want %v", name, got.Prompt, got.Stats.DroppedTokens, short)
		}
		alone, _ := smallModel(1, 12)
		want := generated(t, session(t, alone), short, GenerateOptions{MaxTokens: c.n})
		if !slices.Equal(got.Tokens, want.Tokens) || got.Finish != FinishLength {
			t.Errorf("%s: %v, want %v", name, got.Tokens, want.Tokens)
		}
	}
	m, _ := smallModel(1, 12)
	if r := generated(t, session(t, m), prompt[:12], GenerateOptions{Overflow: OverflowTruncate}); len(r.Prompt) != 12 || r.Stats.DroppedTokens != 0 {
		t.Errorf("a prompt that fits: %d tokens, %d dropped", len(r.Prompt), r.Stats.DroppedTokens)
	}
}

// A text that reaches the end of the context goes on after the first tokens and the younger half of the others: each of its
// tokens follows from just those, alone and beside others.
func TestShift(t *testing.T) {
	for window := range 2 {
		t.Run(fmt.Sprint("window ", 3*window), func(t *testing.T) {
			m, f := smallModel(2, 12)
			f.window = 3 * window
			o := GenerateOptions{Overflow: OverflowShift, Keep: 3, MaxTokens: 40}
			prompt := append([]int32{1}, numbers(5, 6)...)
			want, dropped := shifted(f, prompt, 3, 40, 12)
			other := numbers(9, 2)
			got := make([]*Result, 2)
			for p, err := range m.Batch(t.Context(), []Request{{prompt, o}, {other, GenerateOptions{MaxTokens: 5}}}) {
				if err != nil {
					t.Fatal(err)
				}
				if p.Result != nil {
					got[p.Index] = p.Result
				}
			}
			alone := generated(t, session(t, m), prompt, o)
			for name, r := range map[string]*Result{"in a batch": got[0], "alone": alone} {
				if !slices.Equal(r.Tokens, want) || r.Finish != FinishLength || r.Stats.DroppedTokens != dropped {
					t.Errorf("%s: %v, %d dropped; want %v, %d", name, r.Tokens, r.Stats.DroppedTokens, want, dropped)
				}
			}
			if len(got[1].Tokens) != 5 {
				t.Errorf("the other text has %v", got[1].Tokens)
			}
		})
	}
}

// shifted is what TestShift expects, computed plainly.
func shifted(f *fake, prompt []int32, keep, n, context int) (tokens []int32, dropped int) {
	cache := slices.Clone(prompt)
	for {
		logits := f.logits(cache)
		id := int32(0)
		for i, v := range logits {
			if v > logits[id] {
				id = int32(i)
			}
		}
		if tokens = append(tokens, id); len(tokens) == n {
			return tokens, dropped
		}
		if len(cache) == context {
			drop := (context - keep + 1) / 2
			dropped += drop
			cache = slices.Delete(cache, keep, keep+drop)
		}
		cache = append(cache, id)
	}
}

// Options that make no sense for the context are named.
func TestOverflowErrors(t *testing.T) {
	m, _ := smallModel(1, 12)
	s := session(t, m)
	for want, o := range map[string]GenerateOptions{
		"on-overflow": {Overflow: "wrap"}, "keep -2": {Keep: -2}, "at most half": {Overflow: OverflowShift, Keep: 7},
	} {
		err := first(s.GenerateTokens(t.Context(), numbers(1, 20), o))
		option := new(OptionError)
		if !errors.As(err, &option) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", o, err, want)
		}
	}
	err := s.Logits(t.Context(), numbers(1, 13), 12, func(int, []float32) error { return nil })
	if !errors.Is(err, ErrTooLong) {
		t.Errorf("logits of 13 tokens: error %v", err)
	}
	_, err = batch(t.Context(), m, 3, numbers(1, 3), numbers(1, 13))
	if !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), "prompt 2") {
		t.Errorf("a batch: error %v", err)
	}
}

// brackets writes messages as "role(content)".
type brackets struct{ alone bool } // system messages can be written alone

func (b brackets) Render(messages []Message, _ bool) (string, error) {
	var text strings.Builder
	for _, m := range messages {
		text.WriteString(m.Role + "(" + m.Content + ")")
	}
	if !b.alone && messages[len(messages)-1].Role == "system" {
		return "", errors.New("no user")
	}
	return text.String(), nil
}

// The opening of a conversation is what stays of it: the system messages.
func TestOpening(t *testing.T) {
	v := Vocabulary{Tokenizer: letters(t), BOS: -1}
	system, user := Message{Role: "system", Content: "be nice"}, Message{Role: "user", Content: "hi"}
	for name, c := range map[string]struct {
		messages []Message
		template Template
		want     int
	}{
		"system":    {[]Message{system, user}, brackets{true}, len("system(be nice)")},
		"none":      {[]Message{user}, brackets{true}, 0},
		"not alone": {[]Message{system, user}, brackets{}, 0},
	} {
		if got := v.Opening(c.messages, c.template); got != c.want {
			t.Errorf("%s: %d tokens, want %d", name, got, c.want)
		}
	}
}

// letters is a tokenizer with a token for each letter.
func letters(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	var vocab []string
	for i, r := range "abcdefghijklmnopqrstuvwxyz() " {
		vocab = append(vocab, fmt.Sprintf("%q:%d", r, i))
	}
	tok, err := tokenizer.Parse([]byte(`{"version":"1.0","model":{"type":"BPE","vocab":{` + strings.ReplaceAll(strings.Join(vocab, ","), "'", `"`) + `},"merges":[]}}`))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// silent is an engine whose logits are not finite, because of a layer of its cache or for another reason.
type silent struct {
	*fake
	layer int
}

func (s silent) Top(context.Context, []int32) ([]sample.Candidate, float64, error) {
	return nil, 0, sample.ErrNotFinite
}

func (s silent) KVOverflow(context.Context) (int, error) { return s.layer, nil }

// Logits that are not finite because of the cache name the layer, and what to do.
func TestKVOverflow(t *testing.T) {
	for layer, want := range map[int]string{-1: sample.ErrNotFinite.Error(), 3: "layer 3 are larger than float16 can hold (65504): keep the cache in float32 (--kv f32"} {
		m := New(Parts{Engine: silent{newFake(1), layer}, Vocabulary: Vocabulary{BOS: -1}})
		err := first(session(t, m).GenerateTokens(t.Context(), numbers(1, 3), GenerateOptions{}))
		if !errors.Is(err, sample.ErrNotFinite) || !strings.Contains(err.Error(), want) {
			t.Errorf("layer %d: error %v, want %q", layer, err, want)
		}
	}
}

// A shift feeds nothing but the next token, unless the first token goes or the engine cannot move what it has cached. What is
// computed after it is not used for other texts.
func TestShiftMoves(t *testing.T) {
	const context, shifts = 12, 3
	prompt := numbers(5, 7)
	for name, c := range map[string]struct {
		keep, window, fed int
	}{
		"moved":           {keep: 2, fed: len(prompt) + 19},
		"the first token": {fed: len(prompt) + 19},
		"none stay":       {keep: NoTokens, fed: len(prompt) + 19 + 6*shifts},
		"not possible":    {keep: 2, window: 1, fed: len(prompt) + 19 + 7*shifts},
	} {
		m, f := smallModel(1, context)
		f.window = c.window
		s := session(t, m)
		generated(t, s, prompt, GenerateOptions{Overflow: OverflowShift, Keep: c.keep, MaxTokens: 20})
		if f.fed != c.fed {
			t.Errorf("%s: %d tokens were fed, want %d", name, f.fed, c.fed)
		}
		if c.keep == NoTokens || c.window > 0 {
			continue
		}
		cached := max(c.keep, 1)
		next := generated(t, s, append(s.Tokens(), 3), GenerateOptions{MaxTokens: 1})
		if next.Stats.CachedTokens != cached {
			t.Errorf("%s: another text used %d tokens of the cache, want %d", name, next.Stats.CachedTokens, cached)
		}
	}
}
