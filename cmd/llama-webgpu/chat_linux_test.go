package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// after waits until what comes after the first n bytes is as wanted, and returns how many bytes there are.
func (l *lines) after(t *testing.T, n int, wanted func(text string) bool) int {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		text := l.String()
		if wanted(text[n:]) {
			return len(text)
		}
		if time.Now().After(end) {
			t.Fatalf("after %d bytes: %q", n, text)
		}
	}
}

// openTerminal returns both ends of a new terminal.
func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("has no terminals: ", err)
	}
	t.Cleanup(func() { ours.Close() })
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err = errors.Join(err, unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	if theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// TestChatInterrupted presses Ctrl-C at a terminal: in an answer it ends that, and at the prompt the program.
func TestChatInterrupted(t *testing.T) {
	out, template := chattyBundle(t)
	ours, theirs := openTerminal(t)
	cmd := program(t, "infer", out, "--chat", "--chat-template", template, "--device", "cpu", "-n", "1000000", "--on-overflow", "shift", "--seed", "3")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var screen lines
	go func() { _, _ = ours.WriteTo(&screen) }()
	key := func(text string) {
		if _, err := ours.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	prompt := func(text string) bool { return strings.HasSuffix(text, "> ") }
	at := screen.after(t, 0, prompt)
	for range 2 {
		key("It was\n")
		at = screen.after(t, at, func(text string) bool { return len(text) > len("It was\r\n")+10 })
		key("\x03")
		at = screen.after(t, at, prompt)
	}
	key("\x03")
	screen.after(t, at, func(text string) bool { return strings.Contains(text, "llama-webgpu: interrupted") })
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("it ends with %v, want 130", err)
	}
}
