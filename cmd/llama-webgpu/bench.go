package main

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm/bench"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/verify/run"
)

var benchCommand = &cli.Command{
	Name:      "bench",
	Category:  "Models",
	Usage:     "measure how fast a bundle, or a model of a given shape, runs on this GPU or CPU",
	UsageText: "llama-webgpu bench (DIR | --shape NAME) [options]",
	Description: `Measures prompt processing (pp) and generation (tg) at several context lengths and batch sizes. A shape
needs no checkpoint: it has made-up weights of the right sizes. Bandwidth is that of the weights and cached
keys and values that a step must read; its share is relative to copying a large buffer on this device. With
--clients, simultaneous clients of the server (serve) also measure how long they wait for a first token, and
for later ones.

--profile times every kernel by the device's clock: its share of the roof (what the device can copy, or
multiply and add in float32, whichever limits the kernel), the gap before it, and how long it took to compile.
--trace writes the same for each dispatch, for chrome://tracing or ui.perfetto.dev. --load only measures
loading; for a shape it first writes a bundle, as large as the model, to a temporary directory.

--device cpu measures the CPU engine instead: one sequence, and bandwidth beside the rate at which the cores read memory.

Shapes: ` + strings.Join(bench.Shapes(), ", ") + `, or the path of a config.json.

Examples:

  llama-webgpu bench out
  llama-webgpu bench --shape llama-3.2-1b --format int4 --json
  llama-webgpu bench --shape llama-3.1-8b --prompt 512 --context 0 --context 8192 --batch 1 --batch 8
  llama-webgpu bench --shape llama-3.1-8b --batch 16 --clients 16
  llama-webgpu bench --shape qwen3-4b --profile --trace trace.json
  llama-webgpu bench --shape llama-3.1-8b --load`,
	Flags: slices.Concat(weightFlags("What to measure"), []cli.Flag{
		&cli.IntSliceFlag{Name: "prompt", Value: cli.NewIntSlice(512, 2048), Usage: "prompts of `N` tokens (repeatable)", Category: "What to measure"},
		&cli.IntSliceFlag{Name: "context", Value: cli.NewIntSlice(0, 2048, 8192), Usage: "generation of one sequence after `N` tokens (repeatable)", Category: "What to measure"},
		&cli.IntSliceFlag{Name: "batch", Value: cli.NewIntSlice(1, 2, 4, 8, 16, 32), Usage: "generation for `N` sequences at once, at the first context (repeatable)", Category: "What to measure"},
		&cli.IntSliceFlag{Name: "clients", Usage: "the server, with `N` clients at once that each stream a text (repeatable)", Category: "What to measure"},
		&cli.StringFlag{Name: "client-prompt", Value: "8", Usage: "length of the clients' prompts: `N` tokens, or N-M for lengths from N to M", Category: "What to measure"},
		&cli.IntFlag{Name: "n", Value: 128, Usage: "generate `N` tokens", Category: "What to measure"},
		&cli.IntFlag{Name: "repetitions", Value: 3, Usage: "measure `N` times", Category: "What to measure"},
		&cli.BoolFlag{Name: "load", Usage: "measure loading only", Category: "What to measure", DisableDefaultText: true},
		&cli.BoolFlag{Name: "no-verify", Usage: "do not check a bundle against its hashes while it loads", Category: "What to measure", DisableDefaultText: true},
		&cli.BoolFlag{Name: "profile", Usage: "time every kernel of a prompt, of a generated token, and of a step of the largest batch", Category: "What to measure", DisableDefaultText: true},
		&cli.StringFlag{Name: "device", Value: "gpu", Usage: "`DEVICE`: what to measure: gpu or cpu", Category: "Device"},
		adapterFlag("Device", ""),
		engineFlag("Device"),
		libraryFlag("Device"),
		kernelsFlag("Device"),
		&cli.StringFlag{Name: "kv", Value: "f16", Usage: "`TYPE`: type of the cached keys and values: f16 or f32", Category: "Device"},
		tuningFlag("Device"),
		&cli.StringFlag{Name: "trace", Usage: "`FILE`: write what --profile measures, in Chrome's trace format", Category: "Output"},
		jsonFlag("print everything as JSON"),
	}),
	Action: measureSpeed,
}

func measureSpeed(c *cli.Context) (err error) {
	if err := cmp.Or(checkBench(c), checkTuning(c)); err != nil {
		return err
	}
	var dev *gpu.Device // nil for the CPU
	if c.String("device") == string(engine.GPU) {
		if dev, err = openGPU(c); err != nil {
			return err
		}
		defer dev.Close()
	}
	m, err := openWeights(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	writing := &steps{c: c}
	r, err := runBench(c, dev, m, benchOptions(c, writing))
	writing.end()
	if err != nil {
		return err
	}
	if path := c.String("trace"); path != "" {
		write := func(w io.Writer) error { return bench.WriteTrace(w, r.Profiles) }
		if err := cmdline.WriteFile(path, write); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return cmdline.PrintJSON(c, r)
	}
	showBench(c, r)
	return nil
}

// runBench measures on a GPU, or on the CPU if there is none.
func runBench(c *cli.Context, dev *gpu.Device, m *bench.Model, o bench.Options) (*bench.Report, error) {
	if dev != nil {
		return bench.Run(c.Context, dev, m, o)
	}
	if !c.IsSet("batch") {
		o.Batches = []int{1}
	}
	return bench.RunCPU(c.Context, m, o)
}

// benchOptions reads the flags.
func benchOptions(c *cli.Context, writing *steps) bench.Options {
	o := bench.Options{
		Prompts: c.IntSlice("prompt"), Contexts: c.IntSlice("context"), Batches: c.IntSlice("batch"), Clients: c.IntSlice("clients"), Tokens: c.Int("n"),
		Repetitions: c.Int("repetitions"), KVBits: 16, NoCheck: c.Bool("no-verify"), Tuning: c.String("tuning"), Kernels: c.String("kernels"), LoadOnly: c.Bool("load"),
		Profile: c.Bool("profile") || c.String("trace") != "",
		Progress: func(done, total int64) {
			writing.set(run.Progress{Step: "writing a bundle", Done: done, Total: total})
			if done == total {
				writing.end()
			}
		},
	}
	if c.String("kv") == "f32" {
		o.KVBits = 32
	}
	o.ClientPrompt, _ = lengths(c.String("client-prompt"))
	return o
}

// lengths reads one number of tokens, or two with a dash between them.
func lengths(text string) (l [2]int, err error) {
	from, to, several := strings.Cut(text, "-")
	if !several {
		to = from
	}
	for i, one := range []string{from, to} {
		if l[i], err = strconv.Atoi(one); err != nil || l[i] < 1 || l[i] > 1<<20 || l[1] > 0 && l[1] < l[0] {
			return l, cmdline.Usagef("--client-prompt %s: want a number of tokens, or two as 32-500", text)
		}
	}
	return l, nil
}

// benchBounds are what bench's numbers may be.
var benchBounds = []cmdline.Bound{
	{Name: "n", Least: 1, Most: 1 << 20},
	{Name: "repetitions", Least: 1, Most: 1000},
	{Name: "prompt", Least: 1, Most: 1 << 20},
	{Name: "context", Most: 1 << 20},
	{Name: "batch", Least: 1, Most: maxBatch},
	{Name: "clients", Least: 1, Most: maxBatch},
}

// checkBench reports flags that make no sense.
func checkBench(c *cli.Context) error {
	_, err := lengths(c.String("client-prompt"))
	return cmp.Or(cmdline.Check(c, []string{"model"}), checkWeights(c), err, cmdline.OneOf(c, "kv", "f16", "f32"), cmdline.OneOf(c, "device", "gpu", "cpu"), cmdline.Within(c, benchBounds...), cmdline.Writable(c, "trace"))
}
