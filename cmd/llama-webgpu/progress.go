package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/llama-webgpu/llama-webgpu/quant/auto"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

var jsonProgressFlag = &cli.BoolFlag{
	Name: "json-progress", Usage: "write progress and the summary to standard output, one JSON object per line", Category: "Output", DisableDefaultText: true,
}

// progressJSON is a line of --json-progress.
type progressJSON struct {
	Event  string   `json:"event"` // progress, done or error
	Tensor string   `json:"tensor,omitempty"`
	Done   int64    `json:"done,omitempty"` // bytes of the checkpoint
	Total  int64    `json:"total,omitempty"`
	Speed  float64  `json:"bytes_per_second,omitempty"`
	Left   float64  `json:"seconds_left,omitempty"` // about
	Error  string   `json:"error,omitempty"`
	Resume bool     `json:"resumable,omitempty"` // of an error: --resume goes on
	Result *summary `json:"summary,omitempty"`
}

// meter shows how far a conversion is: as a bar, as JSON, or not at all.
type meter struct {
	c     *cli.Context
	stage auto.Stage
	bar   bar
	begun time.Time        // when the first report came
	from  convert.Progress // what was done then
	last  time.Time        // when the last line was written
}

// meterEvery is how long apart lines of JSON are, at least.
const meterEvery = 100 * time.Millisecond

func (m *meter) set(p auto.Progress) {
	if m.stage != p.Stage {
		m.bar.end()
		*m = meter{c: m.c, stage: p.Stage}
	}
	if p.Stage == auto.Measuring {
		m.measuring(p.Progress)
		return
	}
	m.converting(p.Progress)
}

// measuring shows how many matrices were measured.
func (m *meter) measuring(p convert.Progress) {
	if m.begun.IsZero() {
		m.begun = time.Now()
		m.bar = newBar(m.c, "what each matrix costs the model", p.Total, false)
	}
	m.bar.set(p.Done, "")
}

func (m *meter) converting(p convert.Progress) {
	now := time.Now()
	if m.begun.IsZero() {
		m.begun, m.from = now, p
		if !m.c.Bool(jsonProgressFlag.Name) {
			m.bar = newBar(m.c, "quantizing", m.shown(p.Work, p), p.Work == p.Total)
			m.bar.from(m.shown(p.Worked, p))
		}
	}
	m.bar.set(m.shown(p.Worked, p), p.Tensor)
	if !m.c.Bool(jsonProgressFlag.Name) || now.Sub(m.last) < meterEvery && p.Done < p.Total {
		return
	}
	m.last = now
	line := progressJSON{Event: "progress", Tensor: p.Tensor, Done: p.Done, Total: p.Total}
	if passed := now.Sub(m.begun); passed >= measurable && p.Done > m.from.Done {
		line.Speed = float64(p.Done-m.from.Done) / passed.Seconds()
		line.Left = float64(p.Work-p.Worked) / float64(p.Worked-m.from.Worked) * passed.Seconds()
	}
	_ = m.line(line) // that nobody reads is no reason to stop
}

// percents is the total of what is shown in percent.
const percents = 100

// shown returns work as the bar shows it: bytes, or percents where bytes say nothing of the time that they take.
func (m *meter) shown(work int64, p convert.Progress) int64 {
	if p.Work == p.Total {
		return work
	}
	return int64(percents * float64(work) / float64(p.Work))
}

// line writes a line of JSON.
func (m *meter) line(p progressJSON) error { return json.NewEncoder(stdout(m.c)).Encode(p) }

func (m *meter) end() { m.bar.end() }

// bar shows progress on standard error: as a bar on a terminal, else in a line every half minute. The zero value
// shows none.
type bar struct {
	bar   *progressbar.ProgressBar
	lines *progressLines
}

// newBar returns a bar up to total, −1 if that is not known, unless --quiet is given.
func newBar(c *cli.Context, title string, total int64, asBytes bool) bar {
	if c.Bool(quietFlag.Name) || c.Bool(jsonProgressFlag.Name) {
		return bar{}
	}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return bar{lines: newProgressLines(os.Stderr, title, total, asBytes, linesEvery)}
	}
	return bar{bar: progressbar.NewOptions64(total,
		progressbar.OptionSetDescription(title),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionShowBytes(asBytes),
		progressbar.OptionSetWidth(20),
		progressbar.OptionThrottle(100e6), // ns
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)}
}

// set moves the bar; its title changes if one is given.
func (b bar) set(done int64, title string) {
	if b.lines != nil {
		b.lines.set(done, title)
	}
	if b.bar == nil {
		return
	}
	if title != "" {
		b.bar.Describe(fmt.Sprintf("%-44.44s", title))
	}
	_ = b.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
}

// from says how much was done before.
func (b bar) from(done int64) {
	if b.lines != nil {
		b.lines.before = done
	}
}

// end removes the bar.
func (b bar) end() {
	if b.lines != nil {
		b.lines.stop()
	}
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}

// linesEvery is how long apart lines of progress are for people who look into a file.
const linesEvery = 30 * time.Second

// progressLines writes a line now and then.
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

// line says how far it is.
func (p *progressLines) line(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	passed := now.Sub(p.begun)
	text := p.title + ": "
	switch {
	case p.total < 0:
	case p.asBytes:
		text += humanSize(p.done) + " of " + humanSize(p.total) + ", "
	case p.total == percents:
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
