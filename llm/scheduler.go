package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrQueueFull is the error of a text that is refused because the queue is full.
var ErrQueueFull = errors.New("too many texts are waiting")

// Scheduler continues texts that are requested at any time, from any goroutine, as many at once as the model has sequences; others
// wait in order. Each step computes one chunk, of one long prompt or of several prompts, and one token of every text that has begun:
// prompts delay other texts by no more than a chunk. A text gets the sequence whose cache has most of the beginning of its prompt.
type Scheduler struct {
	m     *Model
	queue int
	ctx   context.Context // of what is computed
	stop  context.CancelFunc
	wake  chan struct{} // something has changed; room for one
	done  chan struct{} // closed when nothing runs any more

	first   chan struct{}   // closed when a text has its first token
	quit    context.Context // ends when Close is called
	leaving context.CancelFunc

	mu       sync.Mutex
	waiting  []*text
	closing  bool
	ended    bool
	stats    SchedulerStats
	later    int               // texts of all readers' lists of that name
	busy     map[*Session]bool // see Slot
	loans    []*loan           // that have not begun
	lent     int               // sessions
	returned []*Session        // after a loan

	sessions []*Session // all of them
	copies   bool       // what they hold can be copied

	// of the goroutine that computes
	active []*text    // in the order in which they began
	free   []*Session // the one that was used longest ago first
	turn   int        // steps with prompts, see order
	begun  bool       // a text has had its first token
	served []*Texts   // that have something to take, since ring
	bell   chan []*Texts
}

// NewScheduler makes a scheduler of all sequences of a model that are free. queue is how many texts may wait.
func NewScheduler(m *Model, queue int) (*Scheduler, error) {
	sessions, err := m.takeAll()
	if err != nil {
		return nil, err
	}
	s := &Scheduler{m: m, queue: queue, sessions: sessions, free: slices.Clone(sessions), busy: map[*Session]bool{}, wake: make(chan struct{}, 1), done: make(chan struct{}), bell: make(chan []*Texts, 1), first: make(chan struct{})}
	_, s.copies = m.engine.(Copier)
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.quit, s.leaving = context.WithCancel(s.ctx)
	go s.run()
	go s.wakeReaders()
	return s, nil
}

// Model returns the model.
func (s *Scheduler) Model() *Model { return s.m }

// Embed returns the embedding of a text, when it is its turn; see Session.Embed. The error may be ErrQueueFull or ErrClosed as
// well.
func (s *Scheduler) Embed(ctx context.Context, tokens []int32, p Pooling) ([]float32, error) {
	r, err := newEmbedding(s.m, tokens, p)
	if err != nil {
		return nil, err
	}
	t, err := s.start(ctx, r)
	if err != nil {
		return nil, err
	}
	t.follow(func(_ Piece, failed error) bool {
		err = failed
		return true
	})
	if err != nil {
		return nil, err
	}
	return Unit(r.embedding.sum)
}

// Close takes on no more texts, lets those that run end until ctx ends, and then ends them. It gives the sequences back. It
// does not wait for a kernel that Warm is compiling: closing the device does.
func (s *Scheduler) Close(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.leaving()
	signal(s.wake)
	select {
	case <-s.done:
	case <-ctx.Done():
		s.stop()
		<-s.done
	}
	s.stop()
}

// run computes until the scheduler is closed and nothing is left.
func (s *Scheduler) run() {
	defer close(s.done)
	defer close(s.bell)
	for {
		s.drop()
		s.lend()
		s.admit()
		s.ring()
		if len(s.active) > 0 && s.ctx.Err() == nil {
			s.step()
			continue
		}
		s.mu.Lock()
		idle, closing := len(s.waiting) == 0, s.closing && s.lent == 0
		s.mu.Unlock()
		switch {
		case s.ctx.Err() != nil, closing && idle:
			s.end()
			s.ring()
			return
		case idle || len(s.active) == 0:
			select {
			case <-s.wake:
			case <-s.ctx.Done():
			}
		}
	}
}

// end ends what is left, and gives the sequences back.
func (s *Scheduler) end() {
	s.mu.Lock()
	left := slices.Concat(s.active, s.waiting)
	s.free = append(s.free, s.returned...)
	s.waiting, s.later, s.closing, s.ended = nil, 0, true, true // what is lent, giveBack closes
	s.mu.Unlock()
	for _, t := range left {
		s.deliver(t, Piece{}, fmt.Errorf("scheduler: %w", ErrClosed))
		if t.session != nil {
			s.free = append(s.free, t.session)
		}
	}
	for _, session := range s.free {
		session.Close()
	}
}

// drop ends texts that nobody wants any more.
func (s *Scheduler) drop() {
	gone := func(t *text) bool { return t.ctx.Err() != nil }
	for _, t := range slices.Clone(s.active) {
		if gone(t) {
			s.cancel(t)
		}
	}
	s.mu.Lock()
	var canceled []*text
	s.waiting = slices.DeleteFunc(s.waiting, func(t *text) bool {
		if gone(t) {
			canceled = append(canceled, t)
		}
		return gone(t)
	})
	s.mu.Unlock()
	for _, t := range canceled {
		s.cancel(t)
	}
}

// cancel ends a text whose context has ended.
func (s *Scheduler) cancel(t *text) {
	p := t.run.end(-1, "", FinishCanceled)
	s.forget(t.to)
	s.leave(t)
	s.deliver(t, p, nil)
	s.deliver(t, Piece{}, context.Cause(t.ctx))
}

// leave gives back the sequence of a text that has ended.
func (s *Scheduler) leave(t *text) {
	i := slices.Index(s.active, t)
	if i < 0 {
		return
	}
	s.active = slices.Delete(s.active, i, i+1)
	s.free = append(s.free, t.session)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[t.session] = false
	s.following(t)
	s.count(t)
	s.stats.Running--
	s.stats.Ended++
}

// fail ends a text with an error: that the scheduler was closed, if this is what has ended the step.
func (s *Scheduler) fail(t *text, err error) {
	if s.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = fmt.Errorf("scheduler: %w", ErrClosed)
	}
	s.forget(t.to) // an error ends all texts of a reader
	s.leave(t)
	s.deliver(t, Piece{}, err)
}

// step computes a chunk of prompts, and a token of each text that has begun.
func (s *Scheduler) step() {
	defer s.countAll()
	var prompts, begun []*text
	for _, t := range slices.Clone(s.active) {
		s.catchUp(t)
	}
	for _, t := range s.active {
		switch {
		case !t.pending() || s.joins(t):
			begun = append(begun, t)
		case !t.waits:
			prompts = append(prompts, t)
		}
	}
	s.prompts(prompts)
	s.decode(begun)
}

// took delivers what a step has added to a text.
func (s *Scheduler) took(t *text, p Piece, err error) {
	if !s.begun && !t.run.first.IsZero() {
		s.begun = true
		close(s.first)
	}
	switch {
	case err != nil:
		s.fail(t, err)
	case p.Result != nil:
		s.leave(t)
		s.deliver(t, p, nil)
	default:
		s.deliver(t, p, nil)
	}
}

// decode computes a token of each of some texts.
func (s *Scheduler) decode(texts []*text) {
	var ready []*text
	for _, t := range texts {
		if t.session.full() {
			ok, err := t.makeRoom()
			switch {
			case err != nil:
				s.fail(t, err)
			case !ok:
				s.took(t, t.run.end(-1, "", FinishLength), nil)
			}
			continue
		}
		ready = append(ready, t)
	}
	if len(ready) == 0 {
		return
	}
	ids, failed, err := s.m.together(s.ctx, runsOf(ready))
	s.mu.Lock()
	s.stats.Steps++
	s.stats.StepTokens += len(ready)
	s.mu.Unlock()
	for i, t := range ready {
		if err != nil || failed[i] != nil {
			s.fail(t, cmp.Or(failed[i], err)) // err alone where nothing was fed
			continue
		}
		p, err := t.take(ids[i])
		s.took(t, p, err)
	}
}
