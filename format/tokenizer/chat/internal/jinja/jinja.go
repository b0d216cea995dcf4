// Package jinja renders the part of the Jinja 3.1 language that chat templates are written in, with
// the settings transformers gives it: a sandbox with immutable values, trim_blocks, lstrip_blocks,
// loop controls, and no autoescape. What it renders is what Jinja renders, byte for byte; what it
// does not know is an error that names the line. It never loads other templates, reaches no Go
// value beyond those handed to Render, and bounds the work a template can cause.
package jinja

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxSource = 256 << 10 // bytes of template source; real ones stay under 32 KiB
	maxNest   = 200       // levels of nesting in the source
	maxCalls  = 200       // macro and recursive loop calls active at once

	// A rendering may spend workBase plus workPerByte for each byte of its variables. A byte of a
	// string costs 1, an element of a collection or an evaluated operation costs workPerStep.
	workBase    = 64 << 20
	workPerByte = 64
	workPerStep = 16
)

// Error is a template that cannot be parsed, or a rendering that failed.
type Error struct {
	Line int // from 1; 0 where no line is to blame
	Text string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Text)
}

// fail leaves the parser or the evaluator; Parse and Render turn it into their error.
func fail(line int, format string, args ...any) {
	panic(&Error{line, fmt.Sprintf(format, args...)})
}

// rescue turns what fail threw into an error and lets every other panic pass.
func rescue(err *error) {
	switch r := recover().(type) {
	case nil:
	case *Error:
		*err = r
	default:
		panic(r)
	}
}

// Template is a parsed template. It is immutable and may be rendered concurrently.
type Template struct {
	body []stmt
}

// Parse parses a template.
func Parse(source string) (t *Template, err error) {
	defer rescue(&err)
	if len(source) > maxSource {
		fail(0, "the template has %d bytes, the limit is %d", len(source), maxSource)
	}
	if !utf8.ValidString(source) {
		fail(0, "the template is not valid UTF-8")
	}
	p := &parser{toks: lex(source)}
	return &Template{p.template()}, nil
}

// Render renders the template with the given variables; now is what strftime_now tells. See
// convert for what a variable may be.
func (t *Template) Render(vars map[string]any, now time.Time) (text string, err error) {
	defer rescue(&err)
	root := &scope{vars: map[string]any{}}
	in := &interp{now: now, out: &strings.Builder{}}
	for name, v := range vars {
		root.vars[name] = convert(v, &in.size, 0)
	}
	in.work = workBase + workPerByte*in.size
	in.run(t.body, &scope{vars: map[string]any{}, parent: root})
	return in.out.String(), nil
}

// interp is the state of one rendering.
type interp struct {
	now   time.Time
	out   *strings.Builder
	size  int // bytes in the variables
	work  int // what may still be spent
	calls int // macro and loop calls active
}

// spend pays for n units of work, before they are done.
func (in *interp) spend(line, n int) {
	if n < 0 || n > in.work {
		fail(line, "the template makes too much work or text")
	}
	in.work -= n
}

// spendTimes pays for n·m units without overflowing.
func (in *interp) spendTimes(line, n, m int) {
	if n > 0 && m > in.work/n {
		fail(line, "the template makes too much work or text")
	}
	in.spend(line, n*m)
}

// enter counts a nested call; leave it with in.calls--.
func (in *interp) enter(line int) {
	if in.calls++; in.calls > maxCalls {
		fail(line, "calls are nested more than %d deep", maxCalls)
	}
}

// scope holds the variables of the template, of one turn of a loop, or of one call of a macro.
type scope struct {
	vars   map[string]any
	parent *scope
}

func (s *scope) inner() *scope { return &scope{vars: map[string]any{}, parent: s} }

func (s *scope) get(name string) (any, bool) {
	for ; s != nil; s = s.parent {
		if v, ok := s.vars[name]; ok {
			return v, true
		}
	}
	return nil, false
}
