// Command llama-webgpu turns Hugging Face checkpoints into bundles of quantized weights for
// WebGPU, verifies that a bundle still computes the same model, and runs it. It puts the other
// packages together, and talks to people: flags, progress, tables, errors, exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
)

// Exit codes.
const (
	exitOK     = 0
	exitError  = 1
	exitUsage  = 2
	exitParity = 3 // verify ran, and a measure is outside its threshold
)

func main() {
	// The first interrupt asks for a clean end, a second one ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args))
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string) int {
	app := newApp()
	err := app.RunContext(ctx, flagsFirst(app, args))
	if err == nil {
		return exitOK
	}
	code := exitError
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		code = exitUsage
	case errors.Is(err, errParity):
		code = exitParity
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	case errors.Is(err, bundle.ErrCorrupt):
		err = fmt.Errorf("%w; copy the bundle again, or make it again with llama-webgpu quantize --force", err)
	}
	fmt.Fprintf(os.Stderr, "llama-webgpu: %s\n", oneLine(err))
	return code
}

// oneLine writes an error of several lines as one.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

func newApp() *cli.App {
	app := &cli.App{
		Name:    "llama-webgpu",
		Usage:   "quantize a Hugging Face checkpoint for WebGPU, verify it, run it",
		Version: version,
		Description: `A first round, with the model that comes with the source:

  llama-webgpu quantize --input-dir testdata/tiny --output-dir out --format int4
  llama-webgpu verify --model out --reference testdata/tiny
  llama-webgpu infer --model out --prompt "It was a cold morning" -n 40

Exit codes: 0 done, 1 error, 2 wrong use, 3 verify found a measure outside its threshold.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "log-level", Value: "warn", Usage: "what to log to stderr: `LEVEL` debug, info, warn or error"},
			listAdaptersFlag(""),
		},
		Commands: []*cli.Command{
			quantizeCommand, exportCommand, verifyCommand, compareCommand, inferCommand, benchCommand, tuneCommand, serveCommand, inspectCommand, adaptersCommand, versionCommand,
		},
		Before:                    setLog,
		Action:                    rootAction,
		OnUsageError:              onUsageError,
		ExitErrHandler:            func(*cli.Context, error) {}, // run decides
		DisableSliceFlagSeparator: true,                         // a comma belongs to the pattern or stop string
		Suggest:                   true,
	}
	for _, c := range app.Commands {
		c.OnUsageError = onUsageError
	}
	return app
}

// rootAction is for a command line without a command that is known.
func rootAction(c *cli.Context) error {
	switch {
	case c.Args().Present():
		return usagef("unknown command %q; see llama-webgpu --help", c.Args().First())
	case c.Bool(listAdaptersName):
		return listAdapters(c)
	}
	return cli.ShowAppHelp(c)
}

// setLog makes the default logger as --log-level says.
func setLog(c *cli.Context) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return usagef("log level %q: want debug, info, warn or error", c.String("log-level"))
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	return nil
}

// stdout is where a command writes its result.
func stdout(c *cli.Context) io.Writer { return c.App.Writer }
