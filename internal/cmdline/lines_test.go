package cmdline

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	begun := time.Now()
	for want, p := range map[string]*progressLines{
		"model drift: 1 of 4, after 1m30s, about 4m30s left":                           {title: "model drift", total: 4, done: 1},
		"model drift: 0 of 4, after 1m30s":                                             {title: "model drift", total: 4},
		"model drift: 4 of 4, after 1m30s":                                             {title: "model drift", total: 4, done: 4},
		"runtime parity: after 1m30s":                                                  {title: "runtime parity", total: -1},
		"quantizing: 3.0 GB of 4.0 GB, after 1m30s, about 45s left: model.norm.weight": {title: "quantizing", total: 4e9, done: 3e9, before: 1e9, asBytes: true, step: "model.norm.weight"},
		"allocation: 2 of 3, after 1m30s, about 45s left":                              {title: "allocation", total: 3, done: 2, step: "allocation"},
	} {
		p.begun = begun
		if got := p.line(begun.Add(90 * time.Second)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestProgressLines(t *testing.T) {
	w := &lockedBuffer{}
	p := newProgressLines(w, "a", 10, false, time.Millisecond)
	p.set(5, "b")
	for !strings.Contains(w.String(), "a: 5 of 10, after 0s") {
		time.Sleep(time.Millisecond)
	}
	p.stop()
	p.stop()
	was := w.String()
	time.Sleep(5 * time.Millisecond)
	if w.String() != was {
		t.Error("it goes on after its end")
	}
}

// lockedBuffer is a buffer that may be looked at while it is written to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
