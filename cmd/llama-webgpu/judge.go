package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/internal/option"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/verify/run"
)

// textFlags say what models are to predict.
var textFlags = []cli.Flag{
	&cli.StringFlag{Name: "text", Usage: "`FILE`: text to predict", DefaultText: "a story", Category: "What to compare"},
	&cli.IntFlag{Name: "windows", Value: 2, Usage: "measure the drift over `N` windows of the text; 0: all", Category: "What to compare"},
	&cli.IntFlag{Name: "window-tokens", Value: 512, Usage: "a window has `N` tokens, of which the second half is scored", Category: "What to compare"},
}

// textBounds are what the numbers of textFlags may be.
var textBounds = []cmdline.Bound{
	{Name: "windows", Most: cmdline.Unbounded, Not: "0: all of the text"},
	{Name: "window-tokens", Least: run.LeastTokens, Most: cmdline.Unbounded},
}

// referenceFlags say how the checkpoint is run.
var referenceFlags = []cli.Flag{
	&cli.StringFlag{Name: "reference-device", Value: "cpu", Usage: "`DEVICE`: where to run the checkpoint for the drift: cpu, which shares no code with the GPU, or gpu, which is faster", Category: "Device"},
	&cli.StringFlag{Name: "reference-cache", Usage: "`FILE`: keep the checkpoint's logits there, and reuse them if they are of this checkpoint and text", Category: "What to compare"},
}

// checkReference reports wrong values of referenceFlags.
func checkReference(c *cli.Context) error { return cmdline.OneOf(c, "reference-device", "cpu", "gpu") }

// judgeOptions reads what verify and compare have in common; steps shows how far they are.
func judgeOptions(c *cli.Context, steps *steps) (o run.Options, err error) {
	if o.Engine, err = engineOptions(c, engine.Device(c.String("device"))); err != nil {
		return o, err
	}
	if cmdline.FindFlag(c.Command.Flags, "rope-scaling") != nil {
		if o.Reference.Edits, err = ropeEdits(c); err != nil {
			return o, err
		}
	}
	o.Reference.Adapters, o.Reference.Cache = adapters(c), c.String("reference-cache")
	o.Reference.Device = engine.Device(c.String("reference-device"))
	o.Program, o.Progress, o.Log = "llama-webgpu "+version+revision(), steps.set, slog.Default()
	o.Text, err = judgeText(c)
	return o, err
}

// judgeText reads textFlags.
func judgeText(c *cli.Context) (t run.Text, err error) {
	t = run.Text{Name: c.String("text"), Windows: c.Int("windows")}
	if t.Windows == 0 {
		t.Windows = -1 // all
	}
	if c.IsSet("window-tokens") {
		t.Tokens = c.Int("window-tokens")
	}
	t.Text, err = cmdline.ReadSome(c, "text")
	return t, err
}

// judged adds to an error of verify and compare what flags it is about.
func judged(c *cli.Context, err error) error {
	var wrong *option.Error
	var text *run.TextError
	switch {
	case errors.As(err, &text):
		return fmt.Errorf("--text %s: %w", cmdline.Quoted(c.String("text")), text.Err)
	case errors.As(err, &wrong):
		return wrongOption(err)
	}
	return noGPU(c, err)
}

// wrongOption turns a mistake in the options of a library into one of the command line; other errors stay as they are.
func wrongOption(err error) error {
	var wrong *option.Error
	switch {
	case !errors.As(err, &wrong):
		return err
	case wrong.Option == "":
		return cmdline.Usagef("%v", wrong.Err)
	case wrong.Value == "":
		return cmdline.Usagef("--%s: %v", wrong.Option, wrong.Err)
	}
	return cmdline.Usagef("--%s %s: %v", wrong.Option, cmdline.Quoted(wrong.Value), wrong.Err)
}

// steps shows what a library is doing, a bar for each step.
type steps struct {
	c    *cli.Context
	step string
	bar  cmdline.Bar
}

func (s *steps) set(p run.Progress) {
	if p.Step != s.step {
		s.bar.End()
		s.step, s.bar = p.Step, cmdline.Bar{}
		if p.Step != "" {
			s.bar = newBar(s.c, p.Step, p.Total, p.Bytes)
		}
	}
	s.bar.Set(p.Done, "")
}

// end removes the bar of the last step.
func (s *steps) end() { s.set(run.Progress{}) }
