package cmdline

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// UsageError is a mistake in the command line.
type UsageError struct{ msg string }

func (e *UsageError) Error() string { return e.msg }

// Usagef returns a *UsageError.
func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Sprintf(format, args...)}
}

// Error messages of package flag.
var (
	unknownFlag = regexp.MustCompile(`^flag provided but not defined: -(\S+)$`)
	emptyFlag   = regexp.MustCompile(`^flag needs an argument: -(\S+)$`)
	wrongValue  = regexp.MustCompile(`(?s)^invalid (?:boolean )?value "(.*)" for (?:flag )?-(\S+?):`)
)

// OnUsageError rewords the errors of package flag.
func OnUsageError(c *cli.Context, err error, _ bool) error {
	help := strings.TrimSpace("llama-webgpu " + strings.TrimPrefix(c.Command.Name, "llama-webgpu"))
	flags, text := c.Command.Flags, err.Error()
	if c.Command.Name == "" || c.Command.Name == "llama-webgpu" {
		flags = c.App.Flags
	}
	switch {
	case unknownFlag.MatchString(text):
		name := unknownFlag.FindStringSubmatch(text)[1]
		text = fmt.Sprintf("unknown flag %s%s", dashed(name), DidYouMean(dashed(name), flagNames(flags)))
	case emptyFlag.MatchString(text):
		text = dashed(emptyFlag.FindStringSubmatch(text)[1]) + ": its value is missing"
	case wrongValue.MatchString(text):
		m := wrongValue.FindStringSubmatch(text)
		text = fmt.Sprintf("%s %s: want %s", dashed(m[2]), Quoted(m[1]), wants(flags, m[2]))
	}
	return Usagef("%s; see %s --help", text, help)
}

// dashed writes the name of a flag with its dashes.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// Quoted quotes a value that has spaces or quotes in it.
func Quoted(v string) string {
	if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
		return fmt.Sprintf("%q", v)
	}
	return v
}

// wants says what values a flag takes.
func wants(flags []cli.Flag, name string) string {
	switch FindFlag(flags, name).(type) {
	case *cli.BoolFlag:
		return "no value, or true or false"
	case *cli.IntFlag, *cli.IntSliceFlag:
		return "a whole number"
	case *cli.Uint64Flag:
		return "a whole number from 0 to 18446744073709551615"
	case *cli.DurationFlag:
		return "a time with its unit, such as 30s or 5m"
	}
	return "a number"
}

// alike is the Jaro-Winkler similarity from which on a word is taken for a typo of another.
const alike = .85

// nearest returns the candidate that a word was probably meant to be, or "". A prefix of exactly one candidate means
// that one.
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

// DidYouMean returns a suggestion to append to an error about an unknown word, or "".
func DidYouMean(word string, candidates []string) string {
	if name := nearest(word, candidates); name != "" {
		return fmt.Sprintf(" (did you mean %s?)", name)
	}
	return ""
}

// OneLine writes an error of several lines as one.
func OneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}
