package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// chattyBundle makes a bundle, and a template with which it chats.
func chattyBundle(t *testing.T) (bundle, template string) {
	t.Helper()
	bundle, template = filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "chat.jinja")
	if text, err := hurried(quantizeTiny(t, tiny, bundle)); err != nil {
		t.Fatal(text)
	}
	if err := os.WriteFile(template, []byte("{% for m in messages %}{{ m.content }}{% endfor %}"), 0o666); err != nil {
		t.Fatal(err)
	}
	return bundle, template
}

// TestSignals asks the program to end before it has said anything, and while it does.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("has no signals")
	}
	out, template := chattyBundle(t)
	for name, test := range map[string]struct {
		signal syscall.Signal
		code   int
		after  bool // the first text
		args   []string
	}{
		"waiting for the prompt":  {syscall.SIGINT, 130, false, []string{"infer", out, "--prompt", "-"}},
		"waiting for a message":   {syscall.SIGINT, 130, false, []string{"infer", out, "--chat", "--chat-template", template, "--device", "cpu"}},
		"writing":                 {syscall.SIGINT, 130, true, []string{"infer", out, "--prompt", "It was", "-n", "1000000", "--device", "gpu"}},
		"writing, SIGTERM":        {syscall.SIGTERM, 143, true, []string{"infer", out, "--prompt", "It was", "-n", "1000000", "--device", "cpu"}},
		"writing several, SIGINT": {syscall.SIGINT, 130, false, []string{"infer", out, "-p", "It was", "-p", "She", "-n", "1000000", "--device", "cpu"}},
	} {
		t.Run(name, func(t *testing.T) {
			wait := 500 * time.Millisecond
			text, code, message := interrupt(t, program(t, test.args...), test.signal, test.after, wait)
			for code < 0 && !test.after && wait < time.Minute { // it had not begun to listen: the system has ended it
				wait *= 2
				text, code, message = interrupt(t, program(t, test.args...), test.signal, false, wait)
			}
			if code != test.code || message != "llama-webgpu: interrupted\n" {
				t.Errorf("exit code %d, want %d: %s", code, test.code, message)
			}
			if test.after && !strings.HasSuffix(text, "\n") {
				t.Errorf("what was written has no end of line: %q", text)
			}
		})
	}
}

// TestSignalCancels has the cause of an end be one of context.Canceled: what joins goroutines returns the cause.
func TestSignalCancels(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(signalError{syscall.SIGINT})
	if code, err := verdict(ctx, fmt.Errorf("window 0: %w", context.Cause(ctx))); code != exitSignal+int(syscall.SIGINT) || err != error(errInterrupted) {
		t.Errorf("%d, %v", code, err)
	}
}

// interrupt sends a running program a signal, after the first byte of its output or some time.
func interrupt(t *testing.T, cmd *exec.Cmd, s syscall.Signal, after bool, wait time.Duration) (text string, code int, message string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe() // stays open: whoever reads it waits
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdout := bufio.NewReader(pipe)
	if after {
		_, err = stdout.Peek(1)
	} else {
		time.Sleep(wait)
	}
	if err := errors.Join(err, cmd.Process.Signal(s)); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	_, err = all.ReadFrom(stdout)
	var exit *exec.ExitError
	if werr := cmd.Wait(); err != nil || !errors.As(werr, &exit) {
		t.Fatalf("%v, %v: %s", err, werr, stderr.String())
	}
	return all.String(), exit.ExitCode(), stderr.String()
}
