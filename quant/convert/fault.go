package convert

import (
	"errors"
	"runtime/debug"
)

// errFault is the error of reading a mapped file whose bytes are not there any more.
var errFault = errors.New("reading the checkpoint failed: a file was cut short, or its disk is failing")

// guard calls f and returns an errFault for a memory fault in it. Files are mapped into memory, so one
// that is truncated meanwhile faults where it is read.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if _, ok := r.(interface{ Addr() uintptr }); !ok { // a fault has one, other errors of package runtime do not
			panic(r)
		}
		err = errFault
	}()
	return f()
}

// blame names the file that was written meanwhile, if that is why reading failed.
func (f *files) blame(err error) error {
	if !errors.Is(err, errFault) {
		return err
	}
	if changed := f.unchanged(); changed != nil {
		return changed
	}
	return err
}
