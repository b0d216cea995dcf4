// Package mapped maps files into memory, to be read where they lie, and turns the fault of reading one that was cut short
// into an error. Open maps a file, Reading guards what reads it. It never writes, and knows nothing of what is in a file.
package mapped

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"unsafe"

	"github.com/edsrzf/mmap-go"
)

// ErrFault is the error of reading a mapped file whose bytes are not there any more.
var ErrFault = errors.New("reading it failed: the file was cut short, or its disk is failing")

// File is a file in memory.
type File []byte

// open are the files that are mapped, so that a fault can be given a name.
var open struct {
	sync.Mutex
	files []named
}

type named struct {
	path string
	data File
}

// Open maps a file, which must not be empty.
func Open(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := mmap.Map(f, mmap.RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("mapping it into memory: %w", err)
	}
	open.Lock()
	defer open.Unlock()
	open.files = append(open.files, named{path, File(m)})
	return File(m), nil
}

// Close releases the memory. Nothing may read it any more.
func (f File) Close() error {
	open.Lock()
	open.files = slices.DeleteFunc(open.files, func(n named) bool { return &n.data[0] == &f[0] })
	open.Unlock()
	m := mmap.MMap(f)
	return m.Unmap()
}

// Reading calls f, which reads mapped files, and returns an ErrFault that names the file for a memory fault in it, in this
// goroutine: Guard is for others.
func Reading(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer Guard(&err)
	return f()
}

// Guard is to be deferred by what reads mapped files in a goroutine that has called debug.SetPanicOnFault: it sets err if a
// memory fault ends it. Other panics go on.
func Guard(err *error) {
	r := recover()
	if r == nil {
		return
	}
	fault, ok := r.(interface{ Addr() uintptr }) // other errors of package runtime have no address
	if !ok {
		panic(r)
	}
	*err = fmt.Errorf("%s: %w", pathOf(fault.Addr()), ErrFault)
}

// pathOf names the file that is mapped at an address.
func pathOf(address uintptr) string {
	open.Lock()
	defer open.Unlock()
	for _, n := range open.files {
		if first := uintptr(unsafe.Pointer(&n.data[0])); address >= first && address-first < uintptr(len(n.data)) {
			return n.path
		}
	}
	return "a file of the model"
}
