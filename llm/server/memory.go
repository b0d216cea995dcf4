package server

import (
	"fmt"
	"net/http"
	"slices"
)

// room takes out models that are not used, until another may be loaded, and returns them. It needs r.mu.
func (r *registry) room(m *Model) (out []*loaded, err error) {
	if r.budget > 0 && m.Bytes > r.budget {
		return nil, &apiError{http.StatusServiceUnavailable, fmt.Sprintf("the weights of %s take %d MB, and all models together may take %d", m.ID, m.Bytes>>20, r.budget>>20), "server_error", "model", "memory"}
	}
	loaded := slices.Clone(r.loaded)
	for len(loaded) >= r.most || r.budget > 0 && total(loaded)+m.Bytes > r.budget {
		i := slices.IndexFunc(loaded, unused)
		if i < 0 {
			return nil, errBusy
		}
		out = append(out, loaded[i])
		loaded = slices.Delete(loaded, i, i+1)
	}
	r.loaded = loaded
	return out, nil
}

// shrink unloads models that are not used while they all take more than they may: only a model that is loaded says exactly what
// it takes. It needs r.mu.
func (r *registry) shrink() {
	for r.budget > 0 && total(r.loaded) > r.budget && len(r.loaded) > 1 {
		i := slices.IndexFunc(r.loaded, unused)
		if i < 0 {
			return
		}
		r.unload(r.loaded[i])
	}
}

// expire unloads a model that nobody has used for a while.
func (r *registry) expire(l *loaded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.idle != nil && unused(l) && slices.Contains(r.loaded, l) {
		r.unload(l)
		r.admit()
	}
}

// retire unloads models that have failed, whoever uses them: their texts end with the reason, and the next request has a new one
// loaded. It needs r.mu.
func (r *registry) retire() {
	for _, l := range slices.Clone(r.loaded) {
		if l.isReady() && l.err == nil && l.in.failed() {
			r.unload(l)
		}
	}
}

// unload forgets a model, and closes it meanwhile. It needs r.mu.
func (r *registry) unload(l *loaded) {
	r.loaded = slices.DeleteFunc(r.loaded, func(o *loaded) bool { return o == l })
	r.closing.Go(func() { l.close(r.life) })
}

// unused reports whether a model can be unloaded.
func unused(l *loaded) bool { return l.isReady() && l.users == 0 }

// isReady reports whether a model is loaded, or has failed to.
func (l *loaded) isReady() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

func total(models []*loaded) (bytes uint64) {
	for _, l := range models {
		bytes += l.bytes
	}
	return bytes
}
