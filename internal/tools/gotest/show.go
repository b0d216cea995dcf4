package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// show follows the events of go test and prints how it goes.
type show struct {
	out      io.Writer
	terminal bool // there is a line to write over
	total    int  // packages; 0: unknown
	begun    time.Time
	running  map[string]*suite
	ended    int // packages
	tests    int
	skipped  []string // tests, with their packages
	failed   []string // packages
	reports  []string // what failed, in full
	builds   map[string]string
	drawn    bool // the status line is there
}

func newShow(out io.Writer, terminal bool) *show {
	return &show{out: out, terminal: terminal, begun: time.Now(), running: map[string]*suite{}, builds: map[string]string{}}
}

// line takes a line of go test -json. One that is no event is printed as it is.
func (s *show) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		s.print("%s", line)
		return
	}
	switch {
	case e.Action == "build-output":
		s.builds[e.ImportPath] += e.Output
	case e.Package == "":
	case e.Test != "" || e.Action == "output":
		s.suite(e).add(e)
	case e.Action == "start":
		s.suite(e)
	case e.Action == "pass", e.Action == "skip", e.Action == "fail":
		s.packageEnded(e)
	}
}

// suite returns the package of an event.
func (s *show) suite(e event) *suite {
	p := s.running[e.Package]
	if p == nil {
		p = newSuite(e.Package, e.Time)
		s.running[e.Package] = p
	}
	return p
}

func (s *show) packageEnded(e event) {
	p := s.suite(e)
	delete(s.running, e.Package)
	s.ended++
	s.tests += p.done
	for _, test := range p.skipped {
		s.skipped = append(s.skipped, short(p.name)+"."+test)
	}
	switch {
	case e.Action == "fail":
		s.failed = append(s.failed, p.name)
		s.reports = append(s.reports, s.builds[e.FailedBuild]+p.output())
		s.print("FAIL  %s  %s: %s\n", short(p.name), seconds(e.Elapsed), failures(p, e))
	case e.Action == "skip":
		s.print("  –   %s  no tests\n", short(p.name))
	case p.cached:
		s.print("ok    %s  %s (cached)\n", short(p.name), count(p.done, "test"))
	default:
		s.print("ok    %s  %s, %s\n", short(p.name), count(p.done, "test"), seconds(e.Elapsed))
	}
}

// failures says which tests of a package failed.
func failures(p *suite, e event) string {
	if e.FailedBuild != "" {
		return "does not build"
	}
	var leaves []string // a test fails with each of its subtests; these say more
	for _, name := range p.failed {
		if !slices.ContainsFunc(p.failed, func(other string) bool { return strings.HasPrefix(other, name+"/") }) {
			leaves = append(leaves, name)
		}
	}
	for name := range p.running {
		leaves = append(leaves, name+" (did not end)")
	}
	slices.Sort(leaves)
	const most = 8
	if len(leaves) > most {
		leaves = append(leaves[:most], fmt.Sprintf("and %d more", len(leaves)-most))
	}
	return strings.Join(leaves, ", ")
}

// status says what is running.
func (s *show) status(now time.Time) {
	var at []string
	for _, p := range s.running {
		name, since := p.longest()
		switch {
		case name != "":
			at = append(at, fmt.Sprintf("%s: %d done, %s for %s", short(p.name), p.done, name, now.Sub(since).Round(time.Second)))
		case p.done > 0 || len(p.paused) > 0:
			at = append(at, fmt.Sprintf("%s: %d done", short(p.name), p.done))
		}
	}
	slices.Sort(at)
	if len(at) == 0 {
		at = []string{"building"}
	}
	of := ""
	if s.total > 0 {
		of = fmt.Sprintf(" of %d", s.total)
	}
	line := fmt.Sprintf("%6s  %d%s packages  %s", now.Sub(s.begun).Round(time.Second), s.ended, of, strings.Join(at, "; "))
	if !s.terminal {
		fmt.Fprintln(s.out, line)
		return
	}
	fmt.Fprintf(s.out, "\r\x1b[K%.*s", width(), line)
	s.drawn = true
}

// print writes what stays, in the place of the status line if there is one.
func (s *show) print(format string, args ...any) {
	if s.drawn {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.drawn = false
	}
	fmt.Fprintf(s.out, format, args...)
}

// end prints what failed, and the sum. Without ok, go test has failed.
func (s *show) end(ok bool) {
	for _, p := range s.running { // it was interrupted, or go test was
		s.tests += p.done
		name, _ := p.longest()
		s.print("not ended: %s  %s done, at %s\n", short(p.name), count(p.done, "test"), name)
	}
	for i, report := range s.reports {
		s.print("\n--- %s\n%s", s.failed[i], report)
	}
	sum := fmt.Sprintf("%s in %s, %s", count(s.tests, "test"), count(s.ended, "package"), time.Since(s.begun).Round(time.Second))
	if n := len(s.skipped); n > 0 {
		slices.Sort(s.skipped)
		sum += fmt.Sprintf(", %d skipped", n)
		s.print("skipped: %s\n", strings.Join(s.skipped, " "))
	}
	switch {
	case len(s.failed) > 0:
		s.print("\nFAIL: %s; failed: %s\n", sum, strings.Join(s.failed, " "))
	case !ok:
		s.print("\nFAIL: %s; go test did not end well\n", sum)
	default:
		s.print("ok: %s\n", sum)
	}
}

// short is a package's path without the module's.
func short(name string) string {
	if parts := strings.SplitN(name, "/", 4); len(parts) == 4 && strings.Contains(parts[0], ".") {
		return parts[3]
	}
	return name
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second / 10).String()
}
