package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm/bench"
)

// showBench prints what was measured.
func showBench(c *cli.Context, r *bench.Report) {
	w := stdout(c)
	fmt.Fprintf(w, "%s %s on %s, engine %s\n", r.Model, r.Format, r.Device, r.Engine)
	for packing, kernel := range r.Kernels {
		fmt.Fprintf(w, "kernels     %s: %s\n", packing, kernel)
	}
	if c.Bool("load") {
		showLoads(c, r)
		return
	}
	roof, of := r.Roof.Copy, "of copy"
	if r.Read > 0 {
		roof, of = r.Read, "of reads"
		fmt.Fprintf(w, "roof        reads %.1f GB/s, %.3f TFLOP/s in float32\n", r.Read/1e9, r.Roof.FLOPs/1e12)
		fmt.Fprintf(w, "memory      %s, and %s of the bundle, read where it is mapped\n\n", cmdline.HumanSize(int64(r.OwnMemory)), cmdline.HumanSize(int64(r.Mapped)))
	} else {
		showGPU(c, r)
	}
	t := cmdline.NewTable(table.Row{"test", "context", "batch", "tokens/s", "±", "MB/step", "GB/s", of, "TFLOP/s"})
	for _, x := range r.Results {
		row := table.Row{x.Test, x.Context, x.Batch, fmt.Sprintf("%.1f", x.Speed), fmt.Sprintf("%.1f", x.Spread), "", "", "", ""}
		if x.Bytes > 0 {
			row[5], row[6], row[7] = fmt.Sprintf("%.1f", float64(x.Bytes)/1e6), fmt.Sprintf("%.*f", decimals(x.Rate/1e9), x.Rate/1e9), fmt.Sprintf("%.0f %%", 100*x.Rate/roof)
		}
		if x.FLOPs > 0 {
			row[8] = fmt.Sprintf("%.*f", flopDigits(r), x.FLOPs/1e12)
		}
		t.AppendRow(row)
	}
	cmdline.ShowTable(c, t)
	if len(r.Waits) > 0 {
		showWaits(c, r.Waits)
	}
	if c.Bool("profile") {
		for i := range r.Profiles {
			showProfile(c, &r.Profiles[i])
		}
	}
}

// showWaits prints how long clients of the server wait.
func showWaits(c *cli.Context, all []bench.Waits) {
	fmt.Fprintln(stdout(c))
	t := cmdline.NewTable(table.Row{"clients", "prompts", "first token ms", "the last one's", "longest pause"})
	ms := func(seconds float64) string { return fmt.Sprintf("%.1f", 1e3*seconds) }
	for _, w := range all {
		prompts := fmt.Sprint(w.Prompts[0])
		if w.Prompts[1] > w.Prompts[0] {
			prompts += fmt.Sprintf("–%d", w.Prompts[1])
		}
		t.AppendRow(table.Row{w.Clients, prompts, ms(w.First), ms(w.Last), ms(w.Pause)})
	}
	cmdline.ShowTable(c, t)
}

// showGPU prints what is known of a GPU, and how it was loaded.
func showGPU(c *cli.Context, r *bench.Report) {
	w := stdout(c)
	fmt.Fprintf(w, "roof        copies %.0f GB/s, %.2f TFLOP/s in float32\n", r.Roof.Copy/1e9, r.Roof.FLOPs/1e12)
	for _, l := range r.Loads {
		fmt.Fprintf(w, "load        %s, %s, in %.2f s: %.2f GB/s\n", cmdline.HumanSize(int64(l.Bytes)), l.Test, l.Seconds, l.Rate/1e9)
	}
	fmt.Fprintf(w, "pipelines   %s\n", pipelines(r.Pipelines, r.Compile, r.CacheHits, r.CacheMisses))
	fmt.Fprintf(w, "GPU memory  %s\n\n", cmdline.HumanSize(int64(r.TotalMemory())))
}

// flopDigits is how many digits a rate of a trillion operations a second wants behind the point.
func flopDigits(r *bench.Report) int {
	if r.Read > 0 {
		return 3
	}
	return 2
}

func showLoads(c *cli.Context, r *bench.Report) {
	fmt.Fprintln(stdout(c))
	t := cmdline.NewTable(table.Row{"loading", "size", "s", "±", "GB/s"})
	for _, l := range r.Loads {
		t.AppendRow(table.Row{l.Test, cmdline.HumanSize(int64(l.Bytes)), fmt.Sprintf("%.3f", l.Seconds), fmt.Sprintf("%.3f", l.Spread), fmt.Sprintf("%.2f", l.Rate/1e9)})
	}
	cmdline.ShowTable(c, t)
}

func showProfile(c *cli.Context, p *bench.Profile) {
	t := cmdline.NewTable(table.Row{p.Title, "dispatches", "µs", "share", "µs each", "gap each", "GB/s", "TFLOP/s", "of roof", "compiled in ms"})
	for _, k := range p.Kernels {
		row := table.Row{
			k.Kernel, k.Dispatches, fmt.Sprintf("%.1f", 1e6*k.Seconds), fmt.Sprintf("%.1f %%", 100*k.Seconds/p.Seconds),
			fmt.Sprintf("%.1f", 1e6*k.Seconds/float64(k.Dispatches)), fmt.Sprintf("%.1f", 1e6*k.Gap/float64(k.Dispatches)), "", "", "",
			fmt.Sprintf("%.1f", 1e3*k.Compile),
		}
		if k.Bytes > 0 {
			rate := float64(k.Bytes) / k.Seconds / 1e9
			row[6] = fmt.Sprintf("%.*f", decimals(rate), rate)
		}
		if k.FLOPs > 0 {
			row[7] = fmt.Sprintf("%.2f", float64(k.FLOPs)/k.Seconds/1e12)
		}
		if k.Bound != "" {
			row[8] = fmt.Sprintf("%.0f %% %s", 100*k.Roof, k.Bound)
		}
		t.AppendRow(row)
	}
	t.AppendFooter(table.Row{"kernels", "", fmt.Sprintf("%.1f", 1e6*p.Kernel), fmt.Sprintf("%.1f %%", 100*p.Kernel/p.Seconds)})
	t.AppendFooter(table.Row{"gaps", "", fmt.Sprintf("%.1f", 1e6*p.Gap), fmt.Sprintf("%.1f %%", 100*p.Gap/p.Seconds)})
	t.AppendFooter(table.Row{"all", "", fmt.Sprintf("%.1f", 1e6*p.Seconds)})
	fmt.Fprintln(stdout(c))
	cmdline.ShowTable(c, t)
}

// decimals is how many digits a rate wants behind the point, so that a slow device's is not 0.
func decimals(rate float64) int {
	if rate < 10 {
		return 1
	}
	return 0
}
