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
	programs   map[stepsKey][]*gpu.Program
}

// stepsKey names steps that follow each other: how many they are, and the body of each.
type stepsKey struct {
	steps  int
	bodies [mostAhead]bodyKey
}

// mostAhead is how many steps are sent together at most: as many as graph.Places has pairs for.
const mostAhead = 4

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
		l.under = t.encodedSteps(1-l.place, n, context)
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

// encodedSteps is how many steps to send: those that are encoded for a place, if they are not more than should be sent.
func (t *Transformer) encodedSteps(place, n, context int) int {
	steps, have := t.atOnce(n, context), t.ahead[place].key
	if have.steps > 0 && have.steps < steps && t.stepsKey(n, context, have.steps) == have {
		return have.steps
	}
	return steps
}

// encodeNext has the steps encoded that come next, the first of which is for a context of this length.
func (t *Transformer) encodeNext(n, context int) error {
	l := &t.lead
	places := []int{l.place, 1 - l.place}
	if l.under == 0 {
		places = places[:1]
	}
	for _, place := range places {
		steps := 1
		if l.under > 0 {
			steps = t.atOnce(n, context)
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
	k := stepsKey{steps: steps}
	for i := range steps {
		k.bodies[i] = t.stepKey(n, context+i)
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
	programs, err := t.stepPrograms(place, key)
	if err != nil {
		return err
	}
	if err := by(&a.submission, programs, busy); err != nil {
		return err
	}
	a.key = key
	return nil
}

// stepPrograms returns the programs of steps.
func (t *Transformer) stepPrograms(place int, key stepsKey) ([]*gpu.Program, error) {
	a := &t.ahead[place]
	if p := a.programs[key]; p != nil {
		return p, nil
	}
	var all []*gpu.Program
	for i, k := range key.bodies[:key.steps] {
		b, err := t.passes.body(k)
		if err != nil {
			return nil, err
		}
		head, err := t.passes.head(headAt(0, k.n, b.squares, place+2*i))
		if err != nil {
			return nil, err
		}
		last := 0
		if i == key.steps-1 {
			last = key.steps
		}
		top, err := t.finder.program(finding{k.n, place + 2*i, last})
		if err != nil {
			return nil, err
		}
		all = append(append(all, b.programs...), head, top)
	}
	if a.programs == nil {
		a.programs = map[stepsKey][]*gpu.Program{}
	}
	a.programs[key] = all
	return all, nil
}

// longest returns the context that the longest of the rows' sequences has then.
func longest(rows []graph.Row) int {
	n := 0
	for _, r := range rows {
		n = max(n, r.Position+1)
	}
	return n
}
