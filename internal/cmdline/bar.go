package cmdline

import (
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Percents is the total of a bar that shows percent.
const Percents = 100

// Bar shows progress on standard error: as a bar on a terminal, else in a line every half minute. The zero value
// shows none.
type Bar struct {
	bar   *progressbar.ProgressBar
	lines *progressLines
}

// NewBar returns a bar up to total, −1 if that is not known. A total of Percents counts these.
func NewBar(title string, total int64, asBytes bool) Bar {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return Bar{lines: newProgressLines(os.Stderr, title, total, asBytes, linesEvery)}
	}
	return Bar{bar: progressbar.NewOptions64(total,
		progressbar.OptionSetDescription(title),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionShowBytes(asBytes),
		progressbar.OptionSetWidth(20),
		progressbar.OptionThrottle(100e6), // ns
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)}
}

// Set moves the bar; its title changes if one is given.
func (b Bar) Set(done int64, title string) {
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

// From says how much was done before.
func (b Bar) From(done int64) {
	if b.lines != nil {
		b.lines.before = done
	}
}

// End removes the bar.
func (b Bar) End() {
	if b.lines != nil {
		b.lines.stop()
	}
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}
