package transformer

import (
	"context"
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// allocateWeights makes the buffers of all matrices and vectors.
func (t *Transformer) allocateWeights() error {
	var err error
	for _, v := range t.w.vectors {
		if v.buffer, err = t.buffer(purposeWeights, 4*stride(v.n), gpu.Storage); err != nil {
			return err
		}
	}
	for _, m := range t.w.matrices {
		for _, p := range m.parts {
			if p.codes, err = t.buffer(purposeWeights, p.rows*p.codeBytes(p.width), gpu.Storage); err != nil {
				return err
			}
			if n := p.rows * p.headBytes(p.width); n == 0 {
				p.heads = t.none
			} else if p.heads, err = t.buffer(purposeWeights, n, gpu.Storage); err != nil {
				return err
			}
		}
	}
	return nil
}

// load brings the weights to the device. Several goroutines read, hash if the source does that, and
// send, each one tensor at a time, from its first byte to its last; what is on the device afterwards does
// not depend on their number. Meanwhile the programs of Options.Ready are made.
func (t *Transformer) load(ctx context.Context, src Source) error {
	jobs, most := t.jobs(src)
	l := loading{t: t, src: src, next: make(chan job, len(jobs))}
	for _, j := range jobs {
		l.next <- j
	}
	close(l.next)
	var work []func(context.Context) error
	for range min(readers(), len(jobs)) {
		work = append(work, func(ctx context.Context) error { return l.work(ctx, most) })
	}
	if len(t.opts.Ready) > 0 {
		work = append(work, t.warm)
	}
	if err := together(ctx, work...); err != nil {
		return err
	}
	return t.dev.Wait(ctx)
}

// mostReaders bounds how many tensors are on their way at once: each takes three chunks of memory.
const mostReaders = 12

// readers reports how many goroutines load.
func readers() int { return min(runtime.GOMAXPROCS(0), mostReaders) }

// job is a tensor to be loaded, or several if they make a vector.
type job struct {
	bytes  int
	vector *vector
	tensor int // of a matrix
	spans  []span
}

// span is a run of a tensor's rows and the part of a matrix that they belong to.
type span struct {
	*part
	piece
}

// jobs returns what is to be loaded, and the bytes of the largest matrix. A single reader goes through
// the source in its order, which may come over a network; several begin with what takes longest.
func (t *Transformer) jobs(src Source) (jobs []job, most int) {
	list := src.Tensors()
	all := make([]job, len(list))
	for _, v := range t.w.vectors {
		all[v.tensors[0]] = job{bytes: 2 * v.n, vector: v}
	}
	for _, m := range t.w.matrices {
		for _, p := range m.parts {
			for _, c := range p.pieces {
				j := &all[c.tensor]
				j.tensor, j.spans, j.bytes = c.tensor, append(j.spans, span{p, c}), j.bytes+c.rows*p.restBytes(p.width)
				most = max(most, j.bytes)
			}
		}
	}
	jobs = slices.DeleteFunc(all, func(j job) bool { return j.bytes == 0 })
	if readers() > 1 {
		slices.SortStableFunc(jobs, func(a, b job) int { return b.bytes - a.bytes })
	}
	return jobs, most
}

// loading is what the goroutines that load share.
type loading struct {
	t    *Transformer
	src  Source
	next chan job

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

func (l *loading) vector(v *vector) error {
	values, err := v.values(l.src)
	if err != nil {
		return err
	}
	return v.buffer.Write(0, floatBytes(values))
}

// progress counts bytes that are on their way.
func (l *loading) progress(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done += uint64(n)
	if l.t.opts.Progress != nil {
		l.t.opts.Progress(l.done)
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

// grid spreads n workgroups over two dimensions as the kernels count them: x + 65535·y.
func grid(n int) (x, y uint32) {
	return uint32(min(n, 65535)), uint32((n + 65534) / 65535)
}

// words32 returns numbers as little-endian uint32.
func words32(numbers ...int) []byte {
	return appendWords(make([]byte, 0, 4*len(numbers)), numbers...)
}

// appendWords appends numbers as little-endian uint32.
func appendWords(b []byte, numbers ...int) []byte {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

func whole(b *gpu.Buffer) gpu.Range { return gpu.Range{Buffer: b} }

func floatBytes(f []float32) []byte {
	b := make([]byte, 4*len(f))
	for i, v := range f {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	return b
}
