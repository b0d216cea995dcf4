package llm

import (
	"context"
	"fmt"
	"slices"
)

// loop continues texts, each in a session of its own, as many at once as there are sessions.
type loop struct {
	several bool               // texts: each begins with an empty cache, or a copy of what another has, and errors name them
	share   func(r *run) error // gives a text what another has computed of its prompt, nil: nothing does
	step    stepper            // of several texts: nil if there is one
	waiting []*run
	active  []*run
	free    []*Session
}

// stepper feeds a token to each of some texts and chooses the next ones. That a loop is given it spares the browser, where there is
// one text, its code.
type stepper = func(ctx context.Context, runs []*run) (ids []int32, err error)

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

// advance computes a chunk of a text's prompt; the last chunk adds the first token.
func (r *run) advance(ctx context.Context) (p Piece, added bool, err error) {
	if r.embedding != nil {
		return r.embed(ctx)
	}
	if r.scoring() {
		return Piece{}, false, r.score(ctx)
	}
	if r.o.most() == 0 {
		return r.scored(r.end(-1, "", FinishLength)), true, nil
	}
	n, err := r.session.prefill(ctx, r.rest)
	r.rest = r.rest[n:]
	if err != nil || n > 0 {
		r.read(err)
		return Piece{}, false, err
	}
	id, err := r.session.next(ctx, r.rest, r)
	if err != nil {
		return Piece{}, false, err
	}
	p, err = r.take(id)
	return p, err == nil, err
}

// read tells whoever wants to know how much of the prompt has been read.
func (r *run) read(err error) {
	if r.o.OnPrompt != nil && err == nil && r.chosen == 0 {
		all := len(r.result.Prompt)
		r.o.OnPrompt(all-len(r.rest), all)
	}
}

// begin gives the first text that waits a session.
func (l *loop) begin() error {
	r, s := l.waiting[0], l.free[0]
	l.waiting, l.free, l.active = l.waiting[1:], l.free[1:], append(l.active, r)
	if l.several {
		s.Reset()
	}
	err := r.begin(s)
	if err == nil && l.share != nil {
		err = l.share(r)
	}
	return l.named(r.index, err)
}

// next chooses the next token of each text that is under way.
func (l *loop) next(ctx context.Context) (ids []int32, err error) {
	if l.step == nil {
		r := l.active[0]
		id, err := r.session.next(ctx, r.rest, r)
		return []int32{id}, err
	}
	return l.step(ctx, l.active)
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
	ids, err := l.next(ctx)
	if err != nil {
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

// named adds to an error which of several texts it is about.
func (l *loop) named(index int, err error) error {
	if err != nil && l.several {
		return fmt.Errorf("prompt %d: %w", index+1, err)
	}
	return err
}
