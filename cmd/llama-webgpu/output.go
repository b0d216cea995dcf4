package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func jsonFlag(usage string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: "json", Usage: usage, Category: "Output", DisableDefaultText: true}
}

var quietFlag = &cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show no progress and no summary", Category: "Output", DisableDefaultText: true}

// printJSON writes v to standard output, indented.
func printJSON(c *cli.Context, v any) error {
	e := json.NewEncoder(stdout(c))
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(v)
}

// replaceJSON replaces a file as a whole by v, indented. What cannot be written leaves the file as it was.
func replaceJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// humanSize writes a size as people read it.
func humanSize(n int64) string { return humanize.Bytes(uint64(n)) }

// newTable returns a table without borders whose columns from the second on are numbers, except
// the named ones.
func newTable(header table.Row, words ...int) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.Style{
		Box: table.BoxStyle{PaddingRight: "   "},
		Format: table.FormatOptions{
			Header: text.FormatDefault, Footer: text.FormatDefault, Row: text.FormatDefault,
		},
	})
	t.AppendHeader(header)
	var configs []table.ColumnConfig
	for n := 2; n <= len(header); n++ {
		configs = append(configs, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight, AlignFooter: text.AlignRight})
	}
	for _, n := range words {
		configs[n-2] = table.ColumnConfig{Number: n}
	}
	t.SetColumnConfigs(configs)
	return t
}

// showTable writes a table and nothing to the right of its text.
func showTable(c *cli.Context, t table.Writer) {
	t.SuppressTrailingSpaces()
	fmt.Fprintln(stdout(c), t.Render())
}

// bar shows progress on standard error. The zero value shows none.
type bar struct{ bar *progressbar.ProgressBar }

// newBar returns a bar up to total, if standard error is a terminal and --quiet is not given.
func newBar(c *cli.Context, title string, total int64, asBytes bool) bar {
	if c.Bool(quietFlag.Name) || !term.IsTerminal(int(os.Stderr.Fd())) {
		return bar{}
	}
	return bar{progressbar.NewOptions64(total,
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
	if b.bar == nil {
		return
	}
	if title != "" {
		b.bar.Describe(fmt.Sprintf("%-44.44s", title))
	}
	_ = b.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
}

// end removes the bar.
func (b bar) end() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
}
