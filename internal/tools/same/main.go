// Command same shows whether this source tree makes of models what another revision makes of them. It builds
// both, lets them quantize the repository's small checkpoints, run the bundles and write, and compares: bundles
// byte for byte, logits of the GPU bit for bit, verify's figures digit for digit, texts. It drives the built
// programs by their command line alone, so it does not mind how the packages are arranged.
// `make same BASE=REV` runs it.
//
// It prints a table, then what differs, and ends with 0 if nothing does, 1 if something does, 2 if it
// could not compare.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/internal/tools/revision"
)

// options are what the flags say.
type options struct {
	base, now string // revisions; now may be empty: the work tree
	dir       string
	only      *regexp.Regexp // names of jobs
	workers   int
}

func main() {
	var o options
	flag.StringVar(&o.base, "base", "", "revision to compare with (required)")
	flag.StringVar(&o.now, "now", "", "revision to compare (default: the work tree)")
	flag.StringVar(&o.dir, "dir", "build/same", "where programs and what they make go")
	only := flag.String("run", "", "compare only models whose names match this regular expression")
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "how many models to work on at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	differ := 0
	if o.only, err = regexp.Compile(*only); err == nil {
		differ, err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "same:", err)
		os.Exit(2)
	}
	if differ > 0 {
		fmt.Fprintf(os.Stderr, "same: %d differ\n", differ)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (differ int, err error) {
	if o.base == "" || o.workers < 1 {
		return 0, errors.New("want -base REVISION, and -workers of 1 or more")
	}
	commit, err := output(ctx, "git", "rev-parse", "--verify", o.base+"^{commit}")
	if err != nil {
		return 0, fmt.Errorf("-base %s: is not a revision of this repository: %w", o.base, err)
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return 0, err
	}
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(o.dir, 0o777); err != nil {
		return 0, err
	}
	jobs, err := plan(testdata, filepath.Join(o.dir, "checkpoints"), o.only)
	if err != nil {
		return 0, err
	}
	sides, err := build(ctx, o, commit)
	if err != nil {
		return 0, err
	}
	// What the base has made once is kept, for as long as it is asked for the same on the same device.
	device, err := output(ctx, sides[1].program, "adapters")
	if err != nil {
		return 0, err
	}
	fixtures, err := digestOf(testdata, filepath.Join(o.dir, "checkpoints"))
	if err != nil {
		return 0, err
	}
	sides[0].key = fmt.Sprintf("%s %s %s", commit, device, fixtures)
	results := work(ctx, jobs, sides, o.workers)
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	text, differ, err := table(jobs, results)
	if err != nil {
		return 0, err
	}
	fmt.Print(text)
	return differ, os.WriteFile(filepath.Join(o.dir, "same.txt"), []byte(text), 0o666)
}

// build builds the programs of both sides: 0 the base, 1 now.
func build(ctx context.Context, o options, commit string) (sides [2]side, err error) {
	for i, name := range []string{"base", "now"} {
		sides[i].dir = filepath.Join(o.dir, name)
		sides[i].program = filepath.Join(o.dir, name+"-program")
	}
	fmt.Fprintln(os.Stderr, "building both programs")
	if err = revision.Build(ctx, commit, o.dir, sides[0].program); err != nil {
		return sides, err
	}
	if o.now != "" {
		return sides, revision.Build(ctx, o.now, o.dir, sides[1].program)
	}
	return sides, revision.Command(ctx, ".", "go", "build", "-o", sides[1].program, "./cmd/llama-webgpu")
}

// output returns what a program prints, without the space around it.
func output(ctx context.Context, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	return strings.TrimSpace(string(out)), err
}
