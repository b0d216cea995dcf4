package cmdline

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// Columns of a help text: the least and the most, and those where there is no terminal.
const (
	leastColumns = 40
	mostColumns  = 110
	fileColumns  = 100
	flagColumns  = 28 // for the names of flags
)

// PrintHelp writes the help of a command, or of the program: options in the order and under the headings of
// their flags, the important ones first.
func PrintHelp(w io.Writer, _ string, data any) {
	switch of := data.(type) {
	case *cli.App:
		writeProgram(w, of)
	case *cli.Command:
		writeCommand(w, of)
	}
}

func writeProgram(w io.Writer, app *cli.App) {
	fmt.Fprintf(w, "%s %s: %s\n\nUsage: %s COMMAND [options] (details: %[1]s COMMAND --help)\n", app.Name, app.Version, app.Usage, app.Name)
	width := columns()
	for _, c := range app.VisibleCategories() {
		if c.Name() == "" {
			continue // help
		}
		fmt.Fprintf(w, "\n%s:\n", c.Name())
		for _, cmd := range c.VisibleCommands() {
			writeItem(w, "  "+cmd.Name, cmd.Usage, 12, width)
		}
	}
	writeDescription(w, app.Description, width)
	writeFlags(w, app.Flags, width)
}

func writeCommand(w io.Writer, cmd *cli.Command) {
	usage, width := cmd.UsageText, columns()
	if usage == "" {
		usage = "llama-webgpu " + cmd.Name + " [options]"
	}
	fmt.Fprintf(w, "llama-webgpu %s: %s\n\nUsage: %s\n", cmd.Name, cmd.Usage, usage)
	writeDescription(w, cmd.Description, width)
	writeFlags(w, cmd.Flags, width)
}

func writeDescription(w io.Writer, text string, width int) {
	for _, paragraph := range strings.Split(text, "\n\n") {
		fmt.Fprintf(w, "\n%s\n", wrapped(paragraph, "", width))
	}
}

func writeFlags(w io.Writer, flags []cli.Flag, width int) {
	flags = slices.DeleteFunc(slices.Clone(flags), func(f cli.Flag) bool { return f == cli.HelpFlag }) // who reads this knows it
	for _, category := range categories(flags) {
		fmt.Fprintf(w, "\n%s:\n", category)
		for _, f := range flags {
			if categoryOf(f) == category {
				writeFlag(w, f, width)
			}
		}
	}
}

// columns is how wide a text may be.
func columns() int {
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		return min(max(width, leastColumns), mostColumns)
	}
	return fileColumns
}

// categories lists the headings of flags, in the order in which they first come.
func categories(flags []cli.Flag) []string {
	var list []string
	for _, f := range flags {
		if c := categoryOf(f); !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}

func categoryOf(f cli.Flag) string {
	if of, ok := f.(cli.CategorizableFlag); ok && of.GetCategory() != "" {
		return of.GetCategory()
	}
	return "Options"
}

var placeholder = regexp.MustCompile("`([^`]+)`")

// writeFlag writes a flag and what it is for.
func writeFlag(w io.Writer, f cli.Flag, width int) {
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return
	}
	var names []string
	for _, name := range f.Names() {
		names = append(names, dashed(name))
	}
	slices.SortStableFunc(names, func(a, b string) int { return min(len(a), 3) - min(len(b), 3) }) // -m before --model
	left, text := "  "+strings.Join(names, ", "), doc.GetUsage()
	if m := placeholder.FindStringSubmatch(text); m != nil {
		left += " " + m[1]
		text = strings.TrimPrefix(strings.ReplaceAll(text, "`", ""), m[1]+": ")
	}
	if d := doc.GetDefaultText(); doc.TakesValue() && d != "" && d != "0" {
		text += " (default: " + strings.Trim(d, `"`) + ")"
	}
	if env := doc.GetEnvVars(); len(env) > 0 {
		text += " [$" + strings.Join(env, ", $") + "]"
	}
	writeItem(w, left, text, min(flagColumns, width/3), width)
}

// writeItem writes what something is called, and from a column on what it is.
func writeItem(w io.Writer, name, text string, column, width int) {
	indent := strings.Repeat(" ", column)
	if len(name)+2 > column {
		fmt.Fprintf(w, "%s\n%s\n", name, wrapped(text, indent, width))
		return
	}
	fmt.Fprintf(w, "%s%s\n", name, wrapped(text, indent, width)[len(name):])
}

// wrapped breaks a paragraph into lines of a width. Indented lines stay as they are.
func wrapped(paragraph, indent string, width int) string {
	if strings.HasPrefix(paragraph, "  ") {
		return paragraph
	}
	var lines []string
	line, empty := indent, true
	for _, word := range strings.Fields(paragraph) {
		switch n := len([]rune(line)) + 1 + len([]rune(word)); {
		case empty:
			line += word
		case n > width:
			lines, line = append(lines, line), indent+word
		default:
			line += " " + word
		}
		empty = false
	}
	return strings.Join(append(lines, line), "\n")
}
