//go:build (linux || darwin || windows) && (amd64 || arm64)

package dawn

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/ebitengine/purego"
)

// event is what a callback is told: for a request its status and what was made; for an error or a lost
// device the kind in b.
type event func(a uint32, b uintptr, message string)

// events are the callbacks that the library may still call, by the token that it was handed.
var events struct {
	sync.Mutex
	last uintptr
	by   map[uintptr]event
}

func listen(e event) (token uintptr) {
	events.Lock()
	defer events.Unlock()
	if events.by == nil {
		events.by = map[uintptr]event{}
	}
	events.last++
	events.by[events.last] = e
	return events.last
}

func forget(token uintptr) {
	events.Lock()
	defer events.Unlock()
	delete(events.by, token)
}

// deliver is where every callback arrives, on whatever thread.
func deliver(a, b uintptr, message string, token uintptr) {
	events.Lock()
	e := events.by[token]
	events.Unlock()
	if e != nil {
		e(uint32(a), b, message)
	}
}

// The two addresses that the library calls: one for events, one for those that only complete a future.
var (
	eventCallback = sync.OnceValue(func() uintptr { return purego.NewCallback(onEvent) })
	doneCallback  = sync.OnceValue(func() uintptr { return purego.NewCallback(func() uintptr { return 0 }) })
)

// Future is something under way in the library.
type Future uint64

// Waiting waits for a future, as often as need be; it lies on the heap, so that asking again and again allocates nothing.
type Waiting struct {
	in   *Instance
	info waitInfo
	args [4]uintptr
}

// Await prepares to wait for a future.
func (in *Instance) Await(f Future) *Waiting {
	return &Waiting{in: in, info: waitInfo{future: uint64(f)}}
}

// Wait waits at most timeout, and reports whether the future is done. The error is that the library cannot
// wait for it.
func (w *Waiting) Wait(timeout time.Duration) (done bool, err error) {
	const timedOut = 2 // what is greater is an error
	w.args = [4]uintptr{w.in.h, 1, address(&w.info), uintptr(timeout.Nanoseconds())}
	status := uint32(w.in.l.do(instanceWaitAny, w.args[:]))
	runtime.KeepAlive(w)
	if w.info.done == 0 && status > timedOut {
		return false, fmt.Errorf("%w: %s: wgpuInstanceWaitAny returned status %d", ErrLibrary, w.in.l.path, status)
	}
	return w.info.done != 0, nil
}

// request makes a call whose result is told to a callback, and waits for it.
func (in *Instance) request(p proc, args ...uintptr) (status uint32, made uintptr, message string) {
	token := listen(func(a uint32, b uintptr, m string) { status, made, message = a, b, m })
	defer forget(token)
	f := Future(in.l.withInfo(p, args, &callbackInfo{mode: modeWaitAny, callback: eventCallback(), token: token}))
	for w := in.Await(f); ; {
		switch done, err := w.Wait(time.Second); {
		case err != nil:
			return 0, 0, err.Error()
		case done:
			return status, made, message
		}
	}
}

// begin makes a call that only completes a future.
func (l *Library) begin(p proc, args ...uintptr) Future {
	return Future(l.withInfo(p, args, &callbackInfo{mode: modeWaitAny, callback: doneCallback()}))
}
