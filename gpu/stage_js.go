//go:build js

package gpu

import "context"

// In JavaScript a Stage is memory of Go's, and what is sent is written as Buffer.Write does it.

func (w *web) newStage(_ string, size uint64) (handle, []byte, error) {
	return 0, make([]byte, size), nil
}

func (w *web) sendStage(_ handle, mem []byte, copies []step, programs []*Program) (pending, error) {
	for _, c := range copies {
		if err := w.write(c.dst, c.dstOff, mem[c.srcOff:c.srcOff+c.size]); err != nil {
			return nil, err
		}
	}
	return nil, w.run(programs)
}

func (w *web) finishStage(_ context.Context, _ handle, mem []byte, _ pending) ([]byte, error) {
	return mem, nil
}

func (w *web) freeStage(handle, pending) {}
