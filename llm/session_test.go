package llm

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

// A prompt that begins like what the cache holds is computed from the difference on, and the text is the same.
func TestPrefixReuse(t *testing.T) {
	for name, window := range map[string]int{"anywhere": 0, "window": 3} {
		t.Run(name, func(t *testing.T) {
			m, f := fakeModel(1)
			f.window = window
			s := session(t, m)
			first := generated(t, s, numbers(1, 10), GenerateOptions{MaxTokens: 5})
			if want := slices.Concat(first.Prompt, first.Tokens[:4]); !slices.Equal(s.Tokens(), want) {
				t.Fatalf("the cache has %v, want %v: the last token was not fed", s.Tokens(), want)
			}
			for name, c := range map[string]struct {
				prompt         []int32
				cached, narrow int // without and with a window
			}{
				"the same":         {first.Prompt, 9, 0},
				"a part of it":     {first.Prompt[:4], 3, 0},
				"with the answer":  {slices.Concat(first.Prompt, first.Tokens, []int32{5, 6}), 14, 14},
				"another ending":   {slices.Concat(first.Prompt, first.Tokens[:3], []int32{47, 6}), 13, 13},
				"another text":     {numbers(2, 10), 0, 0},
				"one other token":  {[]int32{46}, 0, 0},
				"a late exception": {slices.Concat(first.Prompt[:9], []int32{46}), 9, 0},
			} {
				s.Reset()
				generated(t, s, first.Prompt, GenerateOptions{MaxTokens: 5})
				before := f.fed
				got := generated(t, s, c.prompt, GenerateOptions{MaxTokens: 3})
				alone, _ := fakeModel(1)
				want := generated(t, session(t, alone), c.prompt, GenerateOptions{MaxTokens: 3})
				cached := c.cached
				if window > 0 {
					cached = c.narrow
				}
				if st := got.Stats; st.CachedTokens != cached || st.PromptTokens != len(c.prompt) || f.fed-before != len(c.prompt)-cached+2 {
					t.Errorf("%s: %d of %d tokens cached, %d fed, want %d cached", name, st.CachedTokens, st.PromptTokens, f.fed-before, cached)
				}
				if !slices.Equal(got.Tokens, want.Tokens) {
					t.Errorf("%s: %v, in an empty cache %v", name, got.Tokens, want.Tokens)
				}
			}
		})
	}
}

// TestKeptStates: a model that remembers by states goes back to a little before the end of the last prompt, whether what it
// wrote then is still there or not, and computes all of a prompt that differs before that.
func TestKeptStates(t *testing.T) {
	m, f := fakeModel(1)
	f.states, f.chunk = true, 32
	s, prompt := session(t, m), numbers(1, 24)
	for _, c := range []struct {
		prompt []int32
		cached int
	}{
		{prompt, 0},
		{prompt, len(prompt) - keptShort},
		{slices.Concat(prompt[:len(prompt)-2], []int32{5, 5, 5}), len(prompt) - keptShort},
		{slices.Concat([]int32{9}, prompt), 0},
	} {
		got := generated(t, s, c.prompt, GenerateOptions{MaxTokens: 3})
		alone, _ := fakeModel(1)
		want := generated(t, session(t, alone), c.prompt, GenerateOptions{MaxTokens: 3})
		if !slices.Equal(got.Tokens, want.Tokens) || got.Stats.CachedTokens != c.cached {
			t.Errorf("%v, %d tokens cached; want %v, %d", got.Tokens, got.Stats.CachedTokens, want.Tokens, c.cached)
		}
	}
}

// A context that ends within a prompt ends the text within a chunk, and what was computed is not computed again.
func TestCanceledPrompt(t *testing.T) {
	m, f := fakeModel(1)
	s := session(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	f.between = func(fed int) {
		if fed == 8 {
			cancel()
		}
	}
	prompt := numbers(3, 30)
	var pieces []Piece
	var failed error
	for p, err := range s.GenerateTokens(ctx, prompt, GenerateOptions{}) {
		if failed = err; err == nil {
			pieces = append(pieces, p)
		}
	}
	if !errors.Is(failed, context.Canceled) || f.fed != 8 {
		t.Fatalf("error %v after %d tokens, want that of the context after 8", failed, f.fed)
	}
	if len(pieces) != 1 || pieces[0].Result == nil || pieces[0].Result.Finish != FinishCanceled || pieces[0].Token != -1 {
		t.Fatalf("pieces %+v, want one that says that the text was canceled", pieces)
	}
	f.between = nil
	got := generated(t, s, prompt, GenerateOptions{MaxTokens: 4})
	alone, _ := fakeModel(1)
	want := generated(t, session(t, alone), prompt, GenerateOptions{MaxTokens: 4})
	if got.Stats.CachedTokens != 8 || !slices.Equal(got.Tokens, want.Tokens) {
		t.Errorf("%d tokens cached, text %v: want 8, %v", got.Stats.CachedTokens, got.Tokens, want.Tokens)
	}
}

// An error of the engine empties the cache, and the next text is right.
func TestFailedPrompt(t *testing.T) {
	m, _ := fakeModel(1)
	s := session(t, m)
	generated(t, s, numbers(3, 6), GenerateOptions{MaxTokens: 2})
	for _, err := range s.GenerateTokens(t.Context(), append(numbers(3, 20), badToken), GenerateOptions{}) {
		if !errors.Is(err, errBad) {
			t.Errorf("error %v", err)
		}
	}
	if len(s.Tokens()) != 0 {
		t.Errorf("the cache has %v after an error", s.Tokens())
	}
	if r := generated(t, s, numbers(3, 6), GenerateOptions{MaxTokens: 2}); r.Stats.CachedTokens != 0 {
		t.Errorf("%d tokens cached", r.Stats.CachedTokens)
	}
}

// Texts end for the reason that is told, and without what ended them.
func TestFinish(t *testing.T) {
	for name, c := range map[string]struct {
		next   []int32
		o      GenerateOptions
		tokens []int32
		finish Finish
	}{
		"length":              {[]int32{1, 2, 3, 4}, GenerateOptions{MaxTokens: 3}, []int32{1, 2, 3}, FinishLength},
		"eos":                 {[]int32{1, 2, fakeEOS, 4}, GenerateOptions{MaxTokens: 3}, []int32{1, 2}, FinishEOS},
		"eos at once":         {[]int32{fakeEOS}, GenerateOptions{MaxTokens: 3}, nil, FinishEOS},
		"nothing wanted":      {[]int32{1}, GenerateOptions{MaxTokens: NoTokens}, nil, FinishLength},
		"token":               {[]int32{1, 2, 3}, GenerateOptions{StopTokens: [][]int32{{9}, {2}}}, []int32{1}, FinishStop},
		"tokens":              {[]int32{1, 2, 3, 2, 4, 5}, GenerateOptions{StopTokens: [][]int32{{2, 4}}}, []int32{1, 2, 3}, FinishStop},
		"the beginning of it": {[]int32{1, 2, 3, 2}, GenerateOptions{MaxTokens: 4, StopTokens: [][]int32{{2, 4}}}, []int32{1, 2, 3, 2}, FinishLength},
		"eos in between":      {[]int32{1, 2, fakeEOS}, GenerateOptions{StopTokens: [][]int32{{2, 4}}}, []int32{1, 2}, FinishEOS},
	} {
		m, f := fakeModel(1)
		f.next = c.next
		r := generated(t, session(t, m), []int32{1}, c.o)
		if !slices.Equal(r.Tokens, c.tokens) || r.Finish != c.finish || r.Stats.GeneratedTokens != len(c.tokens) {
			t.Errorf("%s: %v, %s, %d tokens: want %v, %s", name, r.Tokens, r.Finish, r.Stats.GeneratedTokens, c.tokens, c.finish)
		}
	}
}

// What makes no sense is refused before anything is computed.
func TestRefusals(t *testing.T) {
	m, f := fakeModel(1)
	s := session(t, m)
	for want, o := range map[string]GenerateOptions{
		"max-tokens -2":                {MaxTokens: -2},
		"stop: must not be empty":      {Stop: []string{"a", ""}},
		"a sequence must not be empty": {StopTokens: [][]int32{{}}},
		"top-p 2":                      {Sampling: Sampling{TopP: new(float32(2))}},
	} {
		for _, err := range s.GenerateTokens(t.Context(), []int32{1}, o) {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		}
	}
	for want, err := range map[error]error{
		ErrNoTokens:    first(s.GenerateTokens(t.Context(), nil, GenerateOptions{})),
		ErrNoTokenizer: errors.Join(first(s.Generate(t.Context(), "a", GenerateOptions{})), first(s.Chat(t.Context(), nil, GenerateOptions{}))),
		ErrNoSequence:  func() error { _, err := m.NewSession(); return err }(),
	} {
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	for p, err := range s.GenerateTokens(t.Context(), []int32{1}, GenerateOptions{MaxTokens: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		if err := first(s.GenerateTokens(t.Context(), []int32{1}, GenerateOptions{})); p.Result == nil && !errors.Is(err, ErrBusy) {
			t.Errorf("a text within a text: error %v, want %v", err, ErrBusy)
		}
	}
	s.Close()
	if err := first(s.GenerateTokens(t.Context(), []int32{1}, GenerateOptions{})); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want %v", err, ErrClosed)
	}
	other := session(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := first(other.GenerateTokens(t.Context(), []int32{1}, GenerateOptions{})); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want %v", err, ErrClosed)
	}
	if f.fed != 2 {
		t.Errorf("%d tokens were fed, want those of the one text", f.fed)
	}
}

// first returns the first error of a text.
func first(pieces func(func(Piece, error) bool)) (failed error) {
	for _, err := range pieces {
		if err != nil {
			return err
		}
	}
	return nil
}

// Sessions that take turns do not disturb each other.
func TestSessionsTakeTurns(t *testing.T) {
	m, _ := fakeModel(2)
	a, b := session(t, m), session(t, m)
	var inner *Result
	var outer []int32
	for p, err := range a.GenerateTokens(t.Context(), numbers(1, 9), GenerateOptions{MaxTokens: 6}) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Token >= 0 {
			outer = append(outer, p.Token)
		}
		inner = generated(t, b, numbers(5, 9), GenerateOptions{MaxTokens: 6})
	}
	alone, _ := fakeModel(1)
	s := session(t, alone)
	if want := generated(t, s, numbers(1, 9), GenerateOptions{MaxTokens: 6}).Tokens; !slices.Equal(outer, want) {
		t.Errorf("%v, alone %v", outer, want)
	}
	if want := generated(t, s, numbers(5, 9), GenerateOptions{MaxTokens: 6}).Tokens; !slices.Equal(inner.Tokens, want) {
		t.Errorf("%v, alone %v", inner.Tokens, want)
	}
}

// Whoever leaves the loop finds the session ready for the next text, with what was computed in its cache.
func TestLeavingTheLoop(t *testing.T) {
	m, _ := fakeModel(1)
	s := session(t, m)
	var seen []int32
	for p, err := range s.GenerateTokens(t.Context(), numbers(1, 9), GenerateOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen = append(seen, p.Token); len(seen) == 3 {
			break
		}
	}
	r := generated(t, s, slices.Concat(numbers(1, 9), seen, []int32{3}), GenerateOptions{MaxTokens: 1})
	if r.Stats.CachedTokens != 11 {
		t.Errorf("%d tokens cached, want 11: all but the last one, which was not fed", r.Stats.CachedTokens)
	}
}

// A sampler of the caller's goes on from text to text; one of Sampling begins anew.
func TestSampler(t *testing.T) {
	m, _ := fakeModel(1)
	s := session(t, m)
	drawn := GenerateOptions{MaxTokens: 12, Sampling: Sampling{Temperature: 5, Seed: 3}}
	a, b := generated(t, s, numbers(1, 4), drawn), generated(t, s, numbers(1, 4), drawn)
	if !slices.Equal(a.Tokens, b.Tokens) {
		t.Errorf("the same seed: %v, %v", a.Tokens, b.Tokens)
	}
	var err error
	if drawn.Sampler, err = NewSampler(drawn.Sampling); err != nil {
		t.Fatal(err)
	}
	c, d := generated(t, s, numbers(1, 4), drawn), generated(t, s, numbers(1, 4), drawn)
	if !slices.Equal(a.Tokens, c.Tokens) || slices.Equal(c.Tokens, d.Tokens) {
		t.Errorf("a sampler that goes on: %v, then %v; a new one: %v", c.Tokens, d.Tokens, a.Tokens)
	}
}

// Logits are those of the whole sequence, whatever the cache holds.
func TestLogits(t *testing.T) {
	m, f := fakeModel(1)
	s := session(t, m)
	tokens := numbers(1, 9)
	want := map[int][]float32{}
	collect := func(to map[int][]float32) func(int, []float32) error {
		return func(i int, logits []float32) error {
			to[i] = slices.Clone(logits)
			return nil
		}
	}
	if err := s.Logits(t.Context(), tokens, 0, collect(want)); err != nil || len(want) != 9 {
		t.Fatalf("%d logits, %v", len(want), err)
	}
	for _, from := range []int{8, 3, 0} {
		before, got := f.fed, map[int][]float32{}
		if err := s.Logits(t.Context(), tokens, from, collect(got)); err != nil {
			t.Fatal(err)
		}
		if len(got) != 9-from || f.fed-before != 9-from {
			t.Errorf("from %d: %d logits, %d tokens fed", from, len(got), f.fed-before)
		}
		for i := from; i < 9; i++ {
			if !slices.Equal(got[i], want[i]) {
				t.Errorf("from %d: the logits of token %d differ", from, i)
			}
		}
	}
	for _, from := range []int{-1, 9} {
		if err := s.Logits(t.Context(), tokens, from, nil); err == nil {
			t.Errorf("from %d: no error", from)
		}
	}
}

// Sessions may be used by several goroutines.
func TestConcurrentSessions(t *testing.T) {
	const n = 4
	m, _ := fakeModel(n)
	var got [n]*Result
	var group sync.WaitGroup
	for i := range n {
		s := session(t, m)
		group.Go(func() {
			for range 3 {
				got[i], _ = Collect(s.GenerateTokens(t.Context(), numbers(i, 12), GenerateOptions{MaxTokens: 9}))
			}
		})
	}
	group.Wait()
	for i, r := range got {
		alone, _ := fakeModel(1)
		want := generated(t, session(t, alone), numbers(i, 12), GenerateOptions{MaxTokens: 9})
		if r == nil || !slices.Equal(r.Tokens, want.Tokens) {
			t.Errorf("%d: %+v, alone %v", i, r, want.Tokens)
		}
	}
}

// Logits are those of the session's own sequence, whichever was used last, and what its cache holds stays.
func TestLogitsOfSeveralSessions(t *testing.T) {
	m, f := fakeModel(2)
	sessions := []*Session{session(t, m), session(t, m)}
	both := [][]int32{numbers(1, 6), numbers(30, 9)}
	for i := range both {
		generated(t, sessions[i], both[i], GenerateOptions{MaxTokens: 2})
	}
	for i, s := range sessions {
		tokens := append(s.Tokens(), 7, 8)
		from, before := len(tokens)-2, f.fed
		var got [][]float32
		err := s.Logits(t.Context(), tokens, from, func(_ int, l []float32) error {
			got = append(got, slices.Clone(l))
			return nil
		})
		if err != nil || len(got) != 2 || f.fed-before != 2 {
			t.Fatalf("%d: %d logits, %d tokens fed, error %v", i, len(got), f.fed-before, err)
		}
		if !slices.Equal(got[0], f.logits(tokens[:from+1])) || !slices.Equal(got[1], f.logits(tokens)) || !slices.Equal(s.Tokens(), tokens) {
			t.Errorf("%d: logits of other tokens", i)
		}
	}
}

// A text ends where its sequence is full, with what there is of it; others of a batch go on. A prompt that does not fit is
// refused with both numbers.
func TestFullSequence(t *testing.T) {
	m, _ := smallModel(2, 12)
	got, err := batch(t.Context(), m, 9, numbers(1, 10), numbers(2, 2))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{3, 9} { // the last token need not be fed
		if r := got[i]; len(r.Tokens) != want || r.Finish != FinishLength {
			t.Errorf("text %d: %d tokens, ended by %s: want %d", i, len(r.Tokens), r.Finish, want)
		}
	}
	s := session(t, m)
	err = first(s.GenerateTokens(t.Context(), numbers(1, 13), GenerateOptions{}))
	if !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), "13 tokens, and the context 12: 1 too many") {
		t.Errorf("error %v, want %v", err, ErrTooLong)
	}
	if r := generated(t, s, numbers(1, 12), GenerateOptions{}); len(r.Tokens) != 1 {
		t.Errorf("%d tokens after a prompt that just fits, want 1", len(r.Tokens))
	}
}

// BenchmarkGenerate measures what 64 tokens cost beside the engine's work.
func BenchmarkGenerate(b *testing.B) {
	m, _ := fakeModel(1)
	s, err := m.NewSession()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Reset()
		if _, err := Collect(s.GenerateTokens(b.Context(), []int32{1}, GenerateOptions{MaxTokens: 64, Stop: []string{"never"}})); err != nil {
			b.Fatal(err)
		}
	}
}

func TestFormWithoutTokenizer(t *testing.T) {
	m, _ := fakeModel(1)
	if _, err := m.Form(grammar.JSON()); !errors.Is(err, ErrNoTokenizer) {
		t.Error(err)
	}
}
