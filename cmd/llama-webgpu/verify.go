package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"
)

// evalText is "A Case of Identity" from The Adventures of Sherlock Holmes by Arthur Conan Doyle,
// 1892, which is in the public domain.
//
//go:embed eval.txt
var evalText string

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

Default thresholds follow from format, method and size: about twice what the format costs a real
model of that size. Passing means that nothing is broken and that the format is not too small for
the model; how text reads is said in words. The default for the most likely token gives its share
two standard errors, as it is counted over few positions; thresholds that are given are strict.
The exit code is 0 if all measures are within them, 3 if one is not, 1 if something went wrong.

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
		&cli.IntFlag{Name: "runtime-tokens", Value: 160, Usage: "compare the runtime over the first `N` tokens of the text", Category: "What to compare"},

		limitFlag("max-rel-rms", "runtime: relative RMS of the logits' difference is at most `X`"),
		limitFlag("max-rel-max", "runtime: largest difference of a logit, over the logits' RMS, is at most `X`"),
		limitFlag("max-kld", "drift: mean KL divergence is at most `X` nats"),
		limitFlag("min-top1", "drift: the most likely token is the same at a share of at least `X` (0 to 1)"),
		limitFlag("golden-max-abs", "golden: largest difference of a logit, checkpoint on the CPU, is at most `X`"),
		limitFlag("golden-max-kld", "golden: mean KL divergence of the bundle is at most `X` nats"),

		&cli.BoolFlag{Name: "layers", Usage: "show the differences after each layer", Category: "Output", DisableDefaultText: true},
		reportJSONFlag,
		quietFlag,
	}, reportFlags, deviceFlags(), referenceFlags),
	Action: verifyBundle,
}

// verifyBounds are what verify's numbers may be.
var verifyBounds = append([]bound{
	{name: "runtime-tokens", least: 1, most: unbounded},
	{name: "worst", least: 1, most: unbounded},
	{name: "generate", most: unbounded, not: "0: no text"},
	{name: "max-rel-rms", most: unbounded},
	{name: "max-rel-max", most: unbounded},
	{name: "max-kld", most: unbounded},
	{name: "min-top1", most: 1},
	{name: "golden-max-abs", most: unbounded},
	{name: "golden-max-kld", most: unbounded},
}, textBounds...)

// textBounds are what the numbers of textFlags may be.
var textBounds = []bound{
	{name: "windows", most: unbounded, not: "0: all of the text"},
	{name: "window-tokens", least: leastTokens, most: unbounded},
}

// textFlags say what models are to predict.
var textFlags = []cli.Flag{
	&cli.StringFlag{Name: "text", Usage: "`FILE`: text to predict", DefaultText: "a story", Category: "What to compare"},
	&cli.IntFlag{Name: "windows", Value: 2, Usage: "measure the drift over `N` windows of the text; 0: all", Category: "What to compare"},
	&cli.IntFlag{Name: "window-tokens", Value: 512, Usage: "a window has `N` tokens, of which the second half is scored", Category: "What to compare"},
}

// limitFlag is a flag for a threshold.
func limitFlag(name, usage string) cli.Flag {
	return &cli.Float64Flag{Name: name, Usage: usage, DefaultText: "by format, method and size", Category: "Thresholds"}
}

func verifyBundle(c *cli.Context) (err error) {
	if c.Bool(listAdaptersName) {
		return listAdapters(c)
	}
	if err := cmp.Or(check(c, []string{"model", "reference"}, "model", "reference"), checkDevice(c), checkReference(c), oneOf(c, "golden-rope", "auto", "f32", "f16"),
		within(c, verifyBounds...), writable(c, "json", "html", "junit", "reference-cache"), checkRecord(c)); err != nil {
		return err
	}
	v := verification{c: c}
	defer func() { err = errors.Join(err, v.close()) }()
	if err := v.open(); err != nil {
		return err
	}
	if err := v.measure(c.Context); err != nil {
		return err
	}
	v.report.Judge(v.limits)
	if err := errors.Join(v.record(), v.writeFiles(), v.show()); err != nil {
		return err
	}
	if !v.report.Pass {
		return fmt.Errorf("%s: %w", c.String("model"), errParity)
	}
	return nil
}
