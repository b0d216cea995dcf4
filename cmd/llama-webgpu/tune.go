package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm/bench"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
)

var tuneCommand = &cli.Command{
	Name:      "tune",
	Category:  "Models",
	Usage:     "find the fastest kernel settings for this GPU, for a bundle or the shape of a model",
	UsageText: "llama-webgpu tune (DIR | --shape NAME) [options]",
	Description: `Tries tile and workgroup sizes of the kernels on the matrices of a model. Each candidate is first
compared with the definition, computed on the CPU, and timed only if it is right. The fastest settings go
to a file in the user's cache directory ($XDG_CACHE_HOME/llama-webgpu/tuning.json), for this adapter, its
driver and this version of the kernel; infer, serve, verify, compare and bench use them from then on. Only
the shapes of a model matter: its weights are not read. --tuning off, or LLAMA_WEBGPU_TUNING=off, ignores
the file. An interrupted search keeps what it has found.

Examples:

  llama-webgpu tune out
  llama-webgpu tune --shape llama-3.1-8b --format int4 --quick
  llama-webgpu bench --shape llama-3.1-8b --tuning off`,
	Flags: slices.Concat(weightFlags("What to tune for"), []cli.Flag{
		&cli.IntSliceFlag{Name: "tokens", Usage: "for passes of `N` tokens (repeatable)", DefaultText: "1, 2, 4, 8, 16, 64, 512; with --quick 1, 512", Category: "What to tune for"},
		&cli.BoolFlag{Name: "quick", Usage: "one round only, and fewer passes", Category: "What to tune for", DisableDefaultText: true},
		adapterFlag("Device", ""),
		engineFlag("Device"),
		libraryFlag("Device"),
		tuningFlag("Output"),
		quietFlag, jsonFlag("print what was found as JSON"),
	}),
	Action: tuneKernels,
}

// tuneReport is what tune prints as JSON.
type tuneReport struct {
	Device  string       `json:"device"`
	File    string       `json:"file,omitempty"` // where it is kept
	Results []tuneResult `json:"results"`
}

type tuneResult struct {
	Kernel  string        `json:"kernel"`
	Class   string        `json:"class"`
	What    string        `json:"matrices"`
	Tokens  int           `json:"tokens"` // of the pass
	Uses    int           `json:"uses"`   // in a pass
	Default graph.Tuned   `json:"default"`
	Best    graph.Tuned   `json:"best"`
	Before  float64       `json:"seconds_before"`
	After   float64       `json:"seconds_after"`
	Tried   int           `json:"tried"`
	Wrong   []graph.Tuned `json:"wrong,omitempty"`
}

func tuneKernels(c *cli.Context) (err error) {
	if err := cmp.Or(cmdline.Check(c, []string{"model"}), checkWeights(c), cmdline.Within(c, cmdline.Bound{Name: "tokens", Least: 1, Most: 4096})); err != nil {
		return err
	}
	path, err := tuningPath(c)
	if err != nil {
		return fmt.Errorf("%w: give a file with --tuning", err)
	}
	kept := engine.NewTuning()
	if path != "" {
		if kept, err = engine.ReadTuning(path); err != nil {
			return err
		}
	}
	if path != "" && path != c.String("tuning") {
		err = os.MkdirAll(filepath.Dir(path), 0o777)
	}
	if err == nil && path != "" {
		err = cmdline.CheckWritable(path)
	}
	if err != nil {
		return fmt.Errorf("%s: cannot be written: %w: give another file with --tuning, or off", path, err)
	}
	src, err := openWeights(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dev, err := openGPU(c)
	if err != nil {
		return err
	}
	defer dev.Close()
	results, failed := search(c, dev, src)
	if failed != nil && len(results) == 0 {
		return failed
	}
	if path != "" { // of an interrupted search, too
		kept.Put(dev, results)
		if err := kept.Write(path); err != nil {
			return errors.Join(failed, err)
		}
	}
	if errors.Is(failed, context.Canceled) && path != "" {
		failed = fmt.Errorf("%w: what was found until then is kept in %s; run the same command again for the rest", errInterrupted, path)
	}
	return errors.Join(failed, showTuning(c, dev, src, path, results))
}

// search tunes, with a bar.
func search(c *cli.Context, dev *gpu.Device, src *bench.Model) ([]tune.Result, error) {
	var progress cmdline.Bar
	defer func() { progress.End() }()
	tokens := c.IntSlice("tokens")
	return tune.Tune(c.Context, dev, src.Weights(), tune.Options{
		Quick: c.Bool("quick"), Tokens: tokens,
		Progress: func(done, total int, now string) {
			if done == 0 {
				progress = newBar(c, "tuning", int64(total), false)
			}
			progress.Set(int64(done), now)
		},
	})
}

// showTuning prints before and after.
func showTuning(c *cli.Context, dev *gpu.Device, src *bench.Model, path string, results []tune.Result) error {
	if c.Bool("json") {
		r := tuneReport{Device: dev.Info().String(), File: path}
		for _, x := range results {
			r.Results = append(r.Results, tuneResult{
				x.Kernel, x.Class, x.What, x.Tokens, x.Uses, x.Default, x.Best, x.Before.Seconds(), x.After.Seconds(), x.Tried, x.Wrong,
			})
		}
		return cmdline.PrintJSON(c, &r)
	}
	w := stdout(c)
	fmt.Fprintf(w, "%s on %s\n\n", src.Name(), dev.Info())
	micro := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e3) }
	t := cmdline.NewTable(table.Row{"kernel", "for", "matrices", "before", "µs", "after", "µs", "gain", "tried", "wrong"}, 2, 3, 4, 6)
	for _, r := range results {
		after := r.Best.String()
		if after == r.Default.String() {
			after = "the same"
		}
		t.AppendRow(table.Row{
			r.Kernel, r.Class, fmt.Sprintf("%d: %s", r.Uses, r.What), r.Default, micro(r.Before), after, micro(r.After),
			fmt.Sprintf("%.2f×", float64(r.Before)/float64(r.After)), r.Tried, len(r.Wrong),
		})
	}
	cmdline.ShowTable(c, t)
	fmt.Fprintln(w)
	showPasses(c, results)
	if path != "" {
		fmt.Fprintf(w, "\nkept in %s\n", path)
	}
	return nil
}

// showPasses prints what all that was tuned takes in a pass.
func showPasses(c *cli.Context, results []tune.Result) {
	t := cmdline.NewTable(table.Row{"all of these in a pass", "ms before", "ms after", "gain"})
	ms := func(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()*1e3) }
	for _, p := range tune.Passes(results) {
		t.AppendRow(table.Row{fmt.Sprintf("of %d tokens", p.Tokens), ms(p.Before), ms(p.After), fmt.Sprintf("%.2f×", p.Gain())})
	}
	cmdline.ShowTable(c, t)
}

// weightFlags choose a bundle or a shape.
func weightFlags(category string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`DIR`: bundle", Category: category},
		&cli.StringFlag{Name: "shape", Usage: "`NAME`: made-up weights of this shape, or of a config.json", Category: category},
		&cli.StringFlag{Name: "format", Value: "int4", Usage: "`FORMAT`: of made-up weights: int8, int4, int2 or f16", Category: category},
		&cli.IntFlag{Name: "block-size", Usage: "`N`: how many made-up weights share a scale", DefaultText: "int8, int4: 128, int2: 256", Category: category},
	}
}

// checkWeights reports weightFlags that make no sense.
func checkWeights(c *cli.Context) error {
	if (c.String("model") == "") == (c.String("shape") == "") {
		return cmdline.Usagef("%s: want either --model or --shape; see llama-webgpu %s --help", c.Command.Name, c.Command.Name)
	}
	for _, name := range []string{"format", "block-size"} {
		if c.IsSet(name) && c.String("model") != "" {
			return cmdline.Usagef("%s: --%s is for --shape: a bundle has its own", c.Command.Name, name)
		}
	}
	return cmdline.OneOf(c, "format", "int8", "int4", "int2", "f16")
}

// openWeights opens the bundle or makes up the weights.
func openWeights(c *cli.Context) (*bench.Model, error) {
	if dir := c.String("model"); dir != "" {
		return bench.OpenBundle(dir)
	}
	return bench.OpenShape(c.String("shape"), c.String("format"), c.Int("block-size"))
}
