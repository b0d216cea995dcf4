package transformer

import (
	"context"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// ahead is a step, the pass of one token for each of several sequences from the embedding to the candidates, that
// is encoded before its tokens are known.
type ahead struct {
	key        bodyKey // of what is encoded; zero: nothing
	place      int     // … where its results are kept
	submission gpu.Submission
	steps      [2]map[bodyKey][]*gpu.Program // by place
}

// advance feeds one token to each of several sequences and returns the candidates for what follows. While the
// device computes, it sends the step after that, if the lead allows it, and encodes another.
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
	if err := t.encode(l.place, t.passes.key(n, context, graph.Single), under); err != nil {
		return nil, err
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
	t.lead.place = t.ahead.place // where it is encoded for, if it is
	err := t.sendAt(t.lead.place, len(rows), longest(rows), false)
	t.lead.odds.sent()
	return err
}

// sendAt sends a step of n tokens whose results are kept in one of the places.
func (t *Transformer) sendAt(place, n, context int, busy bool) error {
	if err := t.encode(place, t.passes.key(n, context, graph.Single), busy); err != nil {
		return err
	}
	t.ahead.key = bodyKey{}
	return t.ahead.submission.Send()
}

// fed moves the sequences of rows one token on.
func (t *Transformer) fed(rows []graph.Row) {
	for _, r := range rows {
		t.sequences.positions[r.Sequence]++
	}
}

// encode makes sure that a step is encoded, to be sent to a device that is busy or not.
func (t *Transformer) encode(place int, key bodyKey, busy bool) error {
	if t.ahead.key == key && t.ahead.place == place {
		return nil
	}
	t.ahead.submission.Release()
	t.ahead.key = bodyKey{}
	programs, err := t.step(place, key)
	if err != nil {
		return err
	}
	if err := t.dev.Encode(&t.ahead.submission, programs, busy); err != nil {
		return err
	}
	t.ahead.key, t.ahead.place = key, place
	return nil
}

// step returns the programs of a step.
func (t *Transformer) step(place int, key bodyKey) ([]*gpu.Program, error) {
	steps := &t.ahead.steps[place]
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
