package transformer

import (
	"context"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// ahead is a step, the pass of one token for each of several sequences from the embedding to the candidates, that
// is encoded before its tokens are known. There is one for each place where results are kept.
type ahead struct {
	key        bodyKey // of what is encoded; zero: nothing
	submission gpu.Submission
	steps      map[bodyKey][]*gpu.Program
}

// advance feeds one token to each of several sequences and returns the candidates for what follows. While the
// device computes, it sends the step after that, if the lead allows it, and has the next ones encoded: two take turns, so that one
// can still be encoded while the other is sent.
func (t *Transformer) advance(ctx context.Context, rows []graph.Row) ([]Top, error) {
	if t.trace != nil {
		return t.trace.step(ctx, rows)
	}
	if !t.take(rows) {
		if err := t.send(rows); err != nil {
			return nil, err
		}
	}
	t.fed(rows)
	n, context, l := len(rows), longest(rows)+1, &t.lead
	under := t.mayLead(rows)
	if under {
		if err := t.sendAt(1-l.place, n, context, true); err != nil {
			return nil, err
		}
		for _, r := range rows { // what it writes
			t.sequences.reached[r.Sequence] = max(t.sequences.reached[r.Sequence], r.Position+2)
		}
		context++
	}
	if err := t.encode(l.place, n, context, under, t.dev.EncodeAside); err != nil {
		return nil, err
	}
	if under {
		if err := t.encode(1-l.place, n, context+1, true, t.dev.EncodeAside); err != nil {
			return nil, err
		}
	}
	tops, err := t.finder.read(ctx, l.place, n)
	if err == nil {
		l.rows, l.reloads, l.under = append(l.rows, rows...), t.weights.Reloads(), under
		l.odds.returned()
	}
	return tops, err
}

// send starts a step with tokens that the caller has chosen.
func (t *Transformer) send(rows []graph.Row) error {
	if err := t.graph.Feed(rows); err != nil {
		return err
	}
	if err := t.graph.SetHead(len(rows), 0); err != nil {
		return err
	}
	l := &t.lead
	if key := t.stepKey(len(rows), longest(rows)); t.ahead[l.place].key != key && t.ahead[1-l.place].key == key {
		l.place = 1 - l.place // where it is encoded for
	}
	err := t.sendAt(l.place, len(rows), longest(rows), false)
	l.odds.sent()
	return err
}

// sendAt sends a step of n tokens whose results are kept in one of the places.
func (t *Transformer) sendAt(place, n, context int, busy bool) error {
	if err := t.encode(place, n, context, busy, t.dev.Encode); err != nil {
		return err
	}
	a := &t.ahead[place]
	a.key = bodyKey{}
	return a.submission.Send()
}

// fed moves the sequences of rows one token on.
func (t *Transformer) fed(rows []graph.Row) {
	for _, r := range rows {
		t.sequences.positions[r.Sequence]++
	}
}

// stepKey names the body of a step of n tokens, the longest of whose sequences has that many positions then.
func (t *Transformer) stepKey(n, context int) bodyKey {
	return t.passes.key(n, min(context, t.opts.MaxSeqLen), graph.Single)
}

// encode makes sure that a step whose results are kept in one of the places is encoded, or is being encoded, to be sent to a device
// that is busy or not. by is one of the device's two ways.
func (t *Transformer) encode(place, n, context int, busy bool, by func(*gpu.Submission, []*gpu.Program, bool) error) error {
	a, key := &t.ahead[place], t.stepKey(n, context)
	if a.key == key {
		return nil
	}
	a.submission.Release()
	a.key = bodyKey{}
	programs, err := t.step(place, key)
	if err != nil {
		return err
	}
	if err := by(&a.submission, programs, busy); err != nil {
		return err
	}
	a.key = key
	return nil
}

// step returns the programs of a step.
func (t *Transformer) step(place int, key bodyKey) ([]*gpu.Program, error) {
	steps := &t.ahead[place].steps
	if p := (*steps)[key]; p != nil {
		return p, nil
	}
	b, err := t.passes.body(key)
	if err != nil {
		return nil, err
	}
	head, err := t.passes.head(headAt(0, key.n, b.squares, place))
	if err != nil {
		return nil, err
	}
	top, err := t.finder.program(key.n, place)
	if err != nil {
		return nil, err
	}
	if *steps == nil {
		*steps = map[bodyKey][]*gpu.Program{}
	}
	(*steps)[key] = append(slices.Clone(b.programs), head, top)
	return (*steps)[key], nil
}

// longest returns the context that the longest of the rows' sequences has then.
func longest(rows []graph.Row) int {
	n := 0
	for _, r := range rows {
		n = max(n, r.Position+1)
	}
	return n
}
