package llm

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// leastShare is how many texts are worth another goroutine: to wake one takes as long as to choose a token or two.
const leastShare = 4

// choose has an engine compute a step, and chooses the tokens after the texts of which it finds candidates. Many texts are shared
// among processors. That changes nothing, because each has a sampler of its own; only the caller's may be that of several.
func (m *Model) choose(ctx context.Context, runs []*run, ids []int32, failed []error, step func(each found) error) error {
	type likely struct {
		candidates []sample.Candidate
		logSumExp  float64
	}
	all := make([]likely, 0, len(runs))
	err := step(func(_ int, candidates []sample.Candidate, logSumExp float64) error {
		all = append(all, likely{candidates, logSumExp})
		return nil
	})
	if err != nil {
		return err
	}
	workers := min(runtime.GOMAXPROCS(0), len(all)/leastShare)
	if slices.ContainsFunc(runs, func(r *run) bool { return r.o.Sampler != nil }) {
		workers = 1
	}
	var logits sync.Mutex // the engine's are for one goroutine at a time
	inParallel(workers, len(all), func(i int) {
		r := runs[i]
		ids[i], failed[i] = r.choose(all[i].candidates, all[i].logSumExp, m.engine.VocabSize(), func() ([]float32, error) {
			logits.Lock()
			defer logits.Unlock()
			return m.engine.LogitsOf(ctx, i)
		})
	})
	return nil
}

// inParallel calls f with 0 to n−1, in no order, by this goroutine and some more. It returns when all calls have; it does not wait
// for goroutines that come too late to have any.
func inParallel(workers, n int, f func(i int)) {
	p := &parallel{n: int32(n), f: f, done: make(chan struct{})}
	p.left.Store(int32(n))
	for range workers - 1 {
		go p.work()
	}
	if p.work(); n > 0 {
		<-p.done
	}
}

// parallel is a number of calls.
type parallel struct {
	n          int32
	f          func(i int)
	next, left atomic.Int32
	done       chan struct{} // closed when none is left
}

// work makes calls as long as there are some.
func (p *parallel) work() {
	for i := p.next.Add(1) - 1; i < p.n; i = p.next.Add(1) - 1 {
		p.f(int(i))
		if p.left.Add(-1) == 0 {
			close(p.done)
		}
	}
}
