package llm

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// sharing are engines whose caches go back anywhere, to few positions, or only so far.
var sharing = map[string]func(*fake){
	"anywhere": func(*fake) {},
	"states":   func(f *fake) { f.states = true },
	"window":   func(f *fake) { f.window = 20 },
}

// TestSharedPrompt generates several texts from prompts with the same beginning at once: it is computed once, and each text is
// what it is alone.
func TestSharedPrompt(t *testing.T) {
	const texts, beginning = 6, 50 * fakeChunk
	for name, set := range sharing {
		t.Run(name, func(t *testing.T) {
			m, f := fakeModel(texts)
			set(f)
			open := gate(f, texts)
			s := scheduler(t, m, texts)
			alone, _ := fakeModel(1)
			single := session(t, alone)
			var want [texts]*Result
			request := func(i int) Request {
				prompt := numbers(3, beginning)
				if i > 1 { // two are the same
					prompt = append(prompt, numbers(i, 3*i)...)
				}
				return Request{Prompt: prompt, Options: GenerateOptions{MaxTokens: 5, Sampling: Sampling{Temperature: 2, Seed: uint64(i)}}}
			}
			for i := range want {
				want[i] = generated(t, single, request(i).Prompt, request(i).Options)
				single.Reset()
			}
			var all sync.WaitGroup
			for i := range want {
				all.Go(func() {
					r, err := Collect(s.Generate(t.Context(), request(i)))
					if err != nil || !slices.Equal(r.Tokens, want[i].Tokens) {
						t.Errorf("text %d: %v (%v), alone %v", i, r, err, want[i].Tokens)
					}
				})
			}
			open(s)
			all.Wait()
			if most := beginning + texts*(keptShort+fakeChunk+3*texts+5); f.fed > most {
				t.Errorf("%d tokens were computed, want at most %d", f.fed, most)
			}
			if st := s.Stats(); st.SharedTokens < (texts-1)*(beginning-keptShort-fakeChunk) || st.SharedTokens != st.CachedTokens {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestSharedBatch continues prompts with the same beginning in a batch, more of them than there are sequences.
func TestSharedBatch(t *testing.T) {
	const beginning, texts = 100, 7
	m, f := fakeModel(3)
	var prompts [][]int32
	for i := range texts {
		prompts = append(prompts, append(numbers(3, beginning), numbers(i, i)...))
	}
	got, err := batch(t.Context(), m, 4, prompts...)
	if err != nil {
		t.Fatal(err)
	}
	if most := beginning + texts*(texts+5); f.fed > most || got[texts-1].Stats.CachedTokens != beginning {
		t.Errorf("%d tokens were computed, want at most %d; %+v", f.fed, most, got[texts-1].Stats)
	}
	for i, p := range prompts {
		alone, _ := fakeModel(1)
		want := generated(t, session(t, alone), p, GenerateOptions{MaxTokens: 4, Sampling: Sampling{Temperature: 2, Seed: uint64(i)}})
		if !slices.Equal(got[i].Tokens, want.Tokens) {
			t.Errorf("text %d is %v, alone %v", i, got[i].Tokens, want.Tokens)
		}
	}
}

// TestSharedEmbedding computes embeddings of texts with the same beginning at once: of the last token they share it, for a mean
// they cannot.
func TestSharedEmbedding(t *testing.T) {
	const texts, beginning = 3, 100
	for pooling, most := range map[Pooling]int{PoolLast: beginning + texts*2*fakeChunk, PoolMean: texts * (beginning + texts)} {
		m, f := fakeModel(texts)
		open := gate(f, texts)
		s := scheduler(t, m, texts)
		alone, _ := fakeModel(1)
		var all sync.WaitGroup
		for i := range texts {
			tokens := append(numbers(3, beginning), numbers(i, i+1)...)
			want, err := session(t, alone).Embed(t.Context(), tokens, pooling)
			if err != nil {
				t.Fatal(err)
			}
			alone.sessions[0].Close()
			all.Go(func() {
				got, err := s.Embed(t.Context(), tokens, pooling)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: text %d: %v (%v), alone %v", pooling, i, got, err, want)
				}
			})
		}
		open(s)
		all.Wait()
		if f.fed > most || pooling == PoolMean && f.fed < texts*beginning {
			t.Errorf("%s: %d tokens were computed, want at most %d", pooling, f.fed, most)
		}
	}
}

// TestSharedLeaves cancels the text that the others wait for.
func TestSharedLeaves(t *testing.T) {
	m, f := fakeModel(3)
	s := scheduler(t, m, 3)
	first, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once sync.Once
	half := make(chan struct{})
	f.between = func(fed int) {
		if fed >= 100 {
			once.Do(func() {
				cancel()
				close(half)
			})
		}
	}
	request := func(i int) Request {
		return Request{Prompt: append(numbers(3, 200), int32(i)), Options: GenerateOptions{MaxTokens: 3}}
	}
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := Collect(s.Generate(first, request(0))); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
	})
	for i := 1; i < 3; i++ {
		all.Go(func() {
			r, err := Collect(s.Generate(t.Context(), request(i)))
			alone, _ := fakeModel(1)
			if want := generated(t, session(t, alone), request(i).Prompt, request(i).Options); err != nil || !slices.Equal(r.Tokens, want.Tokens) {
				t.Errorf("text %d: %v, %v, alone %v", i, r, err, want.Tokens)
			}
		})
	}
	<-half
	all.Wait()
}

// TestSharedStays begins another text with the beginning of a long one, which stays in the cache: it is copied, not cut off.
func TestSharedStays(t *testing.T) {
	m, f := fakeModel(2)
	s := scheduler(t, m, 2)
	long, other := numbers(1, 300), append(numbers(1, 100), numbers(9, 20)...)
	for _, c := range []struct {
		prompt      []int32
		least, fed  int
		description string
	}{
		{long, 0, 300, "the first"},
		{other, 100, 20, "one that begins like it"},
		{append(slices.Clone(long), 5), 300, 1, "the first, continued"},
		{append(slices.Clone(other), 5), 120, 1, "the second, continued"},
	} {
		before := f.fed
		r, err := Collect(s.Generate(t.Context(), Request{Prompt: c.prompt, Options: GenerateOptions{MaxTokens: 1}}))
		if err != nil || r.Stats.CachedTokens < c.least || f.fed-before != c.fed {
			t.Errorf("%s: %d tokens were computed, want %d; %d cached, want %d; %v", c.description, f.fed-before, c.fed, r.Stats.CachedTokens, c.least, err)
		}
	}
}

// TestSharedAtRandom generates texts whose prompts are made of the same few pieces, some of which are canceled: each is what it
// is alone.
func TestSharedAtRandom(t *testing.T) {
	const texts, room = 120, 150
	models := map[string]func(sequences int) (*Model, *fake){
		"shifts": func(sequences int) (*Model, *fake) { return smallModel(sequences, room) },
	}
	for name, set := range sharing {
		models[name] = func(sequences int) (*Model, *fake) {
			m, f := fakeModel(sequences)
			set(f)
			return m, f
		}
	}
	for name, model := range models {
		t.Run(name, func(t *testing.T) {
			m, f := model(4)
			s := scheduler(t, m, texts)
			alone, _ := model(1)
			want := answers{s: session(t, alone)}
			rng := rand.New(rand.NewPCG(5, 5))
			var all sync.WaitGroup
			for i := range texts {
				var prompt []int32
				for range 1 + rng.IntN(4) {
					prompt = append(prompt, numbers(rng.IntN(2), 10+rng.IntN(2)*90)...)
				}
				o := GenerateOptions{MaxTokens: 1 + rng.IntN(8), Sampling: Sampling{Temperature: float32(i % 3), Seed: uint64(i)}}
				if f.room > 0 {
					o.Overflow, o.Keep, o.MaxTokens = OverflowShift, 1+rng.IntN(room/2), 1+rng.IntN(80)
				}
				leave := -1
				if rng.IntN(4) == 0 {
					leave = rng.IntN(o.MaxTokens)
				}
				all.Go(func() {
					var last *Result
					n := 0
					for p, err := range s.Generate(t.Context(), Request{Prompt: prompt, Options: o}) {
						if err != nil {
							t.Error(err)
						}
						if last = p.Result; n == leave {
							return
						}
						n++
					}
					if err := want.check(t.Context(), prompt, o, last); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			for s.Stats().Running > 0 { // texts whose readers have left end after the step that is being computed
				time.Sleep(time.Millisecond)
			}
			if st := s.Stats(); st.SharedTokens == 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestSharedLost copies nothing of a session that was emptied, or filled with something else, since it was chosen: whoever was
// lent it does so at any time.
func TestSharedLost(t *testing.T) {
	m, f := fakeModel(2)
	from, to := session(t, m), session(t, m)
	prompt := numbers(3, 2*leastShared)
	generated(t, to, numbers(5, 9), GenerateOptions{MaxTokens: 1})
	before := to.Tokens()
	for name, lose := range map[string]func(){
		"emptied": from.Reset,
		"filled":  func() { generated(t, from, numbers(4, 3*leastShared), GenerateOptions{MaxTokens: 1}) },
	} {
		generated(t, from, prompt, GenerateOptions{MaxTokens: 1})
		n := from.offers(prompt, leastShared)
		if n != len(prompt) {
			t.Fatalf("%s: %d tokens are offered", name, n)
		}
		lose()
		if copied, err := to.copyFrom(from, prompt[:n]); copied || err != nil || f.copied > 0 || !slices.Equal(to.Tokens(), before) {
			t.Errorf("%s: copied %v, %v, %d tokens; now there are %v", name, copied, err, f.copied, to.Tokens())
		}
	}
}
