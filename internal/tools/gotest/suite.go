package main

import (
	"slices"
	"strings"
	"time"
)

// event is one line of go test -json; see go doc test2json, and go help buildjson for those with ImportPath.
type event struct {
	Time        time.Time
	Action      string
	Package     string
	Test        string
	Elapsed     float64 // seconds
	Output      string
	ImportPath  string
	FailedBuild string
}

// suite is the tests of a package.
type suite struct {
	name    string
	begun   time.Time
	running map[string]time.Time // when each began, or went on after a pause
	paused  map[string]bool
	done    int
	failed  []string // tests
	skipped []string // tests
	printed []printed
	cached  bool
}

// printed is what a test printed, or its package if test is "".
type printed struct{ test, text string }

func newSuite(name string, begun time.Time) *suite {
	return &suite{name: name, begun: begun, running: map[string]time.Time{}, paused: map[string]bool{}}
}

// add takes an event of a test.
func (s *suite) add(e event) {
	switch e.Action {
	case "run", "cont":
		s.running[e.Test] = e.Time
		delete(s.paused, e.Test)
	case "pause":
		delete(s.running, e.Test)
		s.paused[e.Test] = true
	case "output":
		s.print(e)
	case "pass", "skip", "fail":
		s.ended(e)
	}
}

// print keeps what a test prints, but for the frame that go test puts around it.
func (s *suite) print(e event) {
	for _, frame := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME "} {
		if strings.HasPrefix(e.Output, frame) {
			return
		}
	}
	s.cached = s.cached || e.Test == "" && strings.HasPrefix(e.Output, "ok ") && strings.Contains(e.Output, "(cached)")
	s.printed = append(s.printed, printed{e.Test, e.Output})
}

func (s *suite) ended(e event) {
	delete(s.running, e.Test)
	delete(s.paused, e.Test)
	s.done++
	switch e.Action {
	case "fail":
		s.failed = append(s.failed, e.Test)
		return
	case "skip":
		s.skipped = append(s.skipped, e.Test)
	}
	s.printed = slices.DeleteFunc(s.printed, func(p printed) bool { return p.test == e.Test })
}

// output returns what the package and those of its tests printed that did not pass.
func (s *suite) output() string {
	var b strings.Builder
	for _, p := range s.printed {
		b.WriteString(p.text)
	}
	return b.String()
}

// longest returns the test that has been running for the longest time, without those that only wait for their
// subtests.
func (s *suite) longest() (name string, since time.Time) {
	for test, begun := range s.running {
		waits := false
		for other := range s.running {
			waits = waits || strings.HasPrefix(other, test+"/")
		}
		if !waits && (name == "" || begun.Before(since) || begun.Equal(since) && test < name) {
			name, since = test, begun
		}
	}
	return name, since
}
