package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const pkg = "example.org/a/b/pkg"

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// feed gives events to a show that prints into a text.
func feed(t *testing.T, terminal bool, events ...event) (*show, *strings.Builder) {
	t.Helper()
	var b strings.Builder
	s := newShow(&b, terminal)
	s.begun = t0
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		s.line(string(line))
	}
	return s, &b
}

func test(action, name string, at int, output string) event {
	return event{Time: t0.Add(time.Duration(at) * time.Second), Action: action, Package: pkg, Test: name, Output: output}
}

func has(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in:\n%s", want, text)
		}
	}
}

func TestStatus(t *testing.T) {
	s, b := feed(
		t, false,
		event{Time: t0, Action: "start", Package: pkg},
		test("run", "TestA", 1, ""), test("pass", "TestA", 2, ""),
		test("run", "TestB", 2, ""), test("run", "TestB/x", 3, ""), test("run", "TestC", 5, ""), test("pause", "TestD", 5, ""),
	)
	s.total = 7
	s.status(t0.Add(63 * time.Second))
	if want := "  1m3s  0 of 7 packages  pkg: 1 done, TestB/x for 1m0s\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestPassed(t *testing.T) {
	s, b := feed(
		t, true,
		test("run", "TestA", 1, ""), test("output", "TestA", 1, "=== RUN   TestA\n"), test("output", "TestA", 1, "noise\n"),
		test("pass", "TestA", 2, ""), test("run", "TestB", 2, ""), test("skip", "TestB", 2, ""),
		event{Action: "pass", Package: pkg, Elapsed: 1.5},
		test("output", "", 2, "ok  \t"+pkg+"\t(cached)\n"), test("pass", "TestA", 3, ""), event{Action: "pass", Package: pkg},
		event{Action: "skip", Package: "example.org/a/b/none"},
	)
	s.status(t0.Add(time.Second))
	s.end(true)
	has(t, b.String(), "ok    pkg  2 tests, 1.5s\n", "ok    pkg  1 test (cached)\n", "–   none  no tests\n", "skipped: pkg.TestB\n", "ok: 3 tests in 3 packages", "1 skipped")
	if strings.Contains(b.String(), "noise") {
		t.Errorf("a test that passed is heard:\n%s", b)
	}
	has(t, b.String(), "\r\x1b[K    1s  3 packages  building\r\x1b[K")
}

func TestFailed(t *testing.T) {
	s, b := feed(
		t, false,
		test("run", "TestA", 1, ""), test("output", "TestA", 1, "good\n"), test("pass", "TestA", 1, ""),
		test("run", "TestB", 1, ""), test("run", "TestB/x", 1, ""), test("output", "TestB/x", 1, "    b_test.go:3: bad\n"),
		test("fail", "TestB/x", 1, ""), test("fail", "TestB", 1, ""),
		test("run", "TestC", 1, ""), test("output", "TestC", 1, "panic: test timed out\n"),
		test("output", "", 1, "FAIL\t"+pkg+"\n"),
		event{Action: "fail", Package: pkg, Elapsed: 2},
		event{Action: "build-output", ImportPath: "example.org/a/b/c.test", Output: "c.go:1: no\n"},
		event{Action: "fail", Package: "example.org/a/b/c", FailedBuild: "example.org/a/b/c.test"},
	)
	s.line("no event\n")
	s.end(false)
	has(t, b.String(), "FAIL  pkg  2s: TestB/x, TestC (did not end)\n", "FAIL  c  0s: does not build\n", "no event\n",
		"\n--- "+pkg+"\n    b_test.go:3: bad\npanic: test timed out\nFAIL\t"+pkg+"\n", "\n--- example.org/a/b/c\nc.go:1: no\n",
		"FAIL: 3 tests in 2 packages", "failed: "+pkg+" example.org/a/b/c\n")
	if strings.Contains(b.String(), "good") {
		t.Errorf("a test that passed is heard:\n%s", b)
	}
}

// TestRun runs go test on a module that fails, and on one that passes.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOWORK", "off")
	for want, body := range map[int]string{0: "", 1: `t.Error("no")`} {
		for name, text := range map[string]string{"go.mod": "module x\n", "x_test.go": "package x\nimport \"testing\"\nfunc TestX(t *testing.T) {" + body + "}\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if code, err := run(t.Context(), "go", []string{"-vet=off", "./..."}, time.Minute); code != want || err != nil {
			t.Errorf("exit code %d, %v: want %d", code, err, want)
		}
	}
}
