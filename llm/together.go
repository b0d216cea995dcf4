package llm

import (
	"cmp"
	"context"
	"fmt"
)

// together feeds a token to each of some sessions, all of one model, and chooses the next ones. failed says for which texts no
// token could be chosen.
func (m *Model) together(ctx context.Context, runs []*run) (ids []int32, failed []error, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids, failed = make([]int32, len(runs)), make([]error, len(runs))
	if m.closed {
		return nil, failed, fmt.Errorf("model: %w", ErrClosed)
	}
	sequences, tokens := make([]int, len(runs)), make([]int32, len(runs))
	for i, r := range runs {
		sequences[i], tokens[i] = r.session.sequence, r.rest[0]
	}
	err = m.explained(ctx, m.choose(ctx, runs, ids, failed, func(each found) error { return m.engine.TopOf(ctx, sequences, tokens, each) }))
	for i, r := range runs {
		failed[i] = r.session.fedTokens(ctx, tokens[i:i+1], cmp.Or(err, m.explained(ctx, failed[i])))
	}
	return ids, failed, err
}
