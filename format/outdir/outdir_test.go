//go:build !js

package outdir

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, target string, o Options) *Dir {
	t.Helper()
	o.Owns = func(name string) bool { return name == "a" }
	d, err := Open(target, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := WriteFile(path, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// holds reports whether target has a file a of this text, and nothing is beside target.
func holds(t *testing.T, target, text string) {
	t.Helper()
	if data, err := os.ReadFile(filepath.Join(target, "a")); err != nil || string(data) != text {
		t.Errorf("%s: %q, %v; want %q", target, data, err, text)
	}
	if left, _ := os.ReadDir(filepath.Dir(target)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCommitAndReplace(t *testing.T) {
	target := filepath.Join(t.TempDir(), "x", "out")
	for i, text := range []string{"one", "two"} {
		d := open(t, target, Options{Force: i > 0})
		write(t, d.Path("a"), text)
		write(t, d.Beside("journal"), "j")
		if err := d.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := d.Abort(); err != nil {
			t.Error(err)
		}
		holds(t, target, text)
	}
	if _, err := Open(target, Options{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("without force: %v", err)
	}
	write(t, filepath.Join(target, "thesis"), "x")
	_, err := Open(target, Options{Force: true, Owns: func(name string) bool { return name == "a" }})
	if err == nil || !strings.Contains(err.Error(), "thesis") {
		t.Errorf("over something else: %v", err)
	}
}

func TestStale(t *testing.T) {
	target := filepath.Join(t.TempDir(), "out")
	d := open(t, target, Options{})
	write(t, d.Path("a"), "half")
	if _, err := Open(target, Options{}); !errors.Is(err, ErrBusy) {
		t.Errorf("two at once: %v", err)
	}
	if err := d.Keep(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(target, Options{}); !errors.Is(err, ErrUnfinished) || !strings.Contains(err.Error(), d.Work()) {
		t.Errorf("error is %v", err)
	}
	d = open(t, target, Options{Stale: Resume})
	if data, err := os.ReadFile(d.Path("a")); !d.Resumed() || err != nil || string(data) != "half" {
		t.Errorf("resumed: %v, %q, %v", d.Resumed(), data, err)
	}
	if err := d.Keep(); err != nil {
		t.Fatal(err)
	}
	d = open(t, target, Options{Stale: Discard})
	if _, err := os.Stat(d.Path("a")); d.Resumed() || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("discarded: %v, %v", d.Resumed(), err)
	}
	if err := d.Abort(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(target)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestCrashInCommit begins with what a crash at each step of Commit leaves.
func TestCrashInCommit(t *testing.T) {
	for name, c := range map[string]struct {
		out, old, content, journal bool
		stale                      Stale
		want                       string
	}{
		"before, resumed":                {out: true, content: true, journal: true, stale: Resume, want: "new"},
		"before, discarded":              {out: true, content: true, journal: true, stale: Discard, want: "old"},
		"between the renames, resumed":   {old: true, content: true, journal: true, stale: Resume, want: "new"},
		"between the renames, discarded": {old: true, content: true, journal: true, stale: Discard, want: "old"},
		"after":                          {out: true, old: true, journal: true, want: "old"},
		"just begun":                     {out: true, journal: true, want: "old"},
		"after, resumed":                 {out: true, journal: true, stale: Resume, want: "old"},
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "out")
			work := workOf(target)
			for path, there := range map[string]bool{target: c.out, filepath.Join(work, "old"): c.old, filepath.Join(work, "content"): c.content} {
				if !there {
					continue
				}
				if err := os.MkdirAll(path, 0o777); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(path, "a"), map[bool]string{true: "new", false: "old"}[filepath.Base(path) == "content"])
			}
			if err := os.MkdirAll(work, 0o777); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(work, "journal"), "j")
			d := open(t, target, Options{Force: true, Stale: c.stale})
			if d.Resumed() != (c.want == "new") {
				t.Errorf("resumed: %v", d.Resumed())
			}
			var err error
			if d.Resumed() {
				err = d.Commit()
			} else {
				err = d.Abort()
			}
			if err != nil {
				t.Fatal(err)
			}
			holds(t, target, c.want)
		})
	}
}

func TestSpace(t *testing.T) {
	target := filepath.Join(t.TempDir(), "not", "there")
	have, ok := Available(target)
	if !ok {
		t.Skip("this system does not say")
	}
	if have == 0 {
		t.Error("nothing is available")
	}
	if err := CheckSpace(target, 1); err != nil {
		t.Error(err)
	}
	if err := CheckSpace(target, math.MaxInt64); !errors.Is(err, ErrSpace) || !strings.Contains(err.Error(), "9.2 EB are needed") {
		t.Errorf("error is %v", err)
	}
}

func TestApart(t *testing.T) {
	in := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(in, link); err != nil {
		t.Skip(err)
	}
	for _, out := range []string{in, filepath.Join(in, "out"), filepath.Dir(in), filepath.Join(link, "a", "b")} {
		if err := Apart(out, in); err == nil {
			t.Errorf("%s and %s: no error", out, in)
		}
	}
	if err := Apart(in+"2", in); err != nil {
		t.Error(err)
	}
}
