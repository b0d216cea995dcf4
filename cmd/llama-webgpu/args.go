package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// usageError is a command line that makes no sense.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// What package flag says of a flag.
var (
	unknownFlag = regexp.MustCompile(`^flag provided but not defined: -(\S+)$`)
	emptyFlag   = regexp.MustCompile(`^flag needs an argument: -(\S+)$`)
	wrongValue  = regexp.MustCompile(`(?s)^invalid (?:boolean )?value "(.*)" for (?:flag )?-(\S+?):`)
)

// onUsageError says in this program's words what package flag says.
func onUsageError(c *cli.Context, err error, _ bool) error {
	help := strings.TrimSpace("llama-webgpu " + strings.TrimPrefix(c.Command.Name, "llama-webgpu"))
	flags, text := c.Command.Flags, err.Error()
	if c.Command.Name == "" || c.Command.Name == "llama-webgpu" {
		flags = c.App.Flags
	}
	switch {
	case unknownFlag.MatchString(text):
		name := unknownFlag.FindStringSubmatch(text)[1]
		text = fmt.Sprintf("unknown flag %s%s", dashed(name), didYouMean(dashed(name), flagNames(flags)))
	case emptyFlag.MatchString(text):
		text = dashed(emptyFlag.FindStringSubmatch(text)[1]) + ": its value is missing"
	case wrongValue.MatchString(text):
		m := wrongValue.FindStringSubmatch(text)
		text = fmt.Sprintf("%s %s: want %s", dashed(m[2]), quoted(m[1]), wants(flags, m[2]))
	}
	return usagef("%s; see %s --help", text, help)
}

// dashed writes the name of a flag as people do.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// quoted puts a value that is not plain into quotes.
func quoted(v string) string {
	if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
		return fmt.Sprintf("%q", v)
	}
	return v
}

// wants says what values a flag takes.
func wants(flags []cli.Flag, name string) string {
	switch findFlag(flags, name).(type) {
	case *cli.BoolFlag:
		return "no value, or true or false"
	case *cli.IntFlag, *cli.IntSliceFlag:
		return "a whole number"
	case *cli.Uint64Flag:
		return "a whole number from 0 to 18446744073709551615"
	}
	return "a number"
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// flagNames lists the flags as they are written.
func flagNames(flags []cli.Flag) []string {
	var names []string
	for _, f := range flags {
		for _, name := range f.Names() {
			names = append(names, dashed(name))
		}
	}
	return names
}

// alike is how alike two words must be, by Jaro and Winkler, for one to be taken for a slip of the other.
const alike = .85

// nearest returns the candidate that a word was probably meant to be, "" if it is like none. The beginning of one
// candidate only is that one.
func nearest(word string, candidates []string) string {
	begun := slices.DeleteFunc(slices.Clone(candidates), func(name string) bool { return !strings.HasPrefix(name, word) })
	if len(begun) == 1 && len(strings.TrimLeft(word, "-")) > 1 {
		return begun[0]
	}
	best, found := alike, ""
	for _, name := range candidates {
		if like := smetrics.JaroWinkler(strings.TrimLeft(word, "-"), strings.TrimLeft(name, "-"), .7, 4); like > best && len(strings.TrimLeft(name, "-")) > 1 {
			best, found = like, name
		}
	}
	return found
}

// didYouMean ends the sentence that a word is not known.
func didYouMean(word string, candidates []string) string {
	if name := nearest(word, candidates); name != "" {
		return fmt.Sprintf(" (did you mean %s?)", name)
	}
	return ""
}

// check gives the arguments beside the flags to the flags that they stand for, one after the other, and
// reports what is left over, and required flags that are missing.
func check(c *cli.Context, stands []string, required ...string) error {
	for i, arg := range c.Args().Slice() {
		if i >= len(stands) && findFlag(c.Command.Flags, "prompt") != nil && c.Command.Name == "infer" {
			return usagef("infer: unexpected argument %q: the text goes to --prompt", arg)
		}
		if i >= len(stands) {
			return usagef("%s: unexpected argument %q; see llama-webgpu %s --help", c.Command.Name, arg, c.Command.Name)
		}
		name := stands[i]
		if given := c.String(name); c.IsSet(name) && filepath.Clean(given) != filepath.Clean(arg) {
			return usagef("%s: --%s is given twice, as %q and as %q", c.Command.Name, name, given, arg)
		}
		if err := c.Set(name, arg); err != nil {
			return err
		}
	}
	for _, name := range required {
		if c.String(name) == "" {
			return usagef("%s: --%s is missing; see llama-webgpu %s --help", c.Command.Name, name, c.Command.Name)
		}
	}
	return nil
}

// oneOf reports a flag whose value is none of those there are.
func oneOf(c *cli.Context, name string, values ...string) error {
	v := c.String(name)
	if slices.Contains(values, v) {
		return nil
	}
	last := len(values) - 1
	return usagef("--%s %s: want %s or %s", name, quoted(v), strings.Join(values[:last], ", "), values[last])
}

// bound is what a flag's number may be.
type bound struct {
	name        string
	least, most float64
	not         string // what the ends mean, or that the least is not included
	open        bool   // least itself is not allowed
}

// within reports numbers out of bounds, by the name of their flag; NaN is out of any.
func within(c *cli.Context, bounds ...bound) error {
	for _, b := range bounds {
		for _, v := range numbers(c, b.name) {
			if v >= b.least && v <= b.most && !(b.open && v == b.least) {
				continue
			}
			return usagef("%s %.12g: want %s", dashed(b.name), v, b.wants())
		}
	}
	return nil
}

// wants says what is in bounds.
func (b bound) wants() string {
	text := fmt.Sprintf("%.10g to %.10g", b.least, b.most)
	switch {
	case b.open && b.most >= unbounded:
		text = fmt.Sprintf("more than %.10g", b.least)
	case b.open:
		text = fmt.Sprintf("more than %.10g and at most %.10g", b.least, b.most)
	case b.most >= unbounded:
		text = fmt.Sprintf("%.10g or more", b.least)
	}
	if b.not != "" {
		text += " (" + b.not + ")"
	}
	return text
}

// unbounded is the most that a number is when nothing else bounds it: what a float32 holds.
const unbounded = 3e38

// numbers returns the values of a flag, if it was given.
func numbers(c *cli.Context, name string) []float64 {
	if !c.IsSet(name) {
		return nil
	}
	var list []float64
	switch v := c.Value(name).(type) {
	case int:
		list = append(list, float64(v))
	case float64:
		list = append(list, v)
	case cli.IntSlice:
		for _, n := range v.Value() {
			list = append(list, float64(n))
		}
	case []int:
		for _, n := range v {
			list = append(list, float64(n))
		}
	}
	return list
}

// flagsFirst moves the flags of a command before its other arguments, where package flag looks
// for them, and the program's own flags before the command.
func flagsFirst(app *cli.App, args []string) ([]string, error) {
	at := 1
	var cmd *cli.Command
	for ; at < len(args) && cmd == nil; at++ {
		if strings.HasPrefix(args[at], "-") && takesValue(app.Flags, args[at]) {
			at++
			continue
		}
		if cmd = app.Command(args[at]); cmd == nil && !strings.HasPrefix(args[at], "-") {
			break // no command: the app says so
		}
	}
	if cmd == nil {
		return args, nil
	}
	var global, flags, others []string
	for i := at; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			others = append(others, args[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			others = append(others, arg)
			continue
		}
		to, known := &flags, cmd.Flags
		if name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "="); findFlag(known, name) == nil && findFlag(app.Flags, name) != nil {
			to, known = &global, app.Flags
		}
		*to = append(*to, canonical(known, arg))
		if !takesValue(known, arg) {
			continue
		}
		if findFlag(known, strings.TrimLeft(arg, "-")) == cli.Flag(reportJSONFlag) && (i+1 == len(args) || !namesReport(args[i+1])) {
			*to = append(*to, "-")
			continue
		}
		if i++; i == len(args) {
			return nil, usagef("%s: its value is missing; see llama-webgpu %s --help", arg, cmd.Name)
		}
		if strings.HasPrefix(args[i], "--") && slices.Contains(flagNames(cmd.Flags), args[i]) {
			return nil, usagef("%s: its value is missing: %s follows, which is a flag (as a value, it is written %s=%s)", arg, args[i], arg, args[i])
		}
		*to = append(*to, args[i])
	}
	if len(others) > 0 && strings.HasPrefix(others[0], "-") && others[0] != "-" {
		others = append([]string{"--"}, others...)
	}
	return slices.Concat(args[:1], global, args[1:at], flags, others), nil
}

// namesReport reports whether an argument after --json is its value.
func namesReport(arg string) bool { return arg == "-" || strings.HasSuffix(arg, ".json") }

// canonical writes a flag under its first name, so that -p and --prompt go together.
func canonical(flags []cli.Flag, arg string) string {
	name, value, assigned := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	f := findFlag(flags, name)
	switch {
	case f == nil:
		return arg
	case assigned:
		return dashed(f.Names()[0]) + "=" + value
	}
	return dashed(f.Names()[0])
}

// takesValue reports whether the value of a flag is the next argument.
func takesValue(flags []cli.Flag, arg string) bool {
	f := findFlag(flags, strings.TrimLeft(arg, "-"))
	_, isBool := f.(*cli.BoolFlag)
	return f != nil && !isBool
}
