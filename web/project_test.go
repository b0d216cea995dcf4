package web_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// project is a project in test/bundlers, and how a bundler builds or serves it.
type project struct {
	dir    string   // in test/bundlers
	build  []string // a script, and its arguments
	output string   // the directory to serve, within the project's
	server []string // instead: the bundler's own server, after the build, as a script and its arguments with PORT for its port
	copies []string // what the user has to copy there from dist
}

// make builds the project in dir, where the packages that it needs are.
func (p project) make(t *testing.T, node, dir string) {
	t.Helper()
	if len(p.build) > 0 {
		command(t, dir, node, p.build...)
	}
	if page := filepath.Join(dir, p.output, "index.html"); p.output != "" { // some bundlers take scripts only
		if _, err := os.Stat(page); err != nil {
			copyFile(t, filepath.Join(dir, "index.html"), page)
		}
	}
	for _, name := range p.copies {
		copyFile(t, filepath.Join(dir, "node_modules/llama-webgpu/dist", name), filepath.Join(dir, p.output, name))
	}
}

// serve serves what make has built, and the bundle as models/tiny, and returns the address.
func (p project) serve(t *testing.T, w *world, node, dir string) string {
	t.Helper()
	if len(p.server) == 0 {
		return served(t, w, filepath.Join(dir, p.output)) + "/"
	}
	models := filepath.Join(dir, "public/models/tiny")
	if err := os.RemoveAll(models); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(models, os.DirFS(filepath.Join(w.models, "plain"))); err != nil {
		t.Fatal(err)
	}
	return started(t, dir, node, p.server)
}

// started starts a server, a script and its arguments, and waits until it answers. Another program may take the port that was free
// before the server does: then it ends, and is started with another one.
func started(t *testing.T, dir, node string, server []string) string {
	t.Helper()
	for range 5 {
		if url := startedAt(t, dir, node, server, freePort(t)); url != "" {
			return url
		}
	}
	t.Fatalf("%v has ended each time", server)
	return ""
}

// startedAt starts a server on a port. It returns "" if that ends.
func startedAt(t *testing.T, dir, node string, server []string, port string) string {
	t.Helper()
	var args []string
	for _, a := range server {
		args = append(args, strings.ReplaceAll(a, "PORT", port))
	}
	cmd := exec.Command(node, args...)
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // and its children
		<-ended
		if t.Failed() {
			t.Log(out.String())
		}
	})
	url := "http://localhost:" + port + "/"
	for begun := time.Now(); time.Since(begun) < patience; {
		select {
		case <-ended:
			return ""
		case <-time.After(100 * time.Millisecond):
		}
		if r, err := http.Get(url); err == nil {
			_ = r.Body.Close()
			return url
		}
	}
	t.Fatalf("%v does not answer", server)
	return ""
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// source puts the files of a project into dir.
func source(t *testing.T, project, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	copyFile(t, "test/bundlers/main.js", filepath.Join(dir, "main.js"))
	err := filepath.WalkDir(filepath.Join("test/bundlers", project), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, filepath.Join("test/bundlers", project)))
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return err
		}
		copyFile(t, path, to)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wrote opens a page in a tab of a browser and returns what it has written when it is done, or why it has failed.
func wrote(t *testing.T, browser context.Context, url string) (string, error) {
	t.Helper()
	if err := chromedp.Run(browser); err != nil { // it lives as long as the context that starts it
		return "", err
	}
	tab, closeTab := chromedp.NewContext(browser)
	defer closeTab()
	logPage(t, tab)
	var thrown atomic.Pointer[runtime.ExceptionDetails]
	chromedp.ListenTarget(tab, func(event any) {
		if e, ok := event.(*runtime.EventExceptionThrown); ok {
			thrown.Store(e.ExceptionDetails)
		}
	})
	if err := chromedp.Run(tab); err != nil { // likewise
		return "", err
	}
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	var state, text string
	err := chromedp.Run(ctx, chromedp.Navigate(url),
		chromedp.WaitReady(`body[data-state="done"], body[data-state="failed"]`, chromedp.ByQuery),
		chromedp.Evaluate("document.body.dataset.state", &state), chromedp.Evaluate("document.querySelector('#out').textContent", &text))
	if err != nil {
		last, cancel := context.WithTimeout(tab, time.Minute)
		defer cancel()
		_ = chromedp.Run(last, chromedp.Evaluate("location.href + ': ' + document.body.innerText", &text))
		return "", fmt.Errorf("%w: the page says %q", err, text)
	}
	if e := thrown.Load(); e != nil {
		err = fmt.Errorf("the page has thrown %w", e)
	}
	if state != "done" {
		err = fmt.Errorf("the page says: %s", text)
	}
	return text, err
}

// checkWrote fails the test unless the page writes a text; with ?both, the same one twice: in a Worker and without.
func checkWrote(t *testing.T, ctx context.Context, url string) {
	t.Helper()
	text, err := wrote(t, ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	want := 1
	if strings.HasSuffix(url, "?both") {
		want = 2
	}
	if len(lines) != want || lines[0] != lines[want-1] || !strings.HasPrefix(text, begins) || len(lines[0]) <= len(begins) {
		t.Errorf("the page writes %q", text)
	}
}
