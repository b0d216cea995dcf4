package server

import (
	"encoding/json"
	"slices"
	"sync"
)

// How many responses are kept, and how many bytes they and their conversations have at most; the oldest go first.
const (
	mostKept      = 1000
	mostKeptBytes = 64 << 20
)

// kept are the responses that later ones may follow.
type kept struct {
	mu    sync.Mutex
	list  []*keptResponse
	bytes int
}

// keptResponse is a response and the conversation up to its end.
type keptResponse struct {
	id     string
	answer json.RawMessage   // the response
	items  []json.RawMessage // of the conversation; the last ones are the response's output
	output []string          // their IDs
	bytes  int
}

// add keeps a response, unless it is larger than all that is kept may be.
func (k *kept) add(r *responseJSON, items []json.RawMessage) {
	one := &keptResponse{id: r.ID, items: items}
	one.answer, _ = json.Marshal(r) // strings, numbers, and JSON that was read
	for _, item := range r.Output {
		one.output = append(one.output, item.ID)
	}
	if one.bytes = len(one.answer) + bytesOf(items); one.bytes > mostKeptBytes {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = append(k.list, one)
	for k.bytes += one.bytes; len(k.list) > mostKept || k.bytes > mostKeptBytes; {
		k.bytes -= k.list[0].bytes
		k.list = slices.Delete(k.list, 0, 1)
	}
}

// bytesOf is how large the items of a conversation are together.
func bytesOf(items []json.RawMessage) (n int) {
	for _, raw := range items {
		n += len(raw)
	}
	return n
}

// find returns a response, nil: it is not kept.
func (k *kept) find(id string) *keptResponse {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := k.index(id); i >= 0 {
		return k.list[i]
	}
	return nil
}

func (k *kept) index(id string) int {
	return slices.IndexFunc(k.list, func(o *keptResponse) bool { return o.id == id })
}

// remove forgets a response, and reports whether it was kept.
func (k *kept) remove(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.index(id)
	if i < 0 {
		return false
	}
	k.bytes -= k.list[i].bytes
	k.list = slices.Delete(k.list, i, i+1)
	return true
}

// item returns an item that a response had, nil: it is not kept.
func (k *kept) item(id string) json.RawMessage {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range slices.Backward(k.list) {
		if i := slices.Index(one.output, id); i >= 0 {
			return one.items[len(one.items)-len(one.output)+i]
		}
	}
	return nil
}
