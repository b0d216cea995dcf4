package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
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

// reportJSONFlag is for commands whose report is written beside what they print.
var reportJSONFlag = &cli.StringFlag{Name: "json", Usage: "`FILE`: write the report as JSON to a file called ….json (or =FILE); alone or with -, print it instead of the tables", Category: "Output"}

// writeReport writes v where reportJSONFlag says, and reports whether that is all there is to print.
func writeReport(c *cli.Context, v any) (printed bool, err error) {
	switch path := c.String(reportJSONFlag.Name); path {
	case "":
		return false, nil
	case "-":
		return true, printJSON(c, v)
	default:
		data, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			return false, err
		}
		return false, os.WriteFile(path, append(data, '\n'), 0o644)
	}
}

// writable reports files and directories that flags name and that cannot be written, before the work that
// they are for. What is there already stays as it is.
func writable(c *cli.Context, flags ...string) error {
	seen := map[string]string{}
	for _, name := range flags {
		path := c.String(name)
		if path == "" && c.IsSet(name) {
			return usagef("--%s: its value is empty: want the path of a file", name)
		}
		if path == "" || path == "-" {
			continue
		}
		if err := checkWritable(path); err != nil {
			return fmt.Errorf("--%s %s: cannot be written: %w", name, quoted(path), err)
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		if other := seen[abs]; other != "" {
			return usagef("--%s and --%s name the same file, %s", other, name, path)
		}
		seen[abs] = name
	}
	return nil
}

// checkWritable reports why a file cannot be written.
func checkWritable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return errors.New("it is a directory, want a file")
	case err == nil && !info.Mode().IsRegular(): // a pipe or a device
		return nil
	case err == nil:
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return errors.Unwrap(err)
		}
		return f.Close()
	}
	err = outdir.CheckWritable(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s", filepath.Dir(path))
	}
	return err
}

// checkedWriter remembers the first error of a writer.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (w *checkedWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.err = cmp.Or(w.err, err)
	return n, err
}

// interruptible is a reader that does not wait any more when ctx has ended.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (r interruptible) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	buf, done := make([]byte, len(p)), make(chan result, 1) // p is the caller's again when ctx has ended
	go func() {
		n, err := r.r.Read(buf)
		done <- result{n, err}
	}()
	select {
	case got := <-done:
		return copy(p, buf[:got.n]), got.err
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
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
