package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// Model is a model that can be asked for.
type Model struct {
	ID      string
	Aliases []string // other names
	Print   string   // fingerprint: the bundle's ID
	Created time.Time
	Bytes   uint64 // of its weights: what it takes at least

	// Load is called when a request asks for the model.
	Load func(ctx context.Context) (*Loaded, error)
}

// Loaded is a model in memory.
type Loaded struct {
	Model    *llm.Model
	Template func(vars map[string]any) (llm.Template, error) // its chat template with other variables
	Close    func() error                                    // closes Model and whatever it was made from

	// Warmed is told of the kernels of larger batches, once they were compiled in the background; see llm.Scheduler.Warm. nil: they
	// are compiled when they are needed.
	Warmed func(kernels int, took time.Duration, err error)

	// Failed returns why the model can never be used again, because its GPU was lost: it is loaded anew then. nil: that cannot be.
	Failed func() error
}

func (l *Loaded) failed() bool { return l.Failed != nil && l.Failed() != nil }

// registry loads models when they are asked for, and unloads those that were used longest ago when there are too many, when
// they take too much memory, or when nobody has used them for a while.
type registry struct {
	models func() []Model
	most   int           // loaded at once
	queue  int           // texts that may wait for a model
	budget uint64        // bytes that loaded models may take together, 0: any number
	keep   time.Duration // how long a model that is not used stays loaded, 0: until another needs its place

	life    context.Context // of loading, and of the texts of models that are being unloaded; it ends with that of close
	end     context.CancelFunc
	closing sync.WaitGroup // models that are being unloaded

	mu      sync.Mutex
	loaded  []*loaded  // the one that was used longest ago first
	waiting []*pending // requests whose models have no room yet, in their order
	closed  bool
}

// loaded is a model in memory, or on its way there.
type loaded struct {
	*Model
	ready     chan struct{} // closed when it is loaded, or failed
	in        *Loaded
	scheduler *llm.Scheduler
	forms     forms
	formats   formats
	err       error
	users     int         // requests
	bytes     uint64      // that it takes; before it is loaded, at least
	idle      *time.Timer // unloads it, nil: it is in use, or stays
}

// find returns the model with a name. With one model any name will do: many clients send that of another.
func (r *registry) find(name string) (*Model, error) {
	models := r.models()
	if len(models) == 1 {
		return &models[0], nil
	}
	for i := range models {
		if m := &models[i]; m.ID == name || slices.Contains(m.Aliases, name) {
			return m, nil
		}
	}
	if name == "" {
		return nil, bad("model", "there are several models: name one of those at /v1/models")
	}
	return nil, &apiError{http.StatusNotFound, "there is no model " + name + "; those that there are, are at /v1/models", "invalid_request_error", "model", "model_not_found"}
}

// errBusy says that the models which are in use leave no room for another.
var errBusy = errors.New("all models that fit are in use")

// use returns a model, loaded, until release is called with it.
func (r *registry) use(ctx context.Context, name string) (*loaded, error) {
	m, err := r.find(name)
	if err != nil {
		return nil, err
	}
	l, err := r.begin(ctx, m)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.ready:
	case <-ctx.Done():
		r.release(l)
		return nil, context.Cause(ctx)
	}
	if l.err != nil {
		r.release(l)
		return nil, l.err
	}
	return l, nil
}

// take returns a model that is loaded, or begins to load it. The error is errBusy if there is no room. It needs r.mu.
func (r *registry) take(m *Model) (*loaded, error) {
	r.retire()
	if i := slices.IndexFunc(r.loaded, func(l *loaded) bool { return l.ID == m.ID && l.Print == m.Print }); i >= 0 {
		l := r.loaded[i]
		r.loaded = append(slices.Delete(r.loaded, i, i+1), l)
		l.users++
		if l.idle != nil {
			l.idle.Stop()
			l.idle = nil
		}
		return l, nil
	}
	old, err := r.room(m)
	if err != nil {
		return nil, err
	}
	l := &loaded{Model: m, ready: make(chan struct{}), users: 1, bytes: m.Bytes}
	r.loaded = append(r.loaded, l)
	go r.load(l, old)
	return l, nil
}

// load loads a model in place of old ones.
func (r *registry) load(l *loaded, old []*loaded) {
	r.fill(l, old)
	close(l.ready)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.admit() // whoever it was loaded for may have gone, or it has failed
}

// fill makes what load loads. A model that cannot be loaded is forgotten, so that the next request tries again.
func (r *registry) fill(l *loaded, old []*loaded) {
	for _, o := range old {
		o.close(r.life)
	}
	in, err := l.Load(r.life)
	if err == nil {
		if l.scheduler, err = llm.NewScheduler(in.Model, r.queue); err != nil {
			err = errors.Join(err, in.Close())
		} else if in.Warmed != nil {
			l.scheduler.Warm(in.Warmed)
		}
		l.in = in
	}
	if err != nil && r.life.Err() != nil { // whatever the loader says about it
		err = llm.ErrClosed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.err = err; err != nil {
		r.loaded = slices.DeleteFunc(r.loaded, func(o *loaded) bool { return o == l })
		return
	}
	l.bytes = 0
	for _, bytes := range in.Model.Memory() {
		l.bytes += bytes
	}
	r.shrink()
}

func (r *registry) release(l *loaded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.users--
	if l.users > 0 || r.closed {
		return
	}
	r.shrink() // it may have been too much before, and in use
	if r.keep > 0 {
		l.idle = time.AfterFunc(r.keep, func() { r.expire(l) })
	}
	r.admit()
}

// close unloads a model, once its texts have ended or ctx has.
func (l *loaded) close(ctx context.Context) {
	<-l.ready
	if l.err == nil {
		l.scheduler.Close(ctx)
		_ = l.in.Close() // nothing of it is used any more
	}
}

// parting is how long close waits for models after its context has ended. A step takes less; a kernel that is being compiled may
// not, and nothing can stop a driver's compiler.
const parting = 2 * time.Second

// close unloads all models. Those that are still in use parting after ctx has ended are freed once they are not.
func (r *registry) close(ctx context.Context) {
	defer context.AfterFunc(ctx, r.end)()
	r.mu.Lock()
	r.closed = true
	r.dismiss()
	list := r.loaded
	r.loaded = nil
	r.mu.Unlock()
	for _, l := range list {
		r.closing.Go(func() { l.close(ctx) })
	}
	closed := make(chan struct{})
	go func() {
		r.closing.Wait()
		r.end()
		close(closed)
	}()
	select {
	case <-closed:
		return
	case <-ctx.Done():
	}
	select {
	case <-closed:
	case <-time.After(parting):
	}
}

// running returns the models that are loaded.
func (r *registry) running() (list []*loaded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.loaded {
		if l.isReady() && l.err == nil {
			list = append(list, l)
		}
	}
	return list
}
