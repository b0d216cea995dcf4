package cpu

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// task is work in numbered pieces; helper says which of the goroutines does it, from 0 on.
type task interface{ do(helper, i int) }

// ending is a task that has something to do for each goroutine for which no piece is left.
type ending interface{ done(helper int) }

func end(work task, helper int) {
	if e, ok := work.(ending); ok {
		e.done(helper)
	}
}

// team is the goroutines that engines share their work with. They wait for the next task without sleeping as
// long as what passes between two products of a token, and then sleep.
type team struct {
	mu      sync.Mutex // held while a task runs
	helpers []*helper

	task    task
	shares  []share      // of the pieces, one for each goroutine
	running atomic.Int32 // helpers at work
	asleep  atomic.Bool  // the caller waits for done
	done    chan struct{}
}

// share is a run of pieces: one goroutine's, as long as it lasts, so that it reads on where it is. Whoever is done with
// its own helps with those of others.
type share struct {
	next atomic.Int64
	end  int64
	_    [48]byte // nothing else in its cache line
}

// helper is one goroutine.
type helper struct {
	calls  atomic.Uint32 // counts the tasks that it is given
	asleep atomic.Bool   // it waits for wake
	wake   chan struct{}
	_      [64]byte // nothing else in its cache line
}

// How often a goroutine looks before it sleeps: a helper for work, about a hundred microseconds, so that it is still awake
// after the norms and the attention of a token, which are not shared; the caller for the end of the last piece.
const (
	spins  = 400000
	waited = 100000
)

var everybody = team{done: make(chan struct{}, 1)}

// run does all pieces of a task on so many goroutines, of which the caller is one. If another engine is at work, the
// caller does everything.
func (t *team) run(threads, n int, work task) {
	if threads = min(threads, n); threads <= 1 || !t.mu.TryLock() {
		for i := range n {
			work.do(0, i)
		}
		end(work, 0)
		return
	}
	defer t.mu.Unlock()
	for len(t.helpers) < threads-1 {
		h := &helper{wake: make(chan struct{}, 1)}
		t.helpers = append(t.helpers, h)
		go t.help(h, len(t.helpers))
	}
	t.task = work
	t.deal(threads, n)
	t.running.Store(int32(threads - 1))
	for _, h := range t.helpers[:threads-1] {
		h.calls.Add(1)
		if h.asleep.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
	t.pieces(0)
	t.wait()
	t.task = nil
}

// deal shares n pieces out.
func (t *team) deal(threads, n int) {
	for len(t.shares) < threads {
		t.shares = append(t.shares, share{})
	}
	t.shares = t.shares[:threads]
	for i := range t.shares {
		s := &t.shares[i]
		s.next.Store(int64(i * n / threads))
		s.end = int64((i + 1) * n / threads)
	}
}

func (t *team) pieces(helper int) {
	for k := range t.shares {
		s := &t.shares[(helper+k)%len(t.shares)]
		for i := s.next.Add(1) - 1; i < s.end; i = s.next.Add(1) - 1 {
			t.task.do(helper, int(i))
		}
	}
	end(t.task, helper)
}

// wait waits until no helper is at work. A helper that was late to notice the end of the task before may wake it too early.
func (t *team) wait() {
	for range waited {
		if t.running.Load() == 0 {
			return
		}
	}
	for t.running.Load() != 0 {
		t.asleep.Store(true)
		if t.running.Load() == 0 && t.asleep.CompareAndSwap(true, false) {
			return
		}
		<-t.done
	}
}

// help is a helper's life. Faults in what it does are panics, for tasks that recover from them.
func (t *team) help(h *helper, number int) {
	debug.SetPanicOnFault(true)
	for seen := uint32(0); ; seen++ {
		h.await(seen)
		t.pieces(number)
		if t.running.Add(-1) == 0 && t.asleep.CompareAndSwap(true, false) {
			t.done <- struct{}{}
		}
	}
}

// await waits for a call after so many. The caller may be late to see that it sleeps, and wake it for a call that it has
// answered.
func (h *helper) await(seen uint32) {
	for range spins {
		if h.calls.Load() != seen {
			return
		}
	}
	runtime.Gosched()
	for h.calls.Load() == seen {
		h.asleep.Store(true)
		if h.calls.Load() != seen && h.asleep.CompareAndSwap(true, false) {
			return
		}
		<-h.wake
	}
}
