package cmdline

import (
	"cmp"
	"context"
	"io"
)

// CheckedWriter remembers the first error of a writer.
type CheckedWriter struct {
	W   io.Writer
	Err error
}

func (w *CheckedWriter) Write(p []byte) (int, error) {
	n, err := w.W.Write(p)
	w.Err = cmp.Or(w.Err, err)
	return n, err
}

// Interruptible is a reader that no longer waits once its context has ended.
type Interruptible struct {
	Ctx context.Context
	R   io.Reader
}

func (r Interruptible) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	buf, done := make([]byte, len(p)), make(chan result, 1) // p is the caller's again when ctx has ended
	go func() {
		n, err := r.R.Read(buf)
		done <- result{n, err}
	}()
	select {
	case got := <-done:
		return copy(p, buf[:got.n]), got.err
	case <-r.Ctx.Done():
		return 0, r.Ctx.Err()
	}
}
