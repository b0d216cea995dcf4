package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// loads records which models are loaded, all of which fail.
type loads struct {
	mu    sync.Mutex
	names []string
}

func (o *loads) model(name string) *Model {
	return &Model{ID: name, Print: name, Load: func(context.Context) (*Loaded, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.names = append(o.names, name)
		return nil, errors.New("no weights")
	}}
}

func (o *loads) seen() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.names)
}

// inUse returns a registry for one model, which is loaded and in use.
func inUse(t *testing.T, m *Model, queue int) (*registry, *loaded) {
	r := &registry{most: 1, queue: queue}
	r.life, r.end = context.WithCancel(t.Context())
	l := &loaded{Model: m, ready: make(chan struct{}), users: 1, err: errors.New("has nothing to close")}
	close(l.ready)
	r.loaded = []*loaded{l}
	return r, l
}

// enter has a request ask for a model, which must wait.
func enter(t *testing.T, r *registry, m *Model) *pending {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	p, _, err := r.enter(m)
	if p == nil {
		t.Fatalf("%s does not wait: %v", m.ID, err)
	}
	return p
}

func done(t *testing.T, p *pending) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatalf("%s still waits", p.model.ID)
	}
}

// TestWaiting has requests wait for room: in their order, those for one model together, and before later ones for a model that is
// loaded, once they have waited long enough.
func TestWaiting(t *testing.T) {
	var o loads
	a, b, c := o.model("a"), o.model("b"), o.model("c")
	r, used := inUse(t, a, 5)
	first, second, third := enter(t, r, b), enter(t, r, c), enter(t, r, b)
	r.mu.Lock()
	if _, l, err := r.enter(a); l != used || err != nil { // it is loaded, and the others have just come
		t.Fatalf("a: %v, %v", l, err)
	}
	r.waiting[0].since = time.Now().Add(-2 * patience)
	r.mu.Unlock()
	last, gone := enter(t, r, a), enter(t, r, b)
	r.mu.Lock()
	if _, _, err := r.enter(c); !errors.Is(err, llm.ErrQueueFull) {
		t.Errorf("a sixth: %v, want %v", err, llm.ErrQueueFull)
	}
	r.mu.Unlock()
	r.leave(gone)
	r.release(used)
	if len(o.seen()) > 0 {
		t.Errorf("%v was loaded while a was in use", o.seen())
	}
	r.release(used)
	for _, p := range []*pending{first, third, second, last} {
		done(t, p)
	}
	if first.l == nil || first.l != third.l {
		t.Errorf("those who wait for b get %p and %p", first.l, third.l)
	}
	<-last.l.ready
	if got := o.seen(); !slices.Equal(got, []string{"b", "c", "a"}) {
		t.Errorf("loaded: %v", got)
	}
}

// TestWaitingEnds has a registry close, and clients go, while requests wait.
func TestWaitingEnds(t *testing.T) {
	var o loads
	a, b := o.model("a"), o.model("b")
	r, _ := inUse(t, a, 5)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := r.begin(ctx, b)
		left <- err
	}()
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) || len(r.waiting) > 0 {
		t.Errorf("gone: %v, %d wait", err, len(r.waiting))
	}
	p := enter(t, r, b)
	r.close(t.Context())
	if done(t, p); !errors.Is(p.err, llm.ErrClosed) {
		t.Errorf("closed: %v", p.err)
	}
	if _, err := r.begin(t.Context(), b); !errors.Is(err, llm.ErrClosed) {
		t.Errorf("after it: %v", err)
	}
	if len(o.seen()) > 0 {
		t.Errorf("loaded: %v", o.seen())
	}
}
