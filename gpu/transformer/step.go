package transformer

import (
	"context"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// ahead are steps that are encoded before their tokens are known, and sent together. A step is the pass of one token for each of
// several sequences, from the embedding to the candidates. There is one for each place where results are kept.
type ahead struct {
	key        stepsKey // of what is encoded; zero: nothing
	submission gpu.Submission
	programs   []*gpu.Program // of it
}

// stepsKey names steps that follow each other.
type stepsKey struct {
	steps   int
	body    bodyKey // of the first
	context int     // of the first; 0: the bodies of all are the same
}

// advance feeds one token to each of several sequences and returns the candidates for what follows. While the
// device computes, it sends the steps after that, if the lead allows it, and has the next ones encoded: two places take turns, so that
// one can still be encoded while the other is sent.
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
	n, l := len(rows), &t.lead
	tops, err := t.results(ctx, rows)
	if err == nil {
		l.rows, l.reloads = append(l.rows, rows...), t.weights.Reloads()
		l.odds.returned()
	}
	return tops[:min(n, len(tops))], err
}

// results returns the candidates of the step that rows have asked for, once they are there. If it is the first of those that were sent
// together, it has the device go on before it waits.
func (t *Transformer) results(ctx context.Context, rows []graph.Row) ([]Top, error) {
	n, l := len(rows), &t.lead
	if l.at > 0 { // they came with those of the first
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return t.finder.parse(n, l.at)
	}
	context := longest(rows) + l.steps // of the first step after those that were sent
	if t.mayLead() {
		l.under = t.atOnce(n, context)
	}
	if l.under > 0 {
		if err := t.sendAt(1-l.place, n, context, l.under, true); err != nil {
			return nil, err
		}
		for _, r := range rows { // what they write
			t.sequences.reached[r.Sequence] = max(t.sequences.reached[r.Sequence], r.Position+l.steps+l.under)
		}
		context += l.under
	}
	if err := t.encodeNext(n, context); err != nil {
		return nil, err
	}
	return t.finder.read(ctx, l.place, n, l.steps)
}

// encodeNext has the steps encoded that come next, the first of which is for a context of this length.
func (t *Transformer) encodeNext(n, context int) error {
	l := &t.lead
	for i := range 1 + min(l.under, 1) {
		place, steps := l.place, 1
		if l.under > 0 {
			place, steps = (l.place+i)%2, t.atOnce(n, context)
		}
		if steps < 1 {
			return nil
		}
		if err := t.encode(place, n, context, steps, l.under > 0, t.dev.EncodeAside); err != nil {
			return err
		}
		context += steps
	}
	return nil
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
	if key := t.stepsKey(len(rows), longest(rows), 1); t.ahead[l.place].key != key && t.ahead[1-l.place].key == key {
		l.place = 1 - l.place // where it is encoded for
	}
	l.at, l.steps = 0, 1
	err := t.sendAt(l.place, len(rows), longest(rows), 1, false)
	l.odds.sent()
	return err
}

// sendAt sends steps of n tokens whose results are kept in one of the places.
func (t *Transformer) sendAt(place, n, context, steps int, busy bool) error {
	if err := t.encode(place, n, context, steps, busy, t.dev.Encode); err != nil {
		return err
	}
	a := &t.ahead[place]
	a.key = stepsKey{}
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

// stepsKey names steps of n tokens, the first of which makes the longest sequence that many positions long.
func (t *Transformer) stepsKey(n, context, steps int) stepsKey {
	k := stepsKey{steps: steps, body: t.stepKey(n, context)}
	if t.stepKey(n, context+steps-1) != k.body {
		k.context = context
	}
	return k
}

// encode makes sure that steps whose results are kept in one of the places are encoded, or are being encoded, to be sent to a device
// that is busy or not. by is one of the device's two ways.
func (t *Transformer) encode(place, n, context, steps int, busy bool, by func(*gpu.Submission, []*gpu.Program, bool) error) error {
	a, key := &t.ahead[place], t.stepsKey(n, context, steps)
	if a.key == key {
		return nil
	}
	a.submission.Release()
	a.key = stepsKey{}
	a.programs = a.programs[:0]
	for i := range steps {
		last := 0
		if i == steps-1 {
			last = steps
		}
		var err error
		if a.programs, err = t.appendStep(a.programs, t.stepKey(n, context+i), finding{n, place + 2*i, last}); err != nil {
			return err
		}
	}
	if err := by(&a.submission, a.programs, busy); err != nil {
		return err
	}
	a.key = key
	return nil
}

// appendStep appends the programs of a step.
func (t *Transformer) appendStep(to []*gpu.Program, key bodyKey, f finding) ([]*gpu.Program, error) {
	b, err := t.passes.body(key)
	if err != nil {
		return to, err
	}
	head, err := t.passes.head(headAt(0, f.n, b.squares, f.place))
	if err != nil {
		return to, err
	}
	top, err := t.finder.program(f)
	return append(append(to, b.programs...), head, top), err
}

// longest returns the context that the longest of the rows' sequences has then.
func longest(rows []graph.Row) int {
	n := 0
	for _, r := range rows {
		n = max(n, r.Position+1)
	}
	return n
}
