package llm

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// loop continues several texts, each in a session of its own, as many at once as there are sessions. Each begins with an empty cache,
// or with a copy of what another has.
type loop struct {
	m       *Model
	share   func(r *run) error // gives a text what another has computed of its prompt, nil: nothing does
	waiting []*run
	active  []*run
	free    []*Session
}

// run yields pieces until all texts have ended.
func (l *loop) run(ctx context.Context, yield func(Piece, error) bool) {
	for len(l.waiting)+len(l.active) > 0 {
		pieces, err := l.advance(ctx)
		for _, p := range pieces {
			if !yield(p, nil) {
				return
			}
		}
		if err != nil {
			l.fail(ctx, err, yield)
			return
		}
	}
}

// advance computes one chunk of a prompt, or one token of each text that is under way: prompts come first.
func (l *loop) advance(ctx context.Context) ([]Piece, error) {
	at := slices.IndexFunc(l.active, (*run).pending)
	if at < 0 {
		if len(l.waiting) == 0 || len(l.free) == 0 {
			return l.decode(ctx)
		}
		if err := l.begin(); err != nil {
			return nil, err
		}
		at = len(l.active) - 1
	}
	r := l.active[at]
	p, added, err := r.advance(ctx)
	if err != nil || !added {
		return nil, l.named(r.index, err)
	}
	return l.ended(p), nil
}

// begin gives the first text that waits a session.
func (l *loop) begin() error {
	r, s := l.waiting[0], l.free[0]
	l.waiting, l.free, l.active = l.waiting[1:], l.free[1:], append(l.active, r)
	s.Reset()
	err := r.begin(s)
	if err == nil && l.share != nil {
		err = l.share(r)
	}
	return l.named(r.index, err)
}

// decode computes one token of each text that is under way. A text whose sequence is full ends, or makes room.
func (l *loop) decode(ctx context.Context) ([]Piece, error) {
	var ended []Piece
	shifted := false
	for _, r := range l.active {
		if !r.session.full() {
			continue
		}
		ok, err := r.makeRoom()
		if err != nil {
			return nil, l.named(r.index, err)
		}
		if shifted = shifted || ok; !ok {
			ended = append(ended, r.end(-1, "", FinishLength))
		}
	}
	if shifted || ended != nil {
		return l.ended(ended...), nil
	}
	ids, failed, err := l.m.together(ctx, l.active)
	if err = cmp.Or(slices.Concat([]error{err}, failed)...); err != nil {
		return nil, err
	}
	pieces := make([]Piece, len(ids))
	for i, r := range l.active {
		if pieces[i], err = r.take(ids[i]); err != nil {
			return nil, l.named(r.index, err)
		}
	}
	return l.ended(pieces...), nil
}

// ended gives back the sessions of texts that have ended.
func (l *loop) ended(pieces ...Piece) []Piece {
	l.active = slices.DeleteFunc(l.active, func(r *run) bool {
		if r.over {
			l.free = append(l.free, r.session)
		}
		return r.over
	})
	return pieces
}

// fail ends all texts. If it is the context that has ended, what there is of each comes first.
func (l *loop) fail(ctx context.Context, err error, yield func(Piece, error) bool) {
	if ctx.Err() != nil {
		for _, r := range slices.Concat(l.active, l.waiting) {
			if !yield(r.end(-1, "", FinishCanceled), nil) {
				return
			}
		}
	}
	yield(Piece{}, err)
}

// named adds to an error which of the texts it is about.
func (l *loop) named(index int, err error) error {
	if err != nil {
		return fmt.Errorf("prompt %d: %w", index+1, err)
	}
	return err
}
