package main

import (
	"encoding/json"
	"time"

	"github.com/urfave/cli/v2"
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
	bar   bar
	begun time.Time // when the first report came
	from  int64     // bytes that were done then
	last  time.Time // when the last line was written
}

// meterEvery is how long apart lines of JSON are, at least.
const meterEvery = 100 * time.Millisecond

func (m *meter) set(done, total int64, tensor string) {
	now := time.Now()
	if m.begun.IsZero() {
		m.begun, m.from = now, done
		if !m.c.Bool(jsonProgressFlag.Name) {
			m.bar = newBar(m.c, "", total, true)
		}
	}
	m.bar.set(done, tensor)
	if !m.c.Bool(jsonProgressFlag.Name) || now.Sub(m.last) < meterEvery && done < total {
		return
	}
	m.last = now
	line := progressJSON{Event: "progress", Tensor: tensor, Done: done, Total: total}
	if passed := now.Sub(m.begun).Seconds(); passed > 0 && done > m.from {
		line.Speed = float64(done-m.from) / passed
		line.Left = float64(total-done) / line.Speed
	}
	_ = m.line(line) // that nobody reads is no reason to stop
}

// line writes a line of JSON.
func (m *meter) line(p progressJSON) error { return json.NewEncoder(stdout(m.c)).Encode(p) }

func (m *meter) end() { m.bar.end() }
