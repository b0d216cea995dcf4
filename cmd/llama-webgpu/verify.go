package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/verify/report"
	"github.com/llama-webgpu/llama-webgpu/verify/run"
)

// errParity is the error of a verification that ran and failed.
var errParity = errors.New("verification failed")

var verifyCommand = &cli.Command{
	Name:      "verify",
	Category:  "Models",
	Usage:     "compare a bundle with the checkpoint it was made from",
	UsageText: "llama-webgpu verify DIR --reference DIR [options]",
	Description: `Answers two questions. Is the runtime right? The GPU's logits are compared with those of a plain
computation on the CPU, on the same dequantized weights. Is the model still itself? The bundle's
predictions are compared with those of the checkpoint: KL divergence, most likely token, perplexity.

Without --text, the text is a story that comes with the program: A Case of Identity by Arthur
Conan Doyle, in the public domain.

The default thresholds for drift depend on format, method and size: they allow one and a half to three times the
drift that the format causes in a real model of that size. Passing means that nothing is broken and that the format
is not too small for the model; the report also says in words how its text reads. The default for the most likely
token allows two standard errors, because few positions are counted; thresholds given as flags are strict. The exit
code is 0 if all measures are within their thresholds, 3 if one is not, 1 if something went wrong.

Examples:

  llama-webgpu verify out --reference testdata/tiny
  llama-webgpu verify out --reference testdata/tiny --html report.html --record
  llama-webgpu verify out --reference testdata/tiny --golden testdata/tiny/golden.safetensors --json -`,
	Flags: slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`DIR`: bundle (required)", Category: "What to compare"},
		&cli.StringFlag{Name: "reference", Aliases: []string{"r"}, Usage: "`DIR`: checkpoint or .gguf file that the bundle was made from (required)", Category: "What to compare"},
		loraFlag("What to compare"),
	}, textFlags, []cli.Flag{
		ropeFlag("What to compare"),
		&cli.StringFlag{Name: "golden", Usage: "`FILE`: also compare with the logits of another implementation (golden.safetensors)", Category: "What to compare"},
		&cli.StringFlag{Name: "golden-rope", Value: "auto", Usage: "`TYPE`: RoPE frequencies behind the golden logits: f32 as they are, f16 as PyTorch's half() rounds them, auto: whichever fits", Category: "What to compare"},
		&cli.IntFlag{Name: "runtime-tokens", Usage: "compare the runtime over the first `N` tokens of the text", DefaultText: "160, or 64 where the only adapter is software", Category: "What to compare"},

		limitFlag("max-rel-rms", "runtime: relative RMS of the logits' difference is at most `X`", "0.001"),
		limitFlag("max-rel-max", "runtime: largest difference of a logit, over the logits' RMS, is at most `X`", "0.05"),
		limitFlag("max-kld", "drift: mean KL divergence is at most `X` nats", byMade),
		limitFlag("min-top1", "drift: the most likely token is the same at a share of at least `X` (0 to 1)", byMade),
		limitFlag("golden-max-abs", "golden: largest difference of a logit, checkpoint on the CPU, is at most `X`", "0.002"),
		limitFlag("golden-max-kld", "golden: mean KL divergence of the bundle is at most `X` nats", byMade),

		&cli.BoolFlag{Name: "layers", Usage: "show the differences after each layer", Category: "Output", DisableDefaultText: true},
		cmdline.ReportFlag,
		quietFlag,
	}, reportFlags, deviceFlags(), referenceFlags),
	Action: verifyBundle,
}

// reportFlags say where verify writes, and what is in the page.
var reportFlags = []cli.Flag{
	&cli.StringFlag{Name: "html", Usage: "`FILE`: write the report as an HTML page", Category: "Output"},
	&cli.IntFlag{Name: "worst", Value: 20, Usage: "show the `N` worst predictions in the page", Category: "Output"},
	&cli.IntFlag{Name: "generate", Value: 48, Usage: "let each model write `N` tokens for the page, the checkpoint on the CPU; 0: no text", Category: "Output"},
	&cli.StringFlag{Name: "junit", Usage: "`FILE`: write the checks as JUnit XML", Category: "Output"},
	&cli.StringFlag{Name: "markdown", Usage: "`FILE`: append the checks as Markdown, as for $GITHUB_STEP_SUMMARY", Category: "Output"},
	&cli.BoolFlag{Name: "record", Usage: "record the result in the bundle's manifest", Category: "Output", DisableDefaultText: true},
}

// verifyBounds are what verify's numbers may be.
var verifyBounds = append([]cmdline.Bound{
	{Name: "runtime-tokens", Least: 1, Most: cmdline.Unbounded},
	{Name: "worst", Least: 1, Most: cmdline.Unbounded},
	{Name: "generate", Most: cmdline.Unbounded, Not: "0: no text"},
	{Name: "max-rel-rms", Most: cmdline.Unbounded},
	{Name: "max-rel-max", Most: cmdline.Unbounded},
	{Name: "max-kld", Most: cmdline.Unbounded},
	{Name: "min-top1", Most: 1},
	{Name: "golden-max-abs", Most: cmdline.Unbounded},
	{Name: "golden-max-kld", Most: cmdline.Unbounded},
}, textBounds...)

// byMade stands for the defaults that depend on how a bundle was made.
const byMade = "by format, method and size"

// limitFlag is a flag for a threshold, whose default verify.DefaultThresholds has.
func limitFlag(name, usage, value string) cli.Flag {
	return &cli.Float64Flag{Name: name, Usage: usage, DefaultText: value, Category: "Thresholds"}
}

func verifyBundle(c *cli.Context) error {
	if c.Bool(listAdaptersName) {
		return listAdapters(c)
	}
	if err := cmp.Or(cmdline.Check(c, []string{"model", "reference"}, "model", "reference"), checkDevice(c), checkReference(c), cmdline.OneOf(c, "golden-rope", "auto", "f32", "f16"),
		cmdline.Within(c, verifyBounds...), cmdline.Writable(c, "json", "html", "junit", "markdown", "reference-cache"), checkRecord(c)); err != nil {
		return err
	}
	bars := &steps{c: c}
	o, err := verifyOptions(c, bars)
	if err != nil {
		return err
	}
	r, err := run.Verify(c.Context, c.String("model"), c.String("reference"), o)
	bars.end()
	if err != nil {
		return judged(c, err)
	}
	if c.Bool("record") {
		err = run.Record(c.String("model"), &r.Report)
	}
	if err := errors.Join(err, writeVerification(c, r), showVerification(c, r)); err != nil {
		return err
	}
	if !r.Pass {
		return fmt.Errorf("%s: %w", c.String("model"), errParity)
	}
	return nil
}

// verifyOptions reads the flags.
func verifyOptions(c *cli.Context, bars *steps) (o run.VerifyOptions, err error) {
	if o.Options, err = judgeOptions(c, bars); err != nil {
		return o, err
	}
	o.RuntimeTokens, o.Golden = c.Int("runtime-tokens"), c.String("golden")
	if rope := c.String("golden-rope"); rope != "auto" {
		o.GoldenRoPE = run.GoldenRoPE(rope)
	}
	if c.String("html") != "" {
		o.Page = &run.Page{Worst: c.Int("worst"), Generate: c.Int("generate")}
	}
	for name, limit := range map[string]**float64{
		"max-rel-rms": &o.Limits.MaxRelRMS, "max-rel-max": &o.Limits.MaxRelMax, "max-kld": &o.Limits.MaxKLD, "min-top1": &o.Limits.MinTop1,
		"golden-max-abs": &o.Limits.GoldenMaxAbs, "golden-max-kld": &o.Limits.GoldenMaxKLD,
	} {
		if c.IsSet(name) {
			v := c.Float64(name)
			*limit = &v
		}
	}
	return o, nil
}

// checkRecord reports that the result cannot be written into the manifest.
func checkRecord(c *cli.Context) error {
	if !c.Bool("record") {
		return nil
	}
	if err := outdir.CheckWritable(c.String("model")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--record: %w", err)
	}
	return nil
}

// writeVerification writes the page, the JUnit file and the Markdown, if they are wanted.
func writeVerification(c *cli.Context, r *run.Result) error {
	if path := c.String("junit"); path != "" {
		err := cmdline.WriteFile(path, func(w io.Writer) error { return report.WriteJUnit(w, filepath.Base(c.String("model")), &r.Report) })
		if err != nil {
			return err
		}
	}
	if path := c.String("markdown"); path != "" {
		err := cmdline.AppendFile(path, func(w io.Writer) error { return report.WriteMarkdown(w, filepath.Base(c.String("model")), &r.Report) })
		if err != nil {
			return err
		}
	}
	if r.Page == nil {
		return nil
	}
	return cmdline.WriteFile(c.String("html"), func(w io.Writer) error { return report.Write(w, r.Page) })
}

// showVerification prints the report, as JSON or in words.
func showVerification(c *cli.Context, r *run.Result) error {
	if done, err := cmdline.WriteReport(c, &r.Report); done || err != nil || c.Bool(quietFlag.Name) {
		return err
	}
	out, env := stdout(c), r.Environment
	fmt.Fprintf(out, "%s on %s\n\n", c.String("model"), env["device"])
	if env["drift_device"] != env["device"] && r.Drift != nil {
		fmt.Fprintf(out, "The adapter is software, so the runtime was compared over few tokens, and the drift measured on the CPU engine (%s); --device gpu forces the adapter.\n\n", env["drift_device"])
	}
	if r.Tokens != "" {
		fmt.Fprintf(out, "Compared over %s.\n\n", r.Tokens)
	}
	if env["golden_rope"] == string(run.RoPEF16) {
		fmt.Fprint(out, "The golden logits were computed with RoPE frequencies rounded to float16; for them, so are the models here.\n\n")
	}
	if c.Bool("layers") {
		if err := r.WriteLayers(out); err != nil {
			return err
		}
	}
	return r.WriteText(out)
}
