package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
)

//go:embed shapes/*.json
var shapes embed.FS

var benchCommand = &cli.Command{
	Name:      "bench",
	Category:  "Models",
	Usage:     "measure how fast a bundle, or a model of a given shape, runs on this GPU",
	UsageText: "llama-webgpu bench (--model DIR | --shape NAME) [options]",
	Description: `Measures prompt processing (pp) and generation (tg) at several lengths of context and sizes of batch.
A shape needs no checkpoint: the weights are made up, only their sizes are right. Bandwidth is that of
the weights and cached keys and values that a step must read; its share is of what this device moves
when it copies a large buffer.

Shapes: ` + strings.Join(shapeNames(), ", ") + `, or the path of a config.json.

Examples:

  llama-webgpu bench --model out
  llama-webgpu bench --shape llama-3.2-1b --format int4 --json
  llama-webgpu bench --shape llama-3.1-8b --profile`,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "bundle: `DIR`", Category: "What to measure"},
		&cli.StringFlag{Name: "shape", Usage: "made-up weights of the shape `NAME`", Category: "What to measure"},
		&cli.StringFlag{Name: "format", Value: "int4", Usage: "of the made-up weights: `FORMAT` int8, int4, int2 or f16", Category: "What to measure"},
		&cli.IntFlag{Name: "block-size", Usage: "`N` made-up weights share a scale", DefaultText: "int8, int4: 128, int2: 256", Category: "What to measure"},
		&cli.IntSliceFlag{Name: "prompt", Value: cli.NewIntSlice(512, 2048), Usage: "prompts of `N` tokens", Category: "What to measure"},
		&cli.IntSliceFlag{Name: "context", Value: cli.NewIntSlice(0, 2048, 8192), Usage: "generation after `N` tokens", Category: "What to measure"},
		&cli.IntSliceFlag{Name: "batch", Value: cli.NewIntSlice(1, 2, 4, 8), Usage: "generation for `N` sequences at once", Category: "What to measure"},
		&cli.IntFlag{Name: "n", Value: 128, Usage: "generate `N` tokens", Category: "What to measure"},
		&cli.IntFlag{Name: "repetitions", Value: 3, Usage: "measure `N` times", Category: "What to measure"},
		&cli.BoolFlag{Name: "profile", Usage: "time every kernel of a prompt and of a generated token", Category: "What to measure", DisableDefaultText: true},
		&cli.StringFlag{Name: "adapter", Usage: "GPU adapter: its `NUMBER` in llama-webgpu adapters, or a part of its name", DefaultText: "the best", Category: "Device"},
		&cli.StringFlag{Name: "kv", Value: "f16", Usage: "cached keys and values: `TYPE` f16 or f32", Category: "Device"},
		jsonFlag("print everything as JSON"),
	},
	Action: bench,
}

func shapeNames() []string {
	var names []string
	entries, _ := shapes.ReadDir("shapes")
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}

// benchReport is what bench prints as JSON. Speeds are in tokens a second, bandwidths in bytes.
type benchReport struct {
	Device        string            `json:"device"`
	Model         string            `json:"model"`
	Format        string            `json:"format,omitempty"`
	Copy          float64           `json:"copy_bytes_per_second"`
	Load          float64           `json:"load_seconds"`
	LoadBytes     uint64            `json:"load_bytes"`
	Memory        map[string]uint64 `json:"gpu_memory_bytes"`
	Pipelines     int               `json:"pipelines"`
	Compile       float64           `json:"compile_seconds"`
	Results       []benchResult     `json:"results"`
	PromptProfile []kernelResult    `json:"prompt_profile,omitempty"`
	TokenProfile  []kernelResult    `json:"token_profile,omitempty"`
}

type benchResult struct {
	Test    string  `json:"test"`
	Context int     `json:"context"`
	Batch   int     `json:"batch"`
	Tokens  int     `json:"tokens"` // of all sequences
	Speed   float64 `json:"tokens_per_second"`
	Spread  float64 `json:"standard_deviation"`
	Bytes   uint64  `json:"bytes_per_step,omitempty"` // that a step must read
	Rate    float64 `json:"bytes_per_second,omitempty"`
	FLOPs   float64 `json:"flops_per_second,omitempty"`
}

type kernelResult struct {
	Kernel     string  `json:"kernel"`
	Dispatches int     `json:"dispatches"`
	Seconds    float64 `json:"seconds"`
	Bytes      uint64  `json:"bytes"`
	FLOPs      uint64  `json:"flops"`
}

func bench(c *cli.Context) error {
	if (c.String("model") == "") == (c.String("shape") == "") {
		return errors.New("want either --model or --shape")
	}
	if err := oneOf(c, "kv", "f16", "f32"); err != nil {
		return err
	}
	dev, err := gpu.Open(c.Context, gpu.Options{Adapter: c.String("adapter")})
	if err != nil {
		return noGPU(err)
	}
	defer dev.Close()
	b := benchmark{c: c, dev: dev, report: benchReport{Device: dev.Info().String(), Model: filepath.Base(c.String("model") + c.String("shape"))}}
	if err := b.run(c.Context); err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, &b.report)
	}
	b.show()
	return nil
}

// benchmark is one run of bench.
type benchmark struct {
	c      *cli.Context
	dev    *gpu.Device
	t      *transformer.Transformer
	report benchReport
}

func (b *benchmark) run(ctx context.Context) (err error) {
	if b.report.Copy, err = transformer.CopyBandwidth(ctx, b.dev); err != nil {
		return err
	}
	src, done, err := b.source()
	if err != nil {
		return err
	}
	defer done()
	if err := b.load(ctx, src); err != nil {
		return err
	}
	defer b.t.Close()
	if err := b.prompts(ctx); err != nil {
		return err
	}
	if err := b.generations(ctx); err != nil {
		return err
	}
	if b.c.Bool("profile") {
		if b.report.PromptProfile, err = b.profile(ctx, 512); err != nil {
			return err
		}
		if b.report.TokenProfile, err = b.profile(ctx, 1); err != nil {
			return err
		}
	}
	stats := b.dev.Stats()
	b.report.Memory, b.report.Pipelines, b.report.Compile = b.dev.Memory(), stats.Pipelines, stats.CompileTime.Seconds()
	return nil
}

// source opens the bundle or makes up the weights.
func (b *benchmark) source() (transformer.Source, func() error, error) {
	c := b.c
	if dir := c.String("model"); dir != "" {
		s, err := openSource(dir)
		if err != nil {
			return nil, nil, err
		}
		if s.bundle == nil {
			return nil, nil, errors.Join(fmt.Errorf("%s: is a checkpoint, want a bundle", dir), s.close())
		}
		return s.packed(), s.close, nil
	}
	config, err := shapes.ReadFile("shapes/" + c.String("shape") + ".json")
	if err != nil {
		if config, err = os.ReadFile(c.String("shape")); err != nil {
			return nil, nil, fmt.Errorf("shape %q: want %s, or the path of a config.json", c.String("shape"), strings.Join(shapeNames(), ", "))
		}
	}
	spec, err := hf.ParseConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("shape %s: %w", c.String("shape"), err)
	}
	bits, block, err := b.packing()
	if err != nil {
		return nil, nil, err
	}
	src, err := transformer.NewSynthetic(spec, bits, block)
	return src, func() error { return nil }, err
}

// packing returns the bits and the block size of made-up weights.
func (b *benchmark) packing() (bits, block int, err error) {
	format := b.c.String("format")
	b.report.Format = format
	defaults := map[string][2]int{"int8": {8, 128}, "int4": {4, 128}, "int2": {2, 256}, "f16": {16, 0}}
	d, ok := defaults[format]
	if !ok {
		return 0, 0, fmt.Errorf("format %q: want int8, int4, int2 or f16", format)
	}
	if n := b.c.Int("block-size"); n != 0 && d[1] != 0 {
		d[1] = n
	}
	return d[0], d[1], nil
}

func (b *benchmark) load(ctx context.Context, src transformer.Source) (err error) {
	length := slices.Max(append(b.c.IntSlice("prompt"), 1))
	for _, n := range b.c.IntSlice("context") {
		length = max(length, n+b.c.Int("n")+1)
	}
	bits := 16
	if b.c.String("kv") == "f32" {
		bits = 32
	}
	begun := time.Now()
	b.t, err = transformer.New(ctx, b.dev, src, transformer.Options{
		MaxSeqLen: length, MaxBatch: slices.Max(append(b.c.IntSlice("batch"), 1)), KVBits: bits, Chunk: 512,
	})
	b.report.Load, b.report.LoadBytes = time.Since(begun).Seconds(), b.dev.Stats().BytesWritten
	return err
}

// repeat measures several times, after once that is not counted.
func (b *benchmark) repeat(r benchResult, measure func() (time.Duration, error)) error {
	var speeds []float64
	for i := range b.c.Int("repetitions") + 1 {
		d, err := measure()
		if err != nil {
			return err
		}
		if i > 0 {
			speeds = append(speeds, float64(r.Tokens)/d.Seconds())
		}
	}
	r.Speed, r.Spread = meanAndDeviation(speeds)
	r.Rate = r.Speed / float64(r.Batch) * float64(r.Bytes)
	r.FLOPs *= r.Speed
	b.report.Results = append(b.report.Results, r)
	return nil
}

func meanAndDeviation(v []float64) (mean, deviation float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		deviation += (x - mean) * (x - mean) / float64(max(1, len(v)-1))
	}
	return mean, math.Sqrt(deviation)
}

func (b *benchmark) prompts(ctx context.Context) error {
	for _, n := range b.c.IntSlice("prompt") {
		r := benchResult{Test: "pp" + strconv.Itoa(n), Batch: 1, Tokens: n, FLOPs: 2 * float64(b.t.LayerWeights())}
		if err := b.repeat(r, func() (time.Duration, error) { return b.t.MeasurePrompt(ctx, n) }); err != nil {
			return err
		}
	}
	return nil
}

func (b *benchmark) generations(ctx context.Context) error {
	n := b.c.Int("n")
	measure := func(length, batch int) error {
		weights, cache := b.t.TokenBytes(length, batch)
		r := benchResult{Test: "tg" + strconv.Itoa(n), Context: length, Batch: batch, Tokens: n * batch, Bytes: weights + cache}
		return b.repeat(r, func() (time.Duration, error) { return b.t.MeasureGeneration(ctx, length, n, batch) })
	}
	for _, length := range b.c.IntSlice("context") {
		if err := measure(length, 1); err != nil {
			return err
		}
	}
	for _, batch := range b.c.IntSlice("batch") {
		if batch > 1 {
			if err := measure(0, batch); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *benchmark) profile(ctx context.Context, n int) ([]kernelResult, error) {
	b.t.Reset()
	times, err := b.t.Profile(ctx, make([]int32, n))
	var results []kernelResult
	for _, k := range times {
		results = append(results, kernelResult{k.Key, k.Dispatches, k.Time.Seconds(), k.Bytes, k.FLOPs})
	}
	return results, err
}

func (b *benchmark) show() {
	w, r := stdout(b.c), &b.report
	fmt.Fprintf(w, "%s %s on %s\n", r.Model, r.Format, r.Device)
	fmt.Fprintf(w, "copy bandwidth %.0f GB/s; loaded %s in %.2f s; %d pipelines in %.2f s\n", r.Copy/1e9, humanSize(int64(r.LoadBytes)), r.Load, r.Pipelines, r.Compile)
	var total uint64
	for _, n := range r.Memory {
		total += n
	}
	fmt.Fprintf(w, "GPU memory %s\n\n", humanSize(int64(total)))
	t := newTable(table.Row{"test", "context", "batch", "tokens/s", "±", "MB/step", "GB/s", "of copy", "TFLOP/s"})
	for _, x := range r.Results {
		row := table.Row{x.Test, x.Context, x.Batch, fmt.Sprintf("%.1f", x.Speed), fmt.Sprintf("%.1f", x.Spread), "", "", "", ""}
		if x.Bytes > 0 {
			row[5], row[6], row[7] = fmt.Sprintf("%.1f", float64(x.Bytes)/1e6), fmt.Sprintf("%.0f", x.Rate/1e9), fmt.Sprintf("%.0f %%", 100*x.Rate/r.Copy)
		}
		if x.FLOPs > 0 {
			row[8] = fmt.Sprintf("%.2f", x.FLOPs/1e12)
		}
		t.AppendRow(row)
	}
	showTable(b.c, t)
	b.showProfile("kernels of 512 prompt tokens", r.PromptProfile)
	b.showProfile("kernels of a generated token", r.TokenProfile)
}

func (b *benchmark) showProfile(title string, kernels []kernelResult) {
	if len(kernels) == 0 {
		return
	}
	var total float64
	for _, k := range kernels {
		total += k.Seconds
	}
	t := newTable(table.Row{title, "dispatches", "µs", "share", "µs each", "GB/s", "of copy", "TFLOP/s"})
	for _, k := range kernels {
		t.AppendRow(table.Row{
			k.Kernel, k.Dispatches, fmt.Sprintf("%.1f", 1e6*k.Seconds), fmt.Sprintf("%.1f %%", 100*k.Seconds/total),
			fmt.Sprintf("%.1f", 1e6*k.Seconds/float64(k.Dispatches)), fmt.Sprintf("%.0f", float64(k.Bytes)/k.Seconds/1e9),
			fmt.Sprintf("%.0f %%", 100*float64(k.Bytes)/k.Seconds/b.report.Copy), fmt.Sprintf("%.2f", float64(k.FLOPs)/k.Seconds/1e12),
		})
	}
	t.AppendFooter(table.Row{"all", "", fmt.Sprintf("%.1f", 1e6*total)})
	fmt.Fprintln(stdout(b.c))
	showTable(b.c, t)
}
