package server

import (
	"context"
	"slices"
	"time"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// patience is how long a request waits for room for its model before others no longer go ahead of it, whose models are loaded.
const patience = 5 * time.Second

// pending is a request that waits until its model has room.
type pending struct {
	model *Model
	since time.Time
	done  chan struct{} // closed when l or err is set
	l     *loaded
	err   error
}

// begin returns a model that is loaded or that is being loaded. While those that are in use leave no room for it, it waits.
func (r *registry) begin(ctx context.Context, m *Model) (*loaded, error) {
	r.mu.Lock()
	p, l, err := r.enter(m)
	r.mu.Unlock()
	if p == nil {
		return l, err
	}
	select {
	case <-p.done:
		return p.l, p.err
	case <-ctx.Done():
		r.leave(p)
		return nil, context.Cause(ctx)
	}
}

// enter returns a model if there is room for it, or else a place among those who wait. It needs r.mu.
func (r *registry) enter(m *Model) (*pending, *loaded, error) {
	if r.closed {
		return nil, nil, llm.ErrClosed
	}
	if len(r.waiting) == 0 || time.Since(r.waiting[0].since) < patience {
		if l, err := r.take(m); err != errBusy {
			return nil, l, err
		}
	}
	if len(r.waiting) >= r.queue {
		return nil, nil, llm.ErrQueueFull
	}
	p := &pending{model: m, since: time.Now(), done: make(chan struct{})}
	r.waiting = append(r.waiting, p)
	return p, nil, nil
}

// leave takes out a request whose client has gone.
func (r *registry) leave(p *pending) {
	r.mu.Lock()
	at := slices.Index(r.waiting, p)
	if at >= 0 {
		r.waiting = slices.Delete(r.waiting, at, at+1)
		r.admit() // those behind it
	}
	r.mu.Unlock()
	if at < 0 && p.l != nil { // it has just been admitted
		r.release(p.l)
	}
}

// admit gives those who wait their models, in their order, as long as there is room. All who wait for one model get it together. It
// needs r.mu, and is called whenever there may be room.
func (r *registry) admit() {
	for len(r.waiting) > 0 {
		m := r.waiting[0].model
		l, err := r.take(m)
		if err == errBusy {
			return
		}
		r.waiting = slices.DeleteFunc(r.waiting, func(p *pending) bool {
			if p.model.ID != m.ID || p.model.Print != m.Print {
				return false
			}
			if p.l, p.err = l, err; l != nil {
				l.users++
			}
			close(p.done)
			return true
		})
		if l != nil {
			l.users-- // take has counted one
		}
	}
}

// dismiss ends the waiting of all. It needs r.mu.
func (r *registry) dismiss() {
	for _, p := range r.waiting {
		p.err = llm.ErrClosed
		close(p.done)
	}
	r.waiting = nil
}
