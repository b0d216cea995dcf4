package main

import (
	"math"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

const sampling = "Sampling"

// samplingFlags say how tokens are chosen; their order is that in which they have effect.
var samplingFlags = []cli.Flag{
	&cli.Float64Flag{Name: "repeat-penalty", Value: 1, Usage: "`X`: make tokens among the last 64 less likely by this factor; 1: off", Category: sampling},
	&cli.Float64Flag{Name: "presence-penalty", Usage: "`X`: subtract X from the logits of tokens among the last 64", Category: sampling},
	&cli.Float64Flag{Name: "frequency-penalty", Usage: "`X`: subtract X for each time that a token is among the last 64", Category: sampling},
	&cli.Float64Flag{Name: "dry-multiplier", Usage: "`X`: make tokens that continue a repetition less likely (DRY), more so the longer it is; 0: off", Category: sampling},
	&cli.Float64Flag{Name: "dry-base", Value: 1.75, Usage: "`X`: DRY's penalty grows by this factor with each token", Category: sampling},
	&cli.IntFlag{Name: "dry-allowed-length", Value: 2, Usage: "`N`: repetitions of fewer tokens are not penalized", Category: sampling},
	&cli.IntFlag{Name: "dry-penalty-last-n", Value: -1, Usage: "`N`: look for repetitions in the last N tokens; -1: all", Category: sampling},
	&cli.StringSliceFlag{Name: "dry-sequence-breaker", KeepSpace: true, Usage: "`TEXT`: where it occurs, a repetition ends (repeatable)", DefaultText: "a new line, : \" and *", Category: sampling},
	&cli.StringSliceFlag{Name: "logit-bias", Usage: "`ID=BIAS`: add BIAS to the logit of a token; -inf forbids it (repeatable)", Category: sampling},
	&cli.IntFlag{Name: "top-k", Value: 40, Usage: "`K`: choose among the K likeliest tokens; 0: all", Category: sampling},
	&cli.Float64Flag{Name: "typical-p", Value: 1, Usage: "`P`: choose among the tokens whose surprise is nearest to the expected one and that together have probability P; 1: all", Category: sampling},
	&cli.Float64Flag{Name: "top-p", Value: 0.95, Usage: "`P`: choose among the likeliest tokens that together have probability P; 1: all, 0: the likeliest", Category: sampling},
	&cli.Float64Flag{Name: "min-p", Usage: "`P`: choose among tokens at least P times as likely as the likeliest; 0: all", Category: sampling},
	&cli.Float64Flag{Name: "xtc-probability", Usage: "`P`: with this probability, drop all tokens above the threshold except the least likely of them (XTC); 0: never", Category: sampling},
	&cli.Float64Flag{Name: "xtc-threshold", Value: 0.1, Usage: "`P`: XTC drops tokens that are at least this likely", Category: sampling},
	&cli.Float64Flag{Name: "temperature", Aliases: []string{"t"}, Value: 0.8, Usage: "`T`: higher is more varied; 0: always the likeliest token", Category: sampling},
	&cli.Float64Flag{Name: "dynatemp-range", Usage: "`X`: the temperature goes from T - X, where the model is sure, to T + X, where it is not", Category: sampling},
	&cli.Float64Flag{Name: "dynatemp-exp", Value: 1, Usage: "`X`: … with the entropy to this power", Category: sampling},
	&cli.Uint64Flag{Name: "seed", Usage: "`N`: random seed: the same seed gives the same text", DefaultText: "random", Category: sampling},
}

// samplingBounds are what the numbers among samplingFlags may be.
var samplingBounds = []cmdline.Bound{
	{Name: "temperature", Most: cmdline.Unbounded, Not: "0: always the likeliest token"},
	{Name: "top-k", Most: math.MaxInt32, Not: "0: all tokens"},
	{Name: "top-p", Most: 1, Not: "1: all tokens"},
	{Name: "typical-p", Most: 1, Not: "1: all tokens"},
	{Name: "min-p", Most: 1, Not: "0: all tokens"},
	{Name: "repeat-penalty", Most: cmdline.Unbounded, Open: true, Not: "1: no penalty"},
	{Name: "dry-multiplier", Most: cmdline.Unbounded, Not: "0: off"},
	{Name: "dry-base", Least: 1, Most: cmdline.Unbounded},
	{Name: "dry-allowed-length", Least: 1, Most: math.MaxInt32},
	{Name: "dry-penalty-last-n", Least: -1, Most: math.MaxInt32, Not: "-1: all tokens"},
	{Name: "xtc-probability", Most: 1, Not: "0: never"},
	{Name: "xtc-threshold", Most: 1, Open: true},
	{Name: "dynatemp-range", Most: cmdline.Unbounded, Not: "0: off"},
	{Name: "dynatemp-exp", Most: cmdline.Unbounded, Open: true},
}

// samplingOf returns what the flags say.
func samplingOf(c *cli.Context, seed uint64) llm.Sampling {
	number := func(name string) float32 { return float32(c.Float64(name)) }
	bias, _ := biases(c) // checkSampling has reported it
	return llm.Sampling{
		Temperature: number("temperature"), TopK: c.Int("top-k"), TopP: new(number("top-p")), MinP: number("min-p"), TypicalP: number("typical-p"),
		RepeatPenalty: number("repeat-penalty"), PresencePenalty: number("presence-penalty"), FrequencyPenalty: number("frequency-penalty"), LogitBias: bias,
		XTCProbability: number("xtc-probability"), XTCThreshold: number("xtc-threshold"),
		DynamicRange: number("dynatemp-range"), DynamicExponent: number("dynatemp-exp"),
		DRYMultiplier: number("dry-multiplier"), DRYBase: number("dry-base"), DRYAllowedLength: c.Int("dry-allowed-length"), DRYLast: c.Int("dry-penalty-last-n"),
		DRYBreakers: c.StringSlice("dry-sequence-breaker"),
		Seed:        seed,
	}
}

// biases reads --logit-bias.
func biases(c *cli.Context) (map[int32]float32, error) {
	all := map[int32]float32{}
	for _, text := range c.StringSlice("logit-bias") {
		name, value, ok := strings.Cut(text, "=")
		id, err := strconv.ParseInt(name, 10, 32)
		bias, failed := strconv.ParseFloat(value, 32)
		if !ok || err != nil || failed != nil || id < 0 {
			return nil, cmdline.Usagef("--logit-bias %s: want ID=BIAS, the number of a token and what is added to its logit, such as 42=-1.5", cmdline.Quoted(text))
		}
		all[int32(id)] = float32(bias)
	}
	return all, nil
}
