package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// usageError is a command line that makes no sense.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// onUsageError is called with what package flag says.
func onUsageError(c *cli.Context, err error, _ bool) error {
	help := strings.TrimSpace("llama-webgpu " + strings.TrimPrefix(c.Command.Name, "llama-webgpu"))
	return usagef("%v; see %s --help", err, help)
}

// check reports a required flag that is missing, and arguments beside the flags.
func check(c *cli.Context, required ...string) error {
	for _, name := range required {
		if c.String(name) == "" {
			return usagef("%s: --%s is missing; see llama-webgpu %s --help", c.Command.Name, name, c.Command.Name)
		}
	}
	if c.Args().Present() {
		return usagef("%s: unexpected argument %q; see llama-webgpu %s --help", c.Command.Name, c.Args().First(), c.Command.Name)
	}
	return nil
}

// oneOf reports a flag whose value is none of those there are.
func oneOf(c *cli.Context, name string, values ...string) error {
	if v := c.String(name); !slices.Contains(values, v) {
		return usagef("%s %q: want %s", name, v, strings.Join(values, " or "))
	}
	return nil
}

// flagsFirst moves the flags of a command before its other arguments, where package flag looks
// for them.
func flagsFirst(app *cli.App, args []string) []string {
	at := 1
	var cmd *cli.Command
	for ; at < len(args) && cmd == nil; at++ {
		cmd = app.Command(args[at])
	}
	if cmd == nil {
		return args
	}
	var flags, others []string
	for i := at; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--":
			others = append(others, args[i:]...)
			i = len(args)
		case len(arg) < 2 || arg[0] != '-':
			others = append(others, arg)
		default:
			flags = append(flags, arg)
			if takesValue(cmd, arg) && i+1 < len(args) {
				i++
				flags = append(flags, args[i])
			}
		}
	}
	return slices.Concat(args[:at], flags, others)
}

// takesValue reports whether the value of a flag is the next argument.
func takesValue(cmd *cli.Command, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	for _, f := range cmd.Flags {
		if slices.Contains(f.Names(), name) {
			_, isBool := f.(*cli.BoolFlag)
			return !isBool
		}
	}
	return false
}
