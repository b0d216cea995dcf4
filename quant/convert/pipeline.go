package convert

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// tile is some rows of a tensor on their way: from produce, which makes it, through a worker,
// which fills in the rest and closes done, to consume, which writes it.
type tile struct {
	tensor, row0, rows int
	feedback           *quant.Feedback // of the method GPTQ; nil: the search is to stand in for it
	part0              int             // row where the part of the tensor begins that feedback is for
	starved            bool            // the first tile of an expert that is, see calibrator.part

	out   []byte
	stats quant.Stats
	done  chan struct{}
}

// ahead is how many tiles may be on their way for each worker.
const ahead = 4

// write encodes all tensors and writes them to w in order.
func (p *plan) write(ctx context.Context, w *bundle.Writer) error {
	group, ctx := errgroup.WithContext(ctx)
	work := make(chan *tile)
	order := make(chan *tile, ahead*p.opts.Threads)
	buffers := newBuffers()
	c := newCalibrator(p)
	if err := c.adopt(w, p.first); err != nil {
		return err
	}
	group.Go(func() error {
		defer close(work)
		defer close(order)
		return p.produce(ctx, c, work, order)
	})
	for range p.opts.Threads {
		group.Go(func() error {
			k := worker{plan: p, buffers: buffers}
			for t := range work {
				if err := k.encode(t); err != nil {
					return fmt.Errorf("tensor %q: %w", p.tensors[t.tensor].Name, err)
				}
				close(t.done)
			}
			return nil
		})
	}
	group.Go(func() error { return p.consume(ctx, w, c, order, buffers) })
	return group.Wait()
}

// produce cuts the tensors into tiles.
func (p *plan) produce(ctx context.Context, c *calibrator, work, order chan<- *tile) error {
	for i := p.first; i < len(p.tensors); i++ {
		if err := c.begin(ctx, i); err != nil {
			return err
		}
		parts := c.parts(i)
		rows := p.tensors[i].Model().Rows() / parts
		for k := range parts {
			f, starved, err := c.part(ctx, i, k)
			if err != nil {
				return err
			}
			first := tile{tensor: i, part0: k * rows, feedback: f, starved: starved}
			if err := p.cut(ctx, first, rows, work, order); err != nil {
				return err
			}
		}
	}
	return nil
}

// cut cuts the rows of a part of a tensor into tiles. first is what the first of them is, but for its rows.
func (p *plan) cut(ctx context.Context, first tile, rows int, work, order chan<- *tile) error {
	m := p.tensors[first.tensor].Model()
	step := tileRows(m)
	if first.feedback != nil {
		step = feedbackRows(m)
	}
	for r := 0; r < rows; r += step {
		t := first
		t.row0, t.rows, t.starved, t.done = first.part0+r, min(step, rows-r), first.starved && r == 0, make(chan struct{})
		for _, ch := range []chan<- *tile{order, work} {
			select {
			case ch <- &t:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// work reports how long tensor i takes, as bytes that the search encodes in that time.
func (p *plan) work(i int) int64 {
	const columns = 12 // that feedback goes through while the search fits a weight
	bytes, e := p.src.bytes(i), &p.tensors[i]
	if e.Method == string(GPTQ) {
		return bytes * int64(1+e.Model().Cols()/columns)
	}
	return bytes
}

// consume writes the tiles in order.
func (p *plan) consume(ctx context.Context, w *bundle.Writer, c *calibrator, order <-chan *tile, buffers *sync.Pool) error {
	var stats quant.Stats
	var starved int64
	at := Progress{Total: p.total} // whole tensors
	for i := range p.tensors {
		if at.Work += p.work(i); i < p.first {
			at.Done, at.Worked = at.Done+p.src.bytes(i), at.Worked+p.work(i)
		}
	}
	for t := range order {
		select {
		case <-t.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		e := &p.tensors[t.tensor]
		if t.row0 == 0 {
			stats, starved = quant.Stats{}, 0
			if err := w.Begin(*e); err != nil {
				return err
			}
		}
		stats.Add(t.stats)
		if t.starved {
			starved++
		}
		if _, err := w.Write(t.out); err != nil {
			return err
		}
		c.wrote(t)
		buffers.Put(&t.out)
		rows, size := e.Model().Rows(), p.src.bytes(t.tensor)
		end := t.row0 + t.rows
		if end == rows {
			o := outcome(stats)
			o.Starved = starved
			if err := w.End(o); err != nil {
				return err
			}
			c.end(t.tensor)
			at.Done, at.Worked = at.Done+size, at.Worked+p.work(t.tensor)
		}
		if p.opts.Progress != nil {
			now, share := at, float64(end%rows)/float64(rows)
			now.Tensor = e.Name
			now.Done += int64(float64(size) * share)
			now.Worked += int64(float64(p.work(t.tensor)) * share)
			p.opts.Progress(now)
		}
	}
	return ctx.Err()
}

// worker encodes tiles, one at a time.
type worker struct {
	plan    *plan
	rows    []float32 // [rows of a tile][cols]
	buffers *sync.Pool
}

// encode fills t.out and t.stats.
func (k *worker) encode(t *tile) error {
	e := &k.plan.tensors[t.tensor]
	if e.Method == Repacked {
		return k.repack(t)
	}
	cols, size := e.Model().Cols(), e.RowBytes()
	k.rows = resize(k.rows, t.rows*cols)
	if err := k.plan.src.Weights.Rows(t.tensor, t.row0, t.rows, k.rows); err != nil {
		return err
	}
	t.out = resize(*k.buffers.Get().(*[]byte), t.rows*size)
	row, err := k.rowEncoder(t)
	if err != nil {
		return err
	}
	if bad, err := row.Rows(t.out, k.rows); err != nil {
		return fmt.Errorf("row %d: %w", t.row0+bad, err)
	}
	t.stats = row.stats()
	return nil
}

// rowEncoder encodes rows and keeps statistics.
type rowEncoder interface {
	// Rows encodes rows that lie one after the other. With an error it returns the number of the row that is to blame.
	Rows(dst []byte, w []float32) (int, error)
	stats() quant.Stats
}

// each is a rowEncoder of one row after the other.
type each struct {
	row   func(dst []byte, w []float32) error
	size  int // bytes of a row
	cols  int
	count func() quant.Stats
}

func (e each) stats() quant.Stats { return e.count() }

func (e each) Rows(dst []byte, w []float32) (int, error) {
	rows := len(w) / e.cols
	for r := range rows {
		if err := e.row(dst[r*e.size:(r+1)*e.size], w[r*e.cols:(r+1)*e.cols]); err != nil {
			return r, err
		}
	}
	return rows, nil
}

func (k *worker) rowEncoder(t *tile) (rowEncoder, error) {
	o, e := &k.plan.opts, &k.plan.tensors[t.tensor]
	method := quant.Method(e.Method)
	if t.feedback != nil {
		r, err := quant.NewRounder(t.feedback, e.Scheme(), quant.Options{Sanitize: o.Sanitize, Saturate: o.Saturate}, o.rounds())
		if err == nil {
			r.Seek(t.row0 - t.part0)
		}
		return rounded{r}, err
	}
	if method == GPTQ {
		method = quant.Search
	}
	if !e.Type.Quantized() {
		p := &plain{width: e.Type.Bits() / 8, sanitize: o.Sanitize, saturate: o.Saturate}
		return each{p.Row, e.RowBytes(), e.Model().Cols(), p.stats}, nil
	}
	enc, err := quant.NewEncoder(e.Scheme(), quant.Options{Method: method, Sanitize: o.Sanitize, Saturate: o.Saturate})
	if err != nil {
		return nil, err
	}
	return each{enc.Row, e.RowBytes(), e.Model().Cols(), func() quant.Stats { return enc.Stats }}, nil
}

// resize returns s with n elements, whose values mean nothing.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// newBuffers returns a pool of *[]byte.
func newBuffers() *sync.Pool { return &sync.Pool{New: func() any { return new([]byte) }} }
