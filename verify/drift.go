package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// driftChunk is how many tokens both models read before their logits are compared: it bounds the
// memory to 2·driftChunk·vocab float32.
const driftChunk = 64

// Windows cuts a stream of token ids into at most n windows (n = 0: as many as there are) of
// windowTokens each, one after the other, and drops the rest. As in llama-perplexity the first token
// of each window is replaced by bos, unless bos is negative (a model without one).
func Windows(ids []int32, bos int32, windowTokens, n int) ([][]int32, error) {
	if windowTokens < 4 || n < 0 {
		return nil, fmt.Errorf("%d windows of %d tokens: want 0 or more windows of 4 or more tokens", n, windowTokens)
	}
	if len(ids) < windowTokens {
		return nil, fmt.Errorf("the text has %d tokens, one window needs %d", len(ids), windowTokens)
	}
	have := len(ids) / windowTokens
	if n > 0 {
		have = min(have, n)
	}
	windows := make([][]int32, have)
	for i := range windows {
		windows[i] = slices.Clone(ids[i*windowTokens : (i+1)*windowTokens])
		if bos >= 0 {
			windows[i][0] = bos
		}
	}
	return windows, nil
}

// MeasureDrift runs both models over the windows and compares the predictions in the second half of
// each: of n tokens, positions n/2 to n−2 predict the tokens after them (255 of a window of 512).
// Both run at the same time and must not share state. The windows have the same length; progress may
// be nil. An error that is a *NonFiniteError says which model made NaN or Inf, and where.
func MeasureDrift(ctx context.Context, reference, candidate Forwarder, windows [][]int32, progress func(done, total int)) (*Drift, error) {
	d, _, err := MeasureDriftDetails(ctx, reference, candidate, windows, 0, progress)
	return d, err
}

// MeasureDriftDetails is MeasureDrift that also returns the distribution of the KL divergences and
// up to worst of the largest ones.
func MeasureDriftDetails(ctx context.Context, reference, candidate Forwarder, windows [][]int32, worst int, progress func(done, total int)) (*Drift, *Details, error) {
	if len(windows) == 0 || len(windows[0]) < 4 {
		return nil, nil, errors.New("drift: want at least one window of at least 4 tokens")
	}
	vocab := reference.VocabSize()
	if v := candidate.VocabSize(); v != vocab {
		return nil, nil, fmt.Errorf("drift: the reference model has %d tokens, the bundle %d", vocab, v)
	}
	ref := &side{name: "reference model", f: reference, vocab: vocab}
	cand := &side{name: "bundle", f: candidate, vocab: vocab}
	m := Metrics{worst: worstList{most: worst}}
	for i, w := range windows {
		if len(w) != len(windows[0]) {
			return nil, nil, fmt.Errorf("drift: window %d has %d tokens, window 0 has %d", i, len(w), len(windows[0]))
		}
		if err := driftWindow(ctx, ref, cand, i, w, &m); err != nil {
			return nil, nil, fmt.Errorf("drift: window %d: %w", i, err)
		}
		if progress != nil {
			progress(i+1, len(windows))
		}
	}
	d := m.Drift()
	d.Windows, d.WindowTokens = len(windows), len(windows[0])
	return d, &Details{Histogram: histogram(m.klds), Worst: m.worst.list}, nil
}

// driftWindow feeds window number n to both sides in lock-step. The last token is only predicted.
func driftWindow(ctx context.Context, ref, cand *side, n int, w []int32, m *Metrics) error {
	for i, id := range w {
		if id < 0 || int(id) >= ref.vocab {
			return fmt.Errorf("token %d is %d: the vocabulary has %d", i, id, ref.vocab)
		}
	}
	ref.reset()
	cand.reset()
	first := len(w) / 2
	for pos, from := 0, first; pos < len(w)-1; from = 0 {
		end := min(pos+from+driftChunk, len(w)-1)
		err := both(ctx,
			func(ctx context.Context) error { return ref.keep(ctx, w[pos:end], from) },
			func(ctx context.Context) error { return cand.keep(ctx, w[pos:end], from) })
		if err != nil {
			return err
		}
		found, err := compareRows(ref, cand, end-pos-from)
		if err != nil {
			return fmt.Errorf("token %d: %w", pos+from+len(found), err)
		}
		for row, c := range found {
			i := pos + from + row
			a, b := ref.row(row), cand.row(row)
			m.count(c, a[w[i+1]], b[w[i+1]])
			if m.worst.wants(c.kld) {
				m.worst.put(newPosition(n, i, w[i+1], c, a, b))
			}
		}
		pos = end
	}
	return nil
}

// compareRows compares the first n kept rows of both sides, several at a time. If one cannot be compared, it
// returns those before the first such one, and why.
func compareRows(ref, cand *side, n int) ([]comparison, error) {
	found, failed := make([]comparison, n), make([]error, n)
	var group sync.WaitGroup
	threads := min(runtime.GOMAXPROCS(0), n)
	for k := range threads {
		group.Go(func() {
			for i := k; i < n; i += threads {
				found[i], failed[i] = compare(ref.row(i), cand.row(i))
			}
		})
	}
	group.Wait()
	for i, err := range failed {
		if err != nil {
			return found[:i], err
		}
	}
	return found, nil
}

// both runs a beside b, cancels the other when one fails, and returns the error that came first.
func both(ctx context.Context, a, b func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run := func(f func(context.Context) error) error {
		err := f(ctx)
		if err != nil {
			cancel(err)
		}
		return err
	}
	done := make(chan error, 1)
	go func() { done <- run(a) }()
	errB := run(b)
	errA := <-done
	if errA == nil && errB == nil {
		return nil
	}
	return context.Cause(ctx)
}
