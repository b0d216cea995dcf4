// Command bench-compare compares how fast this source tree runs models with how fast another revision does,
// on the same device: it builds both, lets them measure by turns, and prints medians side by side. It
// ends with 1 if something got slower. `make bench BASE=REV` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/llama-webgpu/llama-webgpu/internal/tools/revision"
)

func main() {
	base := flag.String("base", "", "revision to compare with (required)")
	rounds := flag.Int("rounds", 5, "how often each program measures")
	dir := flag.String("dir", "build/bench", "where programs, model and results go")
	checkpoint := flag.String("checkpoint", "testdata/tiny", "checkpoint to make a bundle of")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	slower, err := run(ctx, *base, *rounds, *dir, *checkpoint)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-compare:", err)
		os.Exit(2)
	}
	if slower > 0 {
		fmt.Fprintf(os.Stderr, "bench-compare: %d got slower\n", slower)
		os.Exit(1)
	}
}

func run(ctx context.Context, base string, rounds int, dir, checkpoint string) (slower int, err error) {
	if base == "" || rounds < 1 {
		return 0, errors.New("want -base REVISION and -rounds of 1 or more")
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, err
	}
	before, after := filepath.Join(dir, "base"), filepath.Join(dir, "now")
	if err := revision.Build(ctx, base, dir, before); err != nil {
		return 0, err
	}
	if err := revision.Command(ctx, ".", "go", "build", "-o", after, "./cmd/llama-webgpu"); err != nil {
		return 0, err
	}
	model, shape := filepath.Join(dir, "model"), filepath.Join(dir, "shape.json")
	if err := revision.Command(ctx, ".", after, "quantize", "--input-dir", checkpoint, "--output-dir", model, "--format", "int4", "--force", "--quiet"); err != nil {
		return 0, err
	}
	if err := os.WriteFile(shape, []byte(config), 0o666); err != nil {
		return 0, err
	}
	var all samples
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, rounds)
		for _, w := range workloads(model, shape) {
			for side, program := range []string{before, after} {
				if err := w.measure(ctx, program, side, &all); err != nil {
					return 0, err
				}
			}
		}
	}
	table, slower := all.compare(base)
	fmt.Print(table)
	return slower, os.WriteFile(filepath.Join(dir, "compare.txt"), []byte(table), 0o666)
}
