package sample

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// counting is a Batch whose likeliest token is always the one after the last that was fed, of ten. Every
// other time it hands over no candidates, but all logits.
type counting struct {
	last     [2]int32 // by sequence
	selected int
	fed      []int // sequences, in the order of TopOf
	asked    int
	bad      int32 // a token that cannot be fed
}

var errBad = errors.New("a bad token")

func (c *counting) VocabSize() int     { return 10 }
func (c *counting) Sequences() int     { return len(c.last) }
func (c *counting) Select(s int) error { c.selected = s; return nil }
func (c *counting) Reset()             { c.last[c.selected] = 0 }

func (c *counting) feed(s int, id int32) ([]Candidate, float64, error) {
	if id == c.bad {
		return nil, 0, errBad
	}
	c.last[s] = id
	if c.asked++; c.asked%2 == 0 {
		return nil, 0, nil
	}
	return []Candidate{{(id + 1) % 10, 5}}, 5, nil
}

func (c *counting) Top(_ context.Context, tokens []int32) ([]Candidate, float64, error) {
	c.fed = []int{c.selected}
	return c.feed(c.selected, tokens[len(tokens)-1])
}

func (c *counting) Logits(ctx context.Context) ([]float32, error) { return c.LogitsOf(ctx, 0) }

func (c *counting) LogitsOf(_ context.Context, i int) ([]float32, error) {
	logits := make([]float32, 10)
	logits[(c.last[c.fed[i]]+1)%10] = 5
	return logits, nil
}

func (c *counting) TopOf(_ context.Context, sequences []int, tokens []int32, each func(int, []Candidate, float64) error) error {
	c.fed = slices.Clone(sequences)
	for i, s := range sequences {
		candidates, sum, err := c.feed(s, tokens[i])
		if err != nil {
			return err
		}
		if err := each(i, candidates, sum); err != nil {
			return err
		}
	}
	return nil
}

// texts continues prompts and returns what became of them.
func texts(t *testing.T, m *counting, n int, prompts ...[]int32) (got []string, err error) {
	t.Helper()
	got = make([]string, len(prompts))
	var requests []Request
	for i, p := range prompts {
		s, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, Request{
			Prompt: p, N: n, Sampler: s, Begin: func() { got[i] = "<" }, End: func() { got[i] += ">" },
			Take: func(id int32) bool { got[i] += fmt.Sprint(id); return id != 9 },
		})
	}
	return got, GenerateBatch(context.Background(), m, requests)
}

func TestBatch(t *testing.T) {
	got, err := texts(t, &counting{bad: -1}, 5, []int32{1}, []int32{7, 7}, []int32{2, 3}, []int32{8}, []int32{0})
	if want := []string{"<23456>", "<89>", "<45678>", "<9>", "<12345>"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v: want %v", got, err, want)
	}
	got, err = texts(t, &counting{bad: -1}, 0, []int32{1}, []int32{2})
	if want := []string{"<>", "<>"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("of no token: %v, %v: want %v", got, err, want)
	}
}

func TestBatchErrors(t *testing.T) {
	if _, err := texts(t, &counting{bad: 4}, 5, []int32{1}, []int32{4}); !errors.Is(err, errBad) || !strings.Contains(err.Error(), "prompt 2") {
		t.Errorf("a bad prompt: %v", err)
	}
	got, err := texts(t, &counting{bad: 4}, 5, []int32{1}, []int32{6})
	if want := []string{"<234", "<789>"}; !errors.Is(err, errBad) || !slices.Equal(got, want) {
		t.Errorf("an error on the way: %v, %v: want %v", got, err, want)
	}
	if _, err := texts(t, &counting{bad: -1}, 5, nil); err == nil || !strings.Contains(err.Error(), "prompt 1: the prompt has no token") {
		t.Errorf("no prompt: %v", err)
	}
}
