package transformer

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// step is the pass of one token for each of so many sequences, from the embedding to the candidates.
type step struct {
	key        bodyKey // of what is encoded
	submission gpu.Submission
}

// advance feeds the tokens of t.fed, one for each of its sequences, and returns the candidates for what follows.
// While the device computes, the pass after is encoded, so that its tokens are all that it waits for.
func (t *Transformer) advance(ctx context.Context) ([]Top, error) {
	n := len(t.fed)
	if t.trace != nil {
		return t.advanceTraced(ctx)
	}
	if err := t.writeRows(t.fed); err != nil {
		return nil, err
	}
	if err := t.setStep(0, n, 0); err != nil {
		return nil, err
	}
	if err := t.setStep(headStep, n, 0); err != nil {
		return nil, err
	}
	context := longest(t.fed)
	if err := t.encode(n, context); err != nil {
		return nil, err
	}
	if err := t.next.submission.Send(); err != nil {
		return nil, err
	}
	t.next.key = bodyKey{}
	for _, r := range t.fed {
		t.positions[r.sequence]++
	}
	if err := t.encode(n, context+1); err != nil {
		return nil, err
	}
	return t.readTops(ctx, n)
}

// advanceTraced does it piece by piece.
func (t *Transformer) advanceTraced(ctx context.Context) ([]Top, error) {
	n := len(t.fed)
	if err := t.feedRows(ctx, t.fed); err != nil {
		return nil, err
	}
	for _, r := range t.fed {
		t.positions[r.sequence]++
	}
	if err := t.runHead(0, n); err != nil {
		return nil, err
	}
	return t.runTop(ctx, n)
}

// encode makes sure that the step of n sequences at a context of the given length is encoded.
func (t *Transformer) encode(n, context int) error {
	key := bodyKey{n, t.splits(n, context)}
	if t.next.key == key {
		return nil
	}
	t.next.submission.Release()
	t.next.key = bodyKey{}
	programs, err := t.stepPrograms(key, context)
	if err != nil {
		return err
	}
	if err := t.dev.Encode(&t.next.submission, programs); err != nil {
		return err
	}
	t.next.key = key
	return nil
}

// stepPrograms returns the programs of a step.
func (t *Transformer) stepPrograms(key bodyKey, context int) ([]*gpu.Program, error) {
	if p := t.sequel[key]; p != nil {
		return p, nil
	}
	body, err := t.body(key.n, context)
	if err != nil {
		return nil, err
	}
	t.leaves = t.squares[key.n]
	head, err := t.head(0, key.n)
	if err != nil {
		return nil, err
	}
	top, err := t.topProgram(key.n)
	if err != nil {
		return nil, err
	}
	t.sequel[key] = append(slices.Clone(body), head, top)
	return t.sequel[key], nil
}

// longest returns the context that the longest of the rows' sequences has then.
func longest(rows []row) int {
	n := 0
	for _, r := range rows {
		n = max(n, r.position+1)
	}
	return n
}

// writeRows tells the kernels which tokens are fed.
func (t *Transformer) writeRows(rows []row) error {
	t.rowBytes = t.rowBytes[:0]
	for _, r := range rows {
		for _, v := range []int{int(r.token), r.position, r.sequence, 0} {
			t.rowBytes = binary.LittleEndian.AppendUint32(t.rowBytes, uint32(v))
		}
	}
	return t.rows.Write(0, t.rowBytes)
}
