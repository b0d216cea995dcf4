package cmdline

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// linesEvery is the time between two lines of progress where standard error is not a terminal.
const linesEvery = 30 * time.Second

// progressLines writes a line at intervals.
type progressLines struct {
	w       io.Writer
	title   string
	total   int64 // −1: is not known
	asBytes bool
	before  int64 // done before it began
	begun   time.Time
	quit    chan struct{}
	ended   sync.WaitGroup

	mu   sync.Mutex
	done int64
	step string // what is being done
}

func newProgressLines(w io.Writer, title string, total int64, asBytes bool, every time.Duration) *progressLines {
	p := &progressLines{w: w, title: title, total: total, asBytes: asBytes, begun: time.Now(), quit: make(chan struct{})}
	p.ended.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-p.quit:
				return
			case now := <-tick.C:
				fmt.Fprintln(p.w, p.line(now))
			}
		}
	})
	return p
}

func (p *progressLines) set(done int64, step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = done
	if step != "" {
		p.step = step
	}
}

// stop ends the lines. It may be called again.
func (p *progressLines) stop() {
	p.mu.Lock()
	select {
	case <-p.quit:
	default:
		close(p.quit)
	}
	p.mu.Unlock()
	p.ended.Wait()
}

// line returns a line of progress.
func (p *progressLines) line(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	passed := now.Sub(p.begun)
	text := p.title + ": "
	switch {
	case p.total < 0:
	case p.asBytes:
		text += HumanSize(p.done) + " of " + HumanSize(p.total) + ", "
	case p.total == Percents:
		text += fmt.Sprintf("%d %%, ", p.done)
	default:
		text += fmt.Sprintf("%d of %d, ", p.done, p.total)
	}
	text += "after " + passed.Round(time.Second).String()
	if n := p.done - p.before; n > 0 && p.done < p.total {
		left := time.Duration(float64(passed) * float64(p.total-p.done) / float64(n))
		text += ", about " + left.Round(time.Second).String() + " left"
	}
	if p.step != "" && p.step != p.title {
		text += ": " + p.step
	}
	return text
}
