package main

import (
	"encoding/json"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

var jsonProgressFlag = &cli.BoolFlag{
	Name: "json-progress", Usage: "write progress and the summary to standard output, one JSON object per line", Category: "Output", DisableDefaultText: true,
}

// progressJSON is a line of --json-progress.
type progressJSON struct {
	Event  string   `json:"event"` // measuring, progress, done or error
	Tensor string   `json:"tensor,omitempty"`
	Done   int64    `json:"done,omitempty"` // bytes of the checkpoint; while measuring, matrices
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
	bar   cmdline.Bar
	begun time.Time        // when the first report came
	from  convert.Progress // what was done then
	last  time.Time        // when the last line was written
}

// meterEvery is how long apart lines of JSON are, at least.
const meterEvery = 100 * time.Millisecond

func (m *meter) set(p auto.Progress) {
	if m.stage != p.Stage {
		m.bar.End()
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
	m.bar.Set(p.Done, "")
	if m.c.Bool(jsonProgressFlag.Name) {
		_ = m.line(progressJSON{Event: "measuring", Done: p.Done, Total: p.Total}) // that nobody reads is no reason to stop
	}
}

func (m *meter) converting(p convert.Progress) {
	now := time.Now()
	if m.begun.IsZero() {
		m.begun, m.from = now, p
		if !m.c.Bool(jsonProgressFlag.Name) {
			m.bar = newBar(m.c, "quantizing", m.shown(p.Work, p), p.Work == p.Total)
			m.bar.From(m.shown(p.Worked, p))
		}
	}
	m.bar.Set(m.shown(p.Worked, p), p.Tensor)
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

// shown returns work as the bar shows it: bytes, or percents where bytes say nothing of the time that they take.
func (m *meter) shown(work int64, p convert.Progress) int64 {
	if p.Work == p.Total {
		return work
	}
	return int64(cmdline.Percents * float64(work) / float64(p.Work))
}

// line writes a line of JSON.
func (m *meter) line(p progressJSON) error { return json.NewEncoder(stdout(m.c)).Encode(p) }

func (m *meter) end() { m.bar.End() }

// newBar returns a bar up to total, −1 if that is not known, unless --quiet is given.
func newBar(c *cli.Context, title string, total int64, asBytes bool) cmdline.Bar {
	if c.Bool(quietFlag.Name) || c.Bool(jsonProgressFlag.Name) {
		return cmdline.Bar{}
	}
	return cmdline.NewBar(title, total, asBytes)
}
