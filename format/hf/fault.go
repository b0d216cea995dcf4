package hf

import (
	"errors"
	"runtime/debug"
)

// ErrFault is the error of reading a mapped file whose bytes are not there any more.
var ErrFault = errors.New("reading the checkpoint failed: a file was cut short, or its disk is failing")

// Reading calls f, which reads what a Checkpoint has mapped, and returns ErrFault for a memory fault in it, in this goroutine. Files
// are mapped into memory, so one that is truncated meanwhile faults where it is read.
func Reading(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if _, ok := r.(interface{ Addr() uintptr }); !ok { // a fault has one, other errors of package runtime do not
			panic(r)
		}
		err = ErrFault
	}()
	return f()
}
