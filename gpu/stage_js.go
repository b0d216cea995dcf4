//go:build js

package gpu

import "context"

// Under JavaScript a Stage is Go memory, and Send writes it as Buffer.Write does.

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
