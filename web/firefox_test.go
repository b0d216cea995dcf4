//go:build firefox

package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// firefoxPrefs turn WebGPU on where it is off: on Linux, and on adapters that compute in software.
const firefoxPrefs = `user_pref("dom.webgpu.enabled", true);
user_pref("dom.webgpu.workers.enabled", true);
user_pref("gfx.webgpu.ignore-blocklist", true);
user_pref("remote.active-protocols", 1);
`

// TestFirefox runs the suite in Firefox, on the software Vulkan driver that the system has.
func TestFirefox(t *testing.T) {
	program, err := exec.LookPath("firefox-esr")
	if err != nil {
		program, err = exec.LookPath("firefox")
	}
	if err != nil {
		t.Fatal("Firefox is missing")
	}
	w := theWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	f, err := startFirefox(ctx, t.TempDir(), program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.conn.Close()
	if err := f.open(w.url + "/test/suite.html?match=" + url.QueryEscape(match())); err != nil {
		t.Fatal(err)
	}
	var all string
	for done := false; !done; {
		if err := f.evaluate(`Promise.race([finished, new Promise((r) => setTimeout(r, 1000))]).then((d) => JSON.stringify({ done: Boolean(d), results }))`, &all); err != nil {
			t.Fatal(err)
		}
		var state struct {
			Done    bool
			Results []result
		}
		if err := json.Unmarshal([]byte(all), &state); err != nil {
			t.Fatal(err)
		}
		if done = state.Done; done {
			report(t, state.Results)
		} else if ctx.Err() != nil {
			report(t, state.Results)
			t.Fatal(ctx.Err())
		}
	}
}

// firefox is a browser that is spoken to in WebDriver BiDi.
type firefox struct {
	conn    net.Conn
	id      int
	context string // the tab
}

// startFirefox starts Firefox with a profile of its own in dir. It ends with ctx.
func startFirefox(ctx context.Context, dir, program string) (*firefox, error) {
	if err := os.WriteFile(filepath.Join(dir, "user.js"), []byte(firefoxPrefs), 0o666); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "--headless", "--no-remote", "--profile", dir, "--remote-debugging-port", "0", "about:blank")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	address := ""
	for lines := bufio.NewScanner(stderr); address == "" && lines.Scan(); {
		address = regexp.MustCompile(`ws://\S+`).FindString(lines.Text())
	}
	if address == "" {
		return nil, errors.Join(errors.New("Firefox names no address"), cmd.Wait())
	}
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); { // so that it does not wait for a reader
		}
		_ = cmd.Wait()
	}()
	conn, _, _, err := ws.Dial(ctx, address+"/session")
	if err != nil {
		return nil, err
	}
	f := &firefox{conn: conn}
	var tree struct{ Contexts []struct{ Context string } }
	err = f.call("session.new", map[string]any{"capabilities": map[string]any{}}, nil)
	if err == nil {
		err = f.call("browsingContext.getTree", map[string]any{}, &tree)
	}
	if err == nil && len(tree.Contexts) == 0 {
		err = errors.New("Firefox has no tab")
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	f.context = tree.Contexts[0].Context
	return f, nil
}

// call sends a command and waits for its result.
func (f *firefox) call(method string, params map[string]any, result any) error {
	f.id++
	data, err := json.Marshal(map[string]any{"id": f.id, "method": method, "params": params})
	if err != nil {
		return err
	}
	if err := wsutil.WriteClientText(f.conn, data); err != nil {
		return err
	}
	for {
		data, err := wsutil.ReadServerText(f.conn)
		if err != nil {
			return err
		}
		var answer struct {
			ID      int
			Error   string
			Message string
			Result  json.RawMessage
		}
		switch err := json.Unmarshal(data, &answer); {
		case err != nil:
			return err
		case answer.ID != f.id: // an event
			continue
		case answer.Error != "":
			return fmt.Errorf("%s: %s: %s", method, answer.Error, answer.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(answer.Result, result)
	}
}

// open goes to a page.
func (f *firefox) open(address string) error {
	return f.call("browsingContext.navigate", map[string]any{"context": f.context, "url": address, "wait": "complete"}, nil)
}

// evaluate waits for the string that an expression promises.
func (f *firefox) evaluate(expression string, to *string) error {
	var answer struct {
		Type             string
		Result           struct{ Value *string }
		ExceptionDetails struct{ Text string }
	}
	err := f.call("script.evaluate", map[string]any{
		"expression": expression, "target": map[string]any{"context": f.context}, "awaitPromise": true,
	}, &answer)
	if err == nil && (answer.Type != "success" || answer.Result.Value == nil) {
		err = fmt.Errorf("%s: %s", expression, answer.ExceptionDetails.Text)
	}
	if err == nil {
		*to = *answer.Result.Value
	}
	return err
}
