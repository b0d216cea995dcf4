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

	// Load is called when a request asks for the model.
	Load func(ctx context.Context) (*Loaded, error)
}

// Loaded is a model in memory.
type Loaded struct {
	Model    *llm.Model
	Template func(vars map[string]any) (llm.Template, error) // its chat template with other variables
	Close    func() error                                    // closes Model and whatever it was made from
}

// registry loads models when they are asked for, and unloads the one that was used longest ago when there are too many.
type registry struct {
	models []Model
	most   int // loaded at once
	queue  int // texts that may wait for a model

	mu     sync.Mutex
	loaded []*loaded // the one that was used longest ago first
	closed bool
}

// loaded is a model in memory, or on its way there.
type loaded struct {
	*Model
	ready     chan struct{} // closed when it is loaded, or failed
	in        *Loaded
	scheduler *llm.Scheduler
	forms     forms
	err       error
	users     int // requests
}

// find returns the model with a name. With one model any name will do: many clients send that of another.
func (r *registry) find(name string) (*Model, error) {
	if len(r.models) == 1 {
		return &r.models[0], nil
	}
	for i := range r.models {
		if m := &r.models[i]; m.ID == name || slices.Contains(m.Aliases, name) {
			return m, nil
		}
	}
	if name == "" {
		return nil, bad("model", "there are several models: name one of those at /v1/models")
	}
	return nil, &apiError{http.StatusNotFound, "there is no model " + name + "; those that there are, are at /v1/models", "invalid_request_error", "model", "model_not_found"}
}

var errBusy = &apiError{http.StatusServiceUnavailable, "all models that fit are in use; try again later", "server_error", "model", "busy"}

// use returns a model, loaded, until release is called with it.
func (r *registry) use(ctx context.Context, name string) (*loaded, error) {
	m, err := r.find(name)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, llm.ErrClosed
	}
	i := slices.IndexFunc(r.loaded, func(l *loaded) bool { return l.Model == m })
	var l, old *loaded
	if i >= 0 {
		l = r.loaded[i]
		r.loaded = append(slices.Delete(r.loaded, i, i+1), l)
	} else {
		if len(r.loaded) >= r.most {
			at := slices.IndexFunc(r.loaded, func(l *loaded) bool { return l.users == 0 })
			if at < 0 {
				r.mu.Unlock()
				return nil, errBusy
			}
			old = r.loaded[at]
			r.loaded = slices.Delete(r.loaded, at, at+1)
		}
		l = &loaded{Model: m, ready: make(chan struct{})}
		r.loaded = append(r.loaded, l)
	}
	l.users++
	r.mu.Unlock()
	if i < 0 {
		go r.load(l, old)
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

// load loads a model in place of an old one. One that cannot be loaded is forgotten, so that the next request tries again.
func (r *registry) load(l, old *loaded) {
	defer close(l.ready)
	if old != nil {
		old.close(context.Background())
	}
	in, err := l.Load(context.Background())
	if err == nil {
		if l.scheduler, err = llm.NewScheduler(in.Model, r.queue); err != nil {
			err = errors.Join(err, in.Close())
		}
		l.in = in
	}
	if l.err = err; err != nil {
		r.mu.Lock()
		r.loaded = slices.DeleteFunc(r.loaded, func(o *loaded) bool { return o == l })
		r.mu.Unlock()
	}
}

func (r *registry) release(l *loaded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.users--
}

// close unloads a model, once its texts have ended or ctx has.
func (l *loaded) close(ctx context.Context) {
	<-l.ready
	if l.err == nil {
		l.scheduler.Close(ctx)
		_ = l.in.Close() // nothing of it is used any more
	}
}

// close unloads all models.
func (r *registry) close(ctx context.Context) {
	r.mu.Lock()
	r.closed = true
	list := r.loaded
	r.loaded = nil
	r.mu.Unlock()
	for _, l := range list {
		l.close(ctx)
	}
}

// running returns the models that are loaded.
func (r *registry) running() (list []*loaded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.loaded {
		select {
		case <-l.ready:
			if l.err == nil {
				list = append(list, l)
			}
		default:
		}
	}
	return list
}

// forms keeps those that requests have asked for: what a form has found out about the vocabulary is worth keeping.
type forms struct {
	mu   sync.Mutex
	last []form
}

type form struct {
	text string
	form *llm.Form
}

// keptForms is how many forms of a model are kept.
const keptForms = 32

// get returns the form of a text, made if it is not kept.
func (f *forms) get(text string, make func() (*llm.Form, error)) (*llm.Form, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.IndexFunc(f.last, func(o form) bool { return o.text == text }); i >= 0 {
		found := f.last[i]
		f.last = append(slices.Delete(f.last, i, i+1), found)
		return found.form, nil
	}
	made, err := make()
	if err != nil {
		return nil, err
	}
	f.last = append(f.last, form{text, made})
	f.last = f.last[max(0, len(f.last)-keptForms):]
	return made, nil
}
