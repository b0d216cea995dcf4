package graph

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"sync"
)

// LoadOptions say how weights are brought to the device.
type LoadOptions struct {
	// Progress is called with the number of stored bytes sent so far, by one goroutine at a time.
	Progress func(done uint64)
	// Repeats says that the stored bytes of all tensors of one packing repeat the same pattern, as those of made-up
	// weights do: each pattern is then sent to the device once.
	Repeats bool
	// Beside are run while the weights load. The first error ends everything.
	Beside []func(context.Context) error
}

// Load allocates the memory of the weights and uploads them. Several goroutines read, hash (if the source does) and
// send, one tensor each at a time, from its first byte to its last. What is on the device afterwards does not depend on
// how many goroutines there were. After an error, close the Weights.
func (w *Weights) Load(ctx context.Context, src Source, o LoadOptions) error {
	if err := w.Allocate(); err != nil {
		return err
	}
	jobs, most := w.jobs(len(src.Tensors()))
	l := loading{w: w, src: src, options: o, next: make(chan job, len(jobs))}
	for _, j := range jobs {
		l.next <- j
	}
	close(l.next)
	work := slices.Clone(o.Beside)
	for range min(readers(), len(jobs)) {
		work = append(work, func(ctx context.Context) error { return l.work(ctx, most) })
	}
	if err := together(ctx, work...); err != nil {
		return err
	}
	return w.dev.Wait(ctx)
}

// Allocate makes the memory of the weights, if it is not there yet.
func (w *Weights) Allocate() error { return w.arena.Allocate() }

// mostReaders bounds how many tensors are on their way at once: each takes three chunks of memory.
const mostReaders = 12

// readers reports how many goroutines load.
func readers() int { return min(runtime.GOMAXPROCS(0), mostReaders) }

// job is a tensor to be loaded, or several if they make a vector.
type job struct {
	bytes  int
	vector *Vector
	tensor int // of a matrix
	spans  []span
}

// span is a run of a tensor's rows and the part of a matrix that they belong to.
type span struct {
	*Part
	piece
}

// jobs returns what to load of a source with this number of tensors, and the bytes of the largest matrix. A single
// reader goes through the source in order, since it may come over a network; several begin with the largest tensors.
func (w *Weights) jobs(tensors int) (jobs []job, most int) {
	all := make([]job, tensors)
	for _, v := range w.vectors {
		if j := (job{bytes: 2 * v.n, vector: v}); len(v.tensors) > 0 {
			all[v.tensors[0]] = j
		} else {
			all = append(all, j)
		}
	}
	for _, m := range w.matrices {
		for _, p := range m.Parts {
			for _, c := range p.pieces {
				j := &all[c.tensor]
				j.tensor, j.spans, j.bytes = c.tensor, append(j.spans, span{p, c}), j.bytes+c.rows*p.RowBytes(p.Width)
				most = max(most, j.bytes)
			}
		}
	}
	jobs = slices.DeleteFunc(all, func(j job) bool { return j.bytes == 0 })
	if readers() > 1 {
		sort.Stable(bySize(jobs))
	}
	return jobs, most
}

// bySize sorts jobs, the largest first. slices.SortFunc would be a larger download for the browser.
type bySize []job

func (b bySize) Len() int           { return len(b) }
func (b bySize) Less(i, j int) bool { return b[i].bytes > b[j].bytes }
func (b bySize) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

// loading is what the goroutines that load share.
type loading struct {
	w       *Weights
	src     Source
	options LoadOptions
	next    chan job

	mu   sync.Mutex
	done uint64 // bytes
}

// work loads one job after the other.
func (l *loading) work(ctx context.Context, most int) error {
	u := uploader{ctx: ctx, loading: l}
	defer u.release()
	for j := range l.next {
		if err := ctx.Err(); err != nil {
			return err
		}
		if j.vector != nil {
			if err := l.vector(j.vector); err != nil {
				return err
			}
			continue
		}
		if err := u.tensor(j, most); err != nil {
			return err
		}
	}
	return nil
}

func (l *loading) vector(v *Vector) error {
	values, err := v.values(l.src)
	if err != nil {
		return err
	}
	return v.buffer.Write(0, FloatBytes(values))
}

// progress counts bytes that are on their way.
func (l *loading) progress(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done += uint64(n)
	if l.options.Progress != nil {
		l.options.Progress(l.done)
	}
}

// together runs functions at once and returns the first error that one of them meets; it ends the
// context of the others.
func together(ctx context.Context, work ...func(context.Context) error) error {
	if len(work) == 1 {
		return work[0](ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		group sync.WaitGroup
		once  sync.Once
		first error
	)
	for _, f := range work {
		group.Go(func() {
			if err := f(ctx); err != nil {
				once.Do(func() { first = err })
				cancel()
			}
		})
	}
	group.Wait()
	return first
}

// Reloads reports how often Reload was called.
func (w *Weights) Reloads() int64 { return w.reloads.Load() }

// Reload uploads tensor i anew, from a source of the same model that packs it as the one did that the
// weights were loaded from. Whoever shares the weights sees it.
func (w *Weights) Reload(ctx context.Context, src Source, i int) error {
	w.reloads.Add(1)
	l := &loading{w: w, src: src}
	for _, v := range w.vectors {
		if slices.Contains(v.tensors, i) {
			return l.vector(v)
		}
	}
	jobs, _ := w.jobs(len(src.Tensors()))
	for _, j := range jobs {
		if j.vector != nil || j.tensor != i {
			continue
		}
		bits, block := src.Packing(i)
		if want, have := (Packing{bits, block}), j.spans[0].Packing; want != have {
			return fmt.Errorf("tensor %q: %d bits in blocks of %d, on the device %d bits in blocks of %d", src.Tensors()[i].Name, want.Bits, want.Block, have.Bits, have.Block)
		}
		u := uploader{ctx: ctx, loading: l}
		defer u.release()
		return u.tensor(j, j.bytes)
	}
	return fmt.Errorf("tensor %d: the device has %d tensors", i, len(src.Tensors()))
}
