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
	"sync/atomic"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
)

// Exit codes.
const (
	exitOK     = 0
	exitError  = 1
	exitUsage  = 2
	exitParity = 3   // verify ran, and a measure is outside its threshold
	exitSignal = 128 // and the number of the signal: 130 for Ctrl-C
)

func main() { os.Exit(execute(untilSignal(), os.Args)) }

// signalError is the signal that asked the program to end. What it ends is canceled, also for those who report the cause.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string        { return e.signal.String() }
func (e signalError) Is(target error) bool { return target == context.Canceled }

// untilSignal returns a context that ends at the first interrupt, so that the command can clean up. A second one
// ends the process.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	got := make(chan os.Signal, 1)
	signal.Notify(got, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range got {
			if stop := interruptTaker.Swap(nil); stop != nil && s == os.Interrupt {
				(*stop)()
				continue
			}
			signal.Stop(got)
			by, _ := s.(syscall.Signal)
			cancel(signalError{by})
		}
	}()
	return ctx
}

// interruptTaker is called for an interrupt in place of ending the program, once; nil: nothing is.
var interruptTaker atomic.Pointer[context.CancelFunc]

// takeInterrupt has the next interrupt stop something, and not the program, until giveBack is called.
func takeInterrupt(stop context.CancelFunc) (giveBack func()) {
	interruptTaker.Store(&stop)
	return func() { interruptTaker.Store(nil) }
}

// errInterrupted is the error of a command that was interrupted and has shown or saved what it had.
var errInterrupted = interrupted{}

type interrupted struct{}

func (interrupted) Error() string        { return "interrupted" }
func (interrupted) Is(target error) bool { return target == context.Canceled }

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string) int {
	app := newApp()
	out := &cmdline.CheckedWriter{W: os.Stdout}
	app.Writer, app.Reader = out, cmdline.Interruptible{Ctx: ctx, R: os.Stdin}
	args, err := cmdline.FlagsFirst(app, args)
	if err == nil {
		err = app.RunContext(ctx, args)
	}
	if err == nil && out.Err != nil {
		err = fmt.Errorf("standard output: %w", out.Err)
	}
	if err == nil {
		return exitOK
	}
	code, err := verdict(ctx, err)
	fmt.Fprintf(os.Stderr, "llama-webgpu: %s\n", cmdline.OneLine(err))
	return code
}

// verdict returns the exit code for an error, and the error with advice added.
func verdict(ctx context.Context, err error) (int, error) {
	code := exitError
	var usage *cmdline.UsageError
	switch {
	case errors.As(err, &usage):
		code = exitUsage
	case errors.Is(err, errParity):
		code = exitParity
	case errors.Is(err, errInterrupted): // it says what to do
	case errors.Is(err, context.Canceled):
		err = errInterrupted
	case errors.Is(err, bundle.ErrVersion):
		err = fmt.Errorf("%w; take the version of llama-webgpu that made it, or make it again with llama-webgpu quantize", err)
	case errors.Is(err, bundle.ErrCorrupt):
		err = fmt.Errorf("%w; copy the bundle again, or make it again with llama-webgpu quantize --force", err)
	}
	if by, ok := context.Cause(ctx).(signalError); ok { // as shells count
		code = exitSignal + int(by.signal)
	}
	return code, err
}

func init() { cli.HelpPrinter = cmdline.PrintHelp }

func newApp() *cli.App {
	app := &cli.App{
		Name:    "llama-webgpu",
		Usage:   "quantize a Hugging Face checkpoint for WebGPU, verify it, run it",
		Version: version,
		Description: `To try it with the model that comes with the source:

  llama-webgpu quantize testdata/tiny --output-dir out --format int4
  llama-webgpu verify out --reference testdata/tiny
  llama-webgpu infer out --prompt "It was a cold morning" -n 40

Exit codes: 0 done, 1 error, 2 wrong command line, 3 verify found a measure outside its threshold,
130 ended by Ctrl-C, 143 by SIGTERM.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "log-level", Value: "warn", Usage: "`LEVEL`: what to log to standard error: debug, info, warn or error"},
			listAdaptersFlag(""),
		},
		Commands: []*cli.Command{
			quantizeCommand, exportCommand, verifyCommand, compareCommand, inferCommand, benchCommand, tuneCommand, serveCommand, inspectCommand, fetchCommand, adaptersCommand, versionCommand,
		},
		Before:                    setLog,
		Action:                    rootAction,
		OnUsageError:              cmdline.OnUsageError,
		ExitErrHandler:            func(*cli.Context, error) {}, // execute decides
		DisableSliceFlagSeparator: true,                         // a comma belongs to the pattern or stop string
		Suggest:                   true,
	}
	for _, c := range app.Commands {
		c.OnUsageError = cmdline.OnUsageError
		c.HideHelpCommand = true // a directory may be called h
	}
	return app
}

// elsewhere are names that other programs give to what commands here do.
var elsewhere = map[string]string{
	"chat": "infer --chat", "run": "infer", "generate": "infer", "complete": "infer", "convert": "quantize",
	"benchmark": "bench", "download": "fetch", "pull": "fetch", "list-adapters": "adapters", "server": "serve",
}

// rootAction is for a command line without a command that is known.
func rootAction(c *cli.Context) error {
	switch {
	case c.Args().Present():
		var names []string
		for _, known := range c.App.VisibleCommands() {
			names = append(names, known.Name)
		}
		word := c.Args().First()
		hint := cmdline.DidYouMean(word, names)
		if here, ok := elsewhere[word]; ok {
			hint = fmt.Sprintf(" (did you mean %s?)", here)
		}
		return cmdline.Usagef("unknown command %q%s; see llama-webgpu --help", word, hint)
	case c.Bool(listAdaptersName):
		return listAdapters(c)
	}
	return cli.ShowAppHelp(c)
}

// setLog makes the default logger as --log-level says.
func setLog(c *cli.Context) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return cmdline.Usagef("--log-level %s: want debug, info, warn or error", cmdline.Quoted(c.String("log-level")))
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	return nil
}

// stdout is where a command writes its result.
func stdout(c *cli.Context) io.Writer { return c.App.Writer }
