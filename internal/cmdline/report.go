package cmdline

import (
	"encoding/json"
	"io"

	"github.com/urfave/cli/v2"
)

// PrintJSON writes v to standard output, indented.
func PrintJSON(c *cli.Context, v any) error {
	e := json.NewEncoder(c.App.Writer)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(v)
}

// ReportFlag is for commands whose report is written beside what they print.
var ReportFlag = &cli.StringFlag{Name: "json", Usage: "`FILE`: write the report as JSON to a file called ….json (or =FILE); alone or with -, print it instead of the tables", Category: "Output"}

// WriteReport writes v where ReportFlag says, and reports whether that is all there is to print.
func WriteReport(c *cli.Context, v any) (printed bool, err error) {
	switch path := c.String(ReportFlag.Name); path {
	case "":
		return false, nil
	case "-":
		return true, PrintJSON(c, v)
	default:
		return false, WriteFile(path, func(w io.Writer) error {
			data, err := json.MarshalIndent(v, "", " ")
			if err == nil {
				_, err = w.Write(append(data, '\n'))
			}
			return err
		})
	}
}
