// Command release makes what a release consists of: for each platform an archive with the program, its page inside,
// and a CycloneDX file of what it was built from; the npm package; and SHA256SUMS of all of them. The same commit gives
// the same bytes, wherever the tree lies. `make release` runs it, after it has built page and package.
//
// The platform that it runs on gets a program with GPU support, which needs cgo. So does another if CC_GOOS_GOARCH
// names a C compiler for it; one that has none gets a program without, in an archive that is called …-cpu.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/internal/release"
)

// maker makes a release.
type maker struct {
	goTool  string
	out     string    // directory
	version string    // with -dirty if the tree is not a commit
	date    time.Time // of the commit; that of every file in an archive
}

func main() {
	platforms := flag.String("platforms", "", "GOOS/GOARCH …: what to build for (default: this one)")
	goTool := flag.String("go", "go", "the Go tool")
	out := flag.String("out", "build/release", "directory to write; what is in it goes")
	dirty := flag.Bool("dirty", false, "build also what is not committed")
	npm := flag.Bool("npm", true, "make the npm package, too")
	tag := flag.String("tag", "", "refuse unless the version is that of this tag (v1.2.3), and CHANGELOG.md tells of it")
	sums := flag.Bool("sums", false, "only write SHA256SUMS of the files that are in -out")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m := maker{goTool: *goTool, out: *out, version: release.Version}
	err := cmp.Or(checkTag(*tag), m.prepare(ctx, *dirty))
	switch {
	case err != nil:
	case *sums:
		err = m.sums()
	default:
		err = m.run(ctx, strings.Fields(*platforms), *npm)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// checkTag refuses a tag of another version, or of one that CHANGELOG.md does not tell of.
func checkTag(tag string) error {
	if tag == "" {
		return nil
	}
	if tag != "v"+release.Version {
		return fmt.Errorf("the tag is %s, the version in internal/release %s", tag, release.Version)
	}
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	if heading := "\n## [" + release.Version + "] - "; !strings.Contains(string(text), heading) {
		return fmt.Errorf("CHANGELOG.md has no heading %q with a date", strings.TrimSpace(heading))
	}
	return nil
}

// prepare finds the commit's date, and refuses a tree that is not a commit.
func (m *maker) prepare(ctx context.Context, dirty bool) error {
	changed, err := m.output(ctx, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		if !dirty {
			return fmt.Errorf("there are changes that are not committed, and a release is of a commit; -dirty builds them all the same:\n%s", changed)
		}
		m.version += "-dirty"
	}
	stamp, err := m.output(ctx, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	m.date = time.Unix(seconds, 0).UTC()
	return err
}

func (m *maker) run(ctx context.Context, platforms []string, npm bool) error {
	if err := errors.Join(os.RemoveAll(m.out), os.MkdirAll(m.out, 0o777)); err != nil {
		return err
	}
	host, err := m.output(ctx, m.goTool, "env", "GOHOSTOS", "GOHOSTARCH")
	if err != nil {
		return err
	}
	host = strings.Join(strings.Fields(host), "/")
	if len(platforms) == 0 {
		platforms = []string{host}
	}
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for _, p := range platforms {
		if err := m.platform(ctx, work, p, host); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	if npm {
		if err := m.npm(ctx, work); err != nil {
			return fmt.Errorf("npm package: %w", err)
		}
	}
	return m.sums()
}

// output returns what a program prints, without the space around it.
func (m *maker) output(ctx context.Context, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), err
}

// command runs a program in a directory with more variables in its environment.
func (m *maker) command(ctx context.Context, dir string, env []string, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), env...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
