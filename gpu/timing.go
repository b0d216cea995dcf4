//go:build !js

package gpu

// dispatches counts the steps that are no copies.
func dispatches(steps []step) (n int) {
	for _, s := range steps {
		if s.pipeline != 0 {
			n++
		}
	}
	return n
}

// queryBuffers makes a buffer of size bytes for timestamps and the one that they are read from. free releases both.
func queryBuffers(b backend, size uint64) (resolved, read handle, free func(), err error) {
	if resolved, err = b.newBuffer("queries", size, queries); err != nil {
		return 0, 0, nil, err
	}
	if read, err = b.newBuffer("queries", size, staging); err != nil {
		b.freeBuffer(resolved)
		return 0, 0, nil, err
	}
	return resolved, read, func() {
		b.freeBuffer(resolved)
		b.freeBuffer(read)
	}, nil
}
