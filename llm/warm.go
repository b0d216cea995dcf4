package llm

import (
	"context"
	"time"
)

// Warmer is an Engine that compiles the kernels of a step when it is first taken with that number of sequences.
type Warmer interface {
	// WarmStep returns what compiles the kernels of steps of n sequences that are not compiled yet, and reports how many
	// these are. It may run beside all methods of the engine, and while that is being closed.
	WarmStep(n int) (compile func(ctx context.Context) (compiled int, err error), err error)
}

// Warm compiles, in the background, the kernels of steps of several texts, so that the first of them need not wait for a
// compiler: of 2, 4, 8 … texts first. It begins when a text has its first token, compiles one kernel at a time, and begins none
// after Close. If anything had to be compiled, done is then called with the number of kernels and the time taken. Call it once.
func (s *Scheduler) Warm(done func(kernels int, took time.Duration, err error)) {
	w, ok := s.m.engine.(Warmer)
	if !ok {
		return
	}
	go func() {
		select {
		case <-s.first:
		case <-s.quit.Done():
			return
		}
		begun := time.Now()
		kernels, err := s.m.warm(s.quit, w)
		if s.quit.Err() == nil && (kernels > 0 || err != nil) {
			done(kernels, time.Since(begun), err)
		}
	}()
}

// warm compiles the kernels of steps of all numbers of sequences.
func (m *Model) warm(ctx context.Context, w Warmer) (kernels int, err error) {
	for _, n := range warmSizes(len(m.sessions)) {
		compile, err := m.warmStep(ctx, w, n)
		if err != nil {
			return kernels, err
		}
		compiled, err := compile(ctx)
		if kernels += compiled; err != nil {
			return kernels, err
		}
	}
	return kernels, nil
}

// warmStep asks for what compiles the kernels of one size, unless ctx has ended: then the engine may be closed.
func (m *Model) warmStep(ctx context.Context, w Warmer, n int) (func(context.Context) (int, error), error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return w.WarmStep(n)
}

// warmSizes lists the numbers from 2 to most, powers of two first.
func warmSizes(most int) (sizes []int) {
	for n := 2; n <= most; n *= 2 {
		sizes = append(sizes, n)
	}
	for n := 3; n <= most; n++ {
		if n&(n-1) != 0 {
			sizes = append(sizes, n)
		}
	}
	return sizes
}
