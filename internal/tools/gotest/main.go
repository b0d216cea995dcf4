// Command gotest runs go test and says what it is at: a line for each package as it ends and, in between, which
// tests are running and for how long. On a terminal that is a status line, elsewhere a line every 20 seconds. What
// failed comes last, in full, and nothing else of what tests print. Its exit code is that of go test.
//
//	gotest [-every 20s] [-go go] -- [flags and packages of go test]
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() {
	every := flag.Duration("every", 20*time.Second, "how often to say what is running, where there is no terminal")
	program := flag.String("go", "go", "the Go tool")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, *program, flag.Args(), *every)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run runs go test and shows how it goes. It returns its exit code.
func run(ctx context.Context, program string, args []string, every time.Duration) (code int, err error) {
	s := newShow(os.Stdout, term.IsTerminal(int(os.Stdout.Fd())))
	s.total = packages(ctx, program, args)
	c := exec.CommandContext(ctx, program, append([]string{"test", "-json"}, args...)...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := c.Start(); err != nil {
		return 1, err
	}
	follow(s, out, every)
	err = c.Wait()
	s.end(err == nil)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), ctx.Err()
	}
	return 0, err
}

// packages reports how many packages there are to test, or 0 if that cannot be said.
func packages(ctx context.Context, program string, args []string) int {
	list := []string{"list"}
	for _, a := range args {
		if strings.HasPrefix(a, ".") {
			list = append(list, a)
		}
	}
	out, err := exec.CommandContext(ctx, program, list...).Output()
	if err != nil {
		return 0 // go test will say why
	}
	return strings.Count(string(out), "\n")
}

// follow shows events until there are no more.
func follow(s *show, out io.Reader, every time.Duration) {
	lines := make(chan string)
	go func() {
		defer close(lines)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if line != "" {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	if s.terminal {
		every = time.Second / 4
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			s.line(line)
		case <-tick.C:
			s.status(time.Now())
		}
	}
}

// width is how many columns the terminal has.
func width() int {
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
		return w
	}
	return 80
}
