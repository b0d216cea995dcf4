package cmdline

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// FindFlag returns the flag with this name, or nil.
func FindFlag(flags []cli.Flag, name string) cli.Flag {
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

// Check assigns positional arguments to the flags named in positional, in order, and reports arguments that are left
// over and required flags that are missing.
func Check(c *cli.Context, positional []string, required ...string) error {
	for i, arg := range c.Args().Slice() {
		if i >= len(positional) {
			return Usagef("%s: unexpected argument %q; see %s %s --help", c.Command.Name, arg, c.App.Name, c.Command.Name)
		}
		name := positional[i]
		if given := c.String(name); c.IsSet(name) && filepath.Clean(given) != filepath.Clean(arg) {
			return Usagef("%s: --%s is given twice, as %q and as %q%s", c.Command.Name, name, given, arg, ofReport(c))
		}
		if err := c.Set(name, arg); err != nil {
			return err
		}
	}
	for _, name := range required {
		if c.String(name) == "" {
			return Usagef("%s: --%s is missing; see %s %s --help", c.Command.Name, name, c.App.Name, c.Command.Name)
		}
	}
	return nil
}

// ofReport explains an argument that may have been meant for --json, "": it was given without one, or not at all.
func ofReport(c *cli.Context) string {
	if FindFlag(c.Command.Flags, ReportFlag.Name) != cli.Flag(ReportFlag) || c.String(ReportFlag.Name) != "-" {
		return ""
	}
	return " (a file for --json is called ….json, or is given as --json=FILE)"
}

// OneOf reports a flag whose value is not in the list.
func OneOf(c *cli.Context, name string, values ...string) error {
	v := c.String(name)
	if slices.Contains(values, v) {
		return nil
	}
	last := len(values) - 1
	return Usagef("--%s %s: want %s or %s", name, Quoted(v), strings.Join(values[:last], ", "), values[last])
}

// FlagsFirst moves the flags of a command before its other arguments, where package flag looks
// for them, and the program's own flags before the command. Where one asks for help, the rest is dropped.
func FlagsFirst(app *cli.App, args []string) ([]string, error) {
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
		if asksHelp(cmd, arg) { // urfave/cli takes a directory beside it for the name of a subcommand
			return slices.Concat(args[:1], global, args[1:at], []string{arg}), nil
		}
		to, known := &flags, cmd.Flags
		if name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "="); FindFlag(known, name) == nil && FindFlag(app.Flags, name) != nil {
			to, known = &global, app.Flags
		}
		*to = append(*to, canonical(known, arg))
		if !takesValue(known, arg) {
			continue
		}
		if FindFlag(known, strings.TrimLeft(arg, "-")) == cli.Flag(ReportFlag) && (i+1 == len(args) || !namesReport(args[i+1])) {
			*to = append(*to, "-")
			continue
		}
		if i++; i == len(args) {
			return nil, Usagef("%s: its value is missing; see %s %s --help", arg, app.Name, cmd.Name)
		}
		if strings.HasPrefix(args[i], "--") && slices.Contains(flagNames(cmd.Flags), args[i]) {
			return nil, Usagef("%s: its value is missing: %s follows, which is a flag (as a value, it is written %s=%s)", arg, args[i], arg, args[i])
		}
		*to = append(*to, args[i])
	}
	if len(others) > 0 && strings.HasPrefix(others[0], "-") && others[0] != "-" {
		others = append([]string{"--"}, others...)
	}
	return slices.Concat(args[:1], global, args[1:at], flags, others), nil
}

// asksHelp reports whether an argument is the flag that asks for a command's help.
func asksHelp(cmd *cli.Command, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	return FindFlag([]cli.Flag{cli.HelpFlag}, name) != nil && (FindFlag(cmd.Flags, name) == nil || FindFlag(cmd.Flags, name) == cli.HelpFlag)
}

// namesReport reports whether an argument after --json is its value.
func namesReport(arg string) bool { return arg == "-" || strings.HasSuffix(arg, ".json") }

// canonical gives a flag its first name, so that -p and --prompt add to the same list.
func canonical(flags []cli.Flag, arg string) string {
	name, value, assigned := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	f := FindFlag(flags, name)
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
	f := FindFlag(flags, strings.TrimLeft(arg, "-"))
	_, isBool := f.(*cli.BoolFlag)
	return f != nil && !isBool
}
