package llm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

const (
	fakeVocab = 50
	fakeChunk = 4
	badToken  = 49 // cannot be fed
	fakeEOS   = 48
)

var errBad = errors.New("a bad token")

// fake is an Engine whose likeliest token depends on the whole sequence in its cache, so that a cache that holds the
// wrong tokens shows. It counts the tokens that it was fed.
type fake struct {
	caches   [][]int32 // by sequence
	selected int
	fed      int
	room     int           // positions of a sequence, 0: any number
	chunk    int           // tokens of a prompt that are fed at once
	states   bool          // it is recurrent
	kept     map[int]int   // where states were kept, by sequence
	copied   int           // tokens that were copied
	window   int           // it rewinds no farther than this, 0: anywhere
	top      []int         // the sequences that Top or TopOf was asked for last
	between  func(fed int) // called after each chunk of a prompt
	next     []int32       // the tokens to be chosen, in turn; then those that follow from the cache
}

func newFake(sequences int) *fake {
	return &fake{caches: make([][]int32, sequences), chunk: fakeChunk, kept: map[int]int{}}
}

func (f *fake) VocabSize() int     { return fakeVocab }
func (f *fake) Sequences() int     { return len(f.caches) }
func (f *fake) Select(s int) error { f.selected = s; return nil }
func (f *fake) Position() int      { return len(f.caches[f.selected]) }
func (f *fake) Reset()             { f.caches[f.selected] = nil }
func (f *fake) Recurrent() bool    { return f.states }

func (f *fake) CanRewind(p int) bool {
	if f.states {
		return p == 0 || p == f.Position() || p == f.kept[f.selected]
	}
	return f.window == 0 || p == 0 || f.Position()-p <= f.window
}

func (f *fake) Keep() error {
	f.kept[f.selected] = f.Position()
	return nil
}

func (f *fake) Room() int {
	if f.room == 0 {
		return math.MaxInt
	}
	return f.room - f.Position()
}

func (f *fake) Rewind(p int) error {
	if p > f.Position() || !f.CanRewind(p) {
		return fmt.Errorf("position %d of %d", p, f.Position())
	}
	f.caches[f.selected] = f.caches[f.selected][:p]
	return nil
}

// CopyFrom copies what may be gone back to.
func (f *fake) CopyFrom(sequence, n int) error {
	to := f.selected
	f.selected = sequence
	if n > f.Position() || !f.CanRewind(n) {
		return fmt.Errorf("a copy of %d tokens of %d", n, f.Position())
	}
	f.selected, f.copied = to, f.copied+n
	f.caches[to], f.kept[to] = slices.Clone(f.caches[sequence][:n]), 0
	return nil
}

// Shift drops tokens, unless the fake has a window.
func (f *fake) Shift(keep, drop int) (bool, error) {
	if f.window > 0 {
		return false, nil
	}
	f.caches[f.selected] = slices.Delete(slices.Clone(f.caches[f.selected]), keep, keep+drop)
	return true, nil
}

// feed feeds tokens chunk by chunk.
func (f *fake) feed(ctx context.Context, tokens []int32) error {
	for len(tokens) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(f.chunk, len(tokens))
		if n > f.Room() {
			return errBad
		}
		if slices.Contains(tokens[:n], badToken) {
			return errBad
		}
		f.caches[f.selected] = append(slices.Clone(f.caches[f.selected]), tokens[:n]...)
		f.fed, tokens = f.fed+n, tokens[n:]
		if f.between != nil {
			f.between(f.fed)
		}
	}
	return nil
}

func (f *fake) Prefill(ctx context.Context, tokens []int32) (int, error) {
	if len(tokens) <= f.chunk {
		return 0, nil
	}
	return f.chunk, f.feed(ctx, tokens[:f.chunk])
}

// logits are those of the last token of a cache.
func (f *fake) logits(cache []int32) []float32 {
	logits, sum := make([]float32, fakeVocab), int32(7)
	for _, id := range cache {
		sum = (sum*31 + id) % 1009
	}
	for i := range logits {
		logits[i] = float32((sum*int32(i+3))%211) / 20
	}
	logits[badToken], logits[fakeEOS] = -100, -100
	if len(f.next) > 0 {
		logits[f.next[0]] = 100
	}
	return logits
}

func (f *fake) Forward(ctx context.Context, tokens []int32, from int, each func(int, []float32) error) error {
	for i := range tokens {
		if err := f.feed(ctx, tokens[i:i+1]); err != nil {
			return err
		}
		if i >= from {
			if err := each(i, f.logits(f.caches[f.selected])); err != nil {
				return err
			}
		}
	}
	return nil
}

// Hidden has the token and the number of tokens before it.
func (f *fake) Hidden(ctx context.Context, tokens []int32, from int, each func(int, []float32) error) error {
	for i := range tokens {
		if err := f.feed(ctx, tokens[i:i+1]); err != nil {
			return err
		}
		if i >= from {
			if err := each(i, []float32{float32(tokens[i]), float32(f.Position() - 1)}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fake) Top(ctx context.Context, tokens []int32) ([]sample.Candidate, float64, error) {
	f.top = []int{f.selected}
	return nil, 0, f.feed(ctx, tokens)
}

func (f *fake) Logits(ctx context.Context) ([]float32, error) { return f.LogitsOf(ctx, 0) }

func (f *fake) LogitsOf(_ context.Context, i int) ([]float32, error) {
	logits := f.logits(f.caches[f.top[i]])
	f.next = f.next[min(1, len(f.next)):]
	return logits, nil
}

func (f *fake) TopOf(ctx context.Context, sequences []int, tokens []int32, each func(int, []sample.Candidate, float64) error) error {
	f.top = slices.Clone(sequences)
	for i, s := range sequences {
		f.selected = s
		if err := f.feed(ctx, tokens[i:i+1]); err != nil {
			return err
		}
	}
	for i := range sequences {
		if err := each(i, nil, 0); err != nil {
			return err
		}
	}
	return nil
}

// fakeModel is a Model of a fake engine, without a tokenizer.
func fakeModel(sequences int) (*Model, *fake) {
	f := newFake(sequences)
	return New(Parts{Engine: f, Vocabulary: Vocabulary{BOS: -1, EOS: []int{fakeEOS}}}), f
}

// smallModel is a fakeModel with a context of some tokens.
func smallModel(sequences, context int) (*Model, *fake) {
	f := newFake(sequences)
	f.room = context
	return New(Parts{Engine: f, Vocabulary: Vocabulary{BOS: 1, EOS: []int{fakeEOS}}}), f
}

// session makes a session that the test closes.
func session(t *testing.T, m *Model) *Session {
	t.Helper()
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// generated generates to the end and returns the result.
func generated(t *testing.T, s *Session, prompt []int32, o GenerateOptions) *Result {
	t.Helper()
	var last *Result
	for p, err := range s.GenerateTokens(t.Context(), prompt, o) {
		if err != nil {
			t.Fatal(err)
		}
		last = p.Result
	}
	if last == nil {
		t.Fatal("the last piece has no result")
	}
	return last
}

// numbers returns n tokens, the first of them first.
func numbers(first, n int) []int32 {
	var ids []int32
	for i := range n {
		ids = append(ids, int32((first+i*7)%badToken))
	}
	return ids
}
