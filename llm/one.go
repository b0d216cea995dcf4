package llm

import "context"

// alone continues a text in a session, without others, and yields its pieces.
func (r *run) alone(ctx context.Context, s *Session, yield func(Piece, error) bool) {
	err := r.begin(s)
	for err == nil && !r.over {
		var p Piece
		var added bool
		if p, added, err = r.step(ctx); added && !yield(p, nil) {
			return
		}
	}
	if err == nil || ctx.Err() != nil && !yield(r.end(-1, "", FinishCanceled), nil) {
		return
	}
	yield(Piece{}, err)
}

// step computes a chunk of the prompt, or a token. A text whose sequence is full ends, or makes room.
func (r *run) step(ctx context.Context) (p Piece, added bool, err error) {
	if r.pending() {
		return r.advance(ctx)
	}
	if r.session.full() {
		if ok, err := r.makeRoom(); ok || err != nil {
			return Piece{}, false, err
		}
		return r.end(-1, "", FinishLength), true, nil
	}
	return r.next(ctx)
}

// advance computes a chunk of a text's prompt; the last chunk adds the first token.
func (r *run) advance(ctx context.Context) (p Piece, added bool, err error) {
	if r.embedding != nil {
		return r.embedding.advance(ctx)
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
	return r.next(ctx)
}

// next adds the token after those that are to be fed.
func (r *run) next(ctx context.Context) (p Piece, added bool, err error) {
	id, err := r.session.next(ctx, r.rest, r)
	if err == nil {
		p, err = r.take(id)
	}
	return p, err == nil, err
}

// read tells whoever wants to know how much of the prompt has been read.
func (r *run) read(err error) {
	if r.o.OnPrompt != nil && err == nil && r.chosen == 0 {
		all := len(r.result.Prompt)
		r.o.OnPrompt(all-len(r.rest), all)
	}
}
