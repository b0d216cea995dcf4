package server

import (
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// forms keeps those that requests have asked for: what a form has found out about the vocabulary is worth keeping.
type forms struct {
	mu   sync.Mutex
	last []form
}

type form struct {
	key  [sha256.Size]byte // of its text, which may be as large as a request
	form *llm.Form
}

// keptForms is how many forms of a model are kept.
const keptForms = 32

// get returns the form of a text, made if it is not kept.
func (f *forms) get(text string, make func() (*llm.Form, error)) (*llm.Form, error) {
	key := sha256.Sum256([]byte(text))
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.IndexFunc(f.last, func(o form) bool { return o.key == key }); i >= 0 {
		found := f.last[i]
		f.last = append(slices.Delete(f.last, i, i+1), found)
		return found.form, nil
	}
	made, err := make()
	if err != nil {
		return nil, err
	}
	f.last = append(f.last, form{key, made})
	f.last = f.last[max(0, len(f.last)-keptForms):]
	return made, nil
}
