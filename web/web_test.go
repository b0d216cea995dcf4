package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// result is what suite.js reports of a test.
type result struct {
	Name    string  `json:"name"`
	Error   *string `json:"error"`
	Seconds float64 `json:"seconds"`
}

// report makes a subtest of each result.
func report(t *testing.T, results []result) {
	t.Helper()
	if len(results) == 0 {
		t.Fatal("no test ran")
	}
	for _, r := range results {
		t.Run(r.Name, func(t *testing.T) {
			t.Logf("%.1f s", r.Seconds)
			if r.Error != nil {
				t.Error(*r.Error)
			}
		})
	}
}

// match is a regular expression that selects tests of the suite, from LLAMA_WEBGPU_SUITE.
func match() string {
	if m := os.Getenv("LLAMA_WEBGPU_SUITE"); m != "" {
		return m
	}
	return "."
}

// browser starts Chromium.
func browser(t testing.TB, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if p, err := exec.LookPath(name); err == nil && program == "" {
			program = p
		}
	}
	require(t, program != "", "Chromium is missing")
	dir, err := os.MkdirTemp("", "llama-webgpu-browser-*")
	if err != nil {
		t.Fatal(err)
	}
	options = append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program), chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.UserDataDir(dir),
	}, options...)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		closeBrowser()
		cancel()
		for range 50 { // its last processes may still be writing
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Logf("%s: cannot be removed", dir)
	})
	logPage(t, ctx)
	return ctx
}

// logPage logs the exceptions and the console of a page.
func logPage(t testing.TB, ctx context.Context) {
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Logf("exception: %s", e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			for _, arg := range e.Args {
				t.Logf("console: %s", arg.Value)
			}
		}
	})
}

func withGPU() []chromedp.ExecAllocatorOption {
	return []chromedp.ExecAllocatorOption{
		chromedp.Flag("enable-unsafe-webgpu", true), chromedp.Flag("use-webgpu-adapter", "swiftshader"),
	}
}

func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

func TestChromium(t *testing.T) {
	w := theWorld(t)
	ctx, cancel := context.WithTimeout(browser(t, withGPU()...), 9*time.Minute)
	defer cancel()
	var results []result
	err := chromedp.Run(ctx,
		chromedp.Navigate(w.url+"/test/suite.html?match="+url.QueryEscape(match())),
		chromedp.Evaluate("finished", nil, awaited),
		chromedp.Evaluate("results", &results),
	)
	if err != nil {
		t.Error(err)
		if err := chromedp.Run(browser(t), chromedp.Evaluate("results", &results)); err != nil {
			t.Log(err)
		}
	}
	report(t, results)
}

func TestNode(t *testing.T) {
	w := theWorld(t)
	cmd := nodeOnDawn(t, 9*time.Minute, "test/node.mjs", w.url, match())
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var results []result
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Logf("node: %s", lines.Text())
			continue
		}
		results = append(results, r)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	report(t, results)
}

// swiftshader returns the description of the software Vulkan driver that comes with Chromium, "" without.
func swiftshader() string {
	found, _ := filepath.Glob("/usr/lib/chromium*/vk_swiftshader_icd.json") // the pattern is valid
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// TestPage uses the page as a person would, and takes screenshots on the way: ../build/screenshots.
func TestPage(t *testing.T) {
	w := theWorld(t)
	ctx, cancel := context.WithTimeout(browser(t, append(withGPU(), chromedp.WindowSize(1180, 1000))...), 4*time.Minute)
	defer cancel()
	state := func(s string) chromedp.Action {
		return chromedp.WaitVisible(`body[data-state="`+s+`"]`, chromedp.ByQuery)
	}
	scheme := func(name string) chromedp.Action {
		return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}})
	}
	var text, alert, parity, rate string
	var bars int
	run := func(actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	run(chromedp.Navigate(w.url), scheme("light"), state("empty"), picture(t, "empty"))
	choose := func(value string) chromedp.Action {
		return chromedp.Evaluate(`{ const s = document.querySelector('#model'); s.value = '`+value+`'; s.dispatchEvent(new Event('change')); }`, nil)
	}
	run(choose(""),
		chromedp.SetValue("#url", w.url+"/bad/slow/int8/manifest.json"), chromedp.Click("#load"), state("loading"),
		chromedp.Sleep(time.Second), picture(t, "loading"), chromedp.Click("#cancel"), state("empty"))
	run(chromedp.SetValue("#url", w.url+"/bad/flip/int4/manifest.json"), chromedp.Click("#load"), state("loading"), state("empty"),
		chromedp.WaitVisible("#alert"), chromedp.Text("#alert-text", &alert), picture(t, "error"), chromedp.Click("#alert-close"))
	if !strings.Contains(alert, "sha256") {
		t.Errorf("the message is %q", alert)
	}
	// persists has the browser agree, or not, to keep what the page stores, once it is asked.
	persists := func(agrees bool) chromedp.Action {
		return chromedp.Evaluate(fmt.Sprintf("asked = 0; navigator.storage.persist = async () => { asked++; return %v; }", agrees), nil)
	}
	says := func(text string) chromedp.Action {
		return chromedp.Poll(`asked === 1 && document.querySelector('#facts').textContent.includes('`+text+`')`, nil)
	}
	run(choose("models/int4/manifest.json"), persists(true),
		chromedp.Click("#load"), state("loading"), state("ready"), says("in this browser, until you remove it"))
	run(chromedp.Focus("#prompt"), chromedp.Evaluate(`for (const [id, v] of [['temperature', 0], ['maxTokens', 40]]) { const e = document.getElementById(id); e.value = v; e.dispatchEvent(new Event('input')); }`, nil),
		chromedp.KeyEvent("\r", chromedp.KeyModifiers(2)), state("writing"), chromedp.Poll("Number(document.querySelector('#count').textContent) > 20", nil),
		picture(t, "generating"), scheme("dark"), picture(t, "dark"), chromedp.KeyEvent("\x1b"), state("ready"))
	run(chromedp.Text("#output", &text), chromedp.Text("#rate", &rate), chromedp.Evaluate("document.querySelectorAll('#chart rect').length", &bars))
	var want struct {
		Models map[string]struct{ Text string }
	}
	if err := json.Unmarshal(w.expected, &want); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, prompt+want.Models["int4"].Text) {
		t.Errorf("the page writes %q, want a text that begins with %q", text, prompt+want.Models["int4"].Text)
	}
	if bars < 19 || rate == "–" {
		t.Errorf("%d bars in the chart, %s tokens/s", bars, rate)
	}
	run(chromedp.Click("#parity"), state("checking"), state("ready"), chromedp.Text("#parity-result", &parity), scheme("light"), picture(t, "parity"))
	if !strings.Contains(parity, "equal up to rounding") {
		t.Errorf("the parity check says %q", parity)
	}
	run(emulation.SetDeviceMetricsOverride(390, 844, 2, true), chromedp.Reload(), state("empty"), choose("models/int4/manifest.json"), persists(false),
		chromedp.Click("#load"), state("loading"), state("ready"), says("in this browser, until it needs the space"), picture(t, "narrow"))
	var wide bool
	run(chromedp.Evaluate("document.documentElement.scrollWidth > innerWidth", &wide))
	if wide {
		t.Error("on a phone the page is wider than the screen")
	}
}

// TestPageTalks sends a model with a chat template two messages: the second answer depends on the first, and starting
// over forgets both.
func TestPageTalks(t *testing.T) {
	w := theWorld(t)
	ctx, cancel := context.WithTimeout(browser(t, withGPU()...), 90*time.Second)
	defer cancel()
	run := func(actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	state := func(s string) chromedp.Action {
		return chromedp.WaitVisible(`body[data-state="`+s+`"]`, chromedp.ByQuery)
	}
	var label, before, first, second, again, left string
	ask := func(text string, answer *string) {
		t.Helper()
		run(chromedp.SetValue("#prompt", text), chromedp.Click("#generate"),
			chromedp.Poll(`document.querySelector('#prompt').value === ''`, nil), state("ready"), chromedp.Evaluate(`document.querySelector('#output').textContent`, answer))
	}
	run(chromedp.Navigate(w.url), state("empty"), chromedp.Evaluate(`{ const s = document.querySelector('#model'); s.value = ''; s.dispatchEvent(new Event('change'));
		for (const [id, v] of [['temperature', 0], ['maxTokens', 6]]) { const e = document.getElementById(id); e.value = v; e.dispatchEvent(new Event('input')); } }`, nil),
		chromedp.SetValue("#url", w.url+"/bad/chat/int4/manifest.json"), chromedp.Text("#prompt-label", &before),
		chromedp.Click("#load"), state("loading"), state("ready"), chromedp.Text("#prompt-label", &label))
	if before != "Text to continue" || label != "Message" {
		t.Errorf("the prompt is called %q, and of a model that chats %q", before, label)
	}
	ask("It was a cold morning", &first)
	ask("She said", &second)
	if !strings.HasPrefix(first, "It was a cold morning\n") || !strings.HasPrefix(second, first+"\n\nShe said\n") {
		t.Errorf("first %q, then %q", first, second)
	}
	run(chromedp.Click("#restart"), chromedp.Evaluate(`document.querySelector('#output').textContent`, &left))
	ask("She said", &again)
	if left != "" || !strings.HasPrefix(again, "She said\n") || strings.HasSuffix(second, again) {
		t.Errorf("having started over: %q, then %q, as if it had not: %q", left, again, second)
	}
}

// TestPageWithoutWebGPU reads what the page says in a browser without WebGPU.
func TestPageWithoutWebGPU(t *testing.T) {
	w := theWorld(t)
	ctx, cancel := context.WithTimeout(browser(t, chromedp.Flag("disable-features", "WebGPUService,WebGPU"), chromedp.Flag("disable-blink-features", "WebGPU"), chromedp.WindowSize(1180, 900)), time.Minute)
	defer cancel()
	var text string
	err := chromedp.Run(ctx, chromedp.Navigate(w.url), chromedp.WaitVisible(`body[data-state="missing"]`, chromedp.ByQuery),
		chromedp.Text("#missing", &text), picture(t, "missing"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Chrome", "Firefox", "Safari"} {
		if !strings.Contains(text, name) {
			t.Errorf("the page does not say what to do in %s", name)
		}
	}
}

// picture writes a screenshot of the page to build/screenshots.
func picture(t *testing.T, name string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var png []byte
		if err := chromedp.FullScreenshot(&png, 100).Do(ctx); err != nil {
			return err
		}
		dir := filepath.Join("..", "build", "screenshots")
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		t.Logf("build/screenshots/%s.png", name)
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o666)
	})
}

// TestWasmSize checks that the WebAssembly stays small enough for a page to fetch, and free of large packages.
func TestWasmSize(t *testing.T) {
	const limit = 1.3e6 // bytes, packed by brotli: what the runtime is, and what structured output takes
	node, err := exec.LookPath("node")
	require(t, err == nil, "Node, which packs with brotli, is missing")
	_, err = os.Stat("dist/llama-webgpu.wasm")
	require(t, err == nil, "dist/llama-webgpu.wasm is missing: make page")
	out, err := exec.Command(node, "-e", `
		const z = require('node:zlib'), c = z.constants;
		const b = require('node:fs').readFileSync('dist/llama-webgpu.wasm');
		console.log(z.brotliCompressSync(b, { params: { [c.BROTLI_PARAM_QUALITY]: 11, [c.BROTLI_PARAM_LGWIN]: 24 } }).length);`).Output()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", n)
	if n > limit {
		t.Errorf("llama-webgpu.wasm takes %d bytes with brotli, more than %.0f", n, limit)
	}
	list := exec.Command("go", "list", "-deps", "../cmd/wasm")
	list.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	deps, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, heavy := range []string{"text/template", "encoding/json", "log/slog", "net/http", "regexp", "github.com/dlclark/regexp2/v2", "github.com/go-json-experiment/json", "github.com/dustin/go-humanize"} {
		if slices.Contains(strings.Fields(string(deps)), heavy) {
			t.Errorf("the WebAssembly contains %s", heavy)
		}
	}
}

// TestPackage runs publint and arethetypeswrong, which check whether the package installs and type-checks, and compiles uses of
// the interfaces of others with the types that those have.
func TestPackage(t *testing.T) {
	node, err := exec.LookPath("node")
	require(t, err == nil, "Node is missing")
	_, err = os.Stat("dist/index.d.ts")
	require(t, err == nil, "dist is missing: make web")
	for _, args := range [][]string{
		{"node_modules/publint/src/cli.js", "--strict", "--pack", "npm"},
		{"node_modules/@arethetypeswrong/cli/dist/index.js", "--pack", ".", "--profile", "esm-only", "--exclude-entrypoints", "llama-webgpu.wasm"},
		{"node_modules/typescript/bin/tsc", "-p", "test/types"},
	} {
		if out, err := exec.Command(node, args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", args[0], err, out)
		}
	}
}
