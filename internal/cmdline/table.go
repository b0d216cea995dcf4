package cmdline

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"
)

// HumanSize writes a size as people read it.
func HumanSize(n int64) string { return humanize.Bytes(uint64(n)) }

// NewTable returns a table without borders whose columns from the second on are numbers, except
// the named ones.
func NewTable(header table.Row, words ...int) table.Writer {
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

// ShowTable writes a table and nothing to the right of its text.
func ShowTable(c *cli.Context, t table.Writer) {
	t.SuppressTrailingSpaces()
	fmt.Fprintln(c.App.Writer, t.Render())
}
