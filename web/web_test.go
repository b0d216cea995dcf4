package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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

// browsers bounds how many of them there are at a time, on machines with many cores: each takes half a gigabyte.
var browsers = make(chan struct{}, 4)

// browser starts Chromium. A test has one at most.
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
		chromedp.UserDataDir(dir), chromedp.WSURLReadTimeout(patience),
	}, options...)
	browsers <- struct{}{}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		closeBrowser()
		cancel()
		<-browsers
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
	t.Parallel()
	w := theWorld(t)
	tab := browser(t, withGPU()...)
	if err := chromedp.Run(tab); err != nil { // here, for a browser that is begun with a limit ends with it, and tells nothing any more
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tab, longPatience)
	defer cancel()
	var results []result
	err := chromedp.Run(ctx,
		chromedp.Navigate(w.url+"/test/suite.html?match="+url.QueryEscape(match())),
		chromedp.Evaluate("finished", nil, awaited),
		chromedp.Evaluate("results", &results),
	)
	if err != nil {
		t.Error(err)
		late, cancel := context.WithTimeout(tab, time.Minute)
		defer cancel()
		if err := chromedp.Run(late, chromedp.Evaluate("results", &results)); err != nil {
			t.Log(err)
		}
	}
	report(t, results)
}

func TestNode(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	cmd := nodeOnDawn(t, longPatience, "test/node.mjs", w.url, match())
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var results []result
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
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

// TestWasmSize checks that the WebAssembly stays small enough for a page to fetch, and free of large packages.
func TestWasmSize(t *testing.T) {
	t.Parallel()
	const limit = 1.3e6 // bytes, packed by brotli: the runtime, structured output, tools, and what benchmark needs
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
	for _, heavy := range []string{"text/template", "encoding/json", "log/slog", "net/http", "regexp", "regexp/syntax", "github.com/dlclark/regexp2/v2", "github.com/go-json-experiment/json", "github.com/dustin/go-humanize"} {
		if slices.Contains(strings.Fields(string(deps)), heavy) {
			t.Errorf("the WebAssembly contains %s", heavy)
		}
	}
}

// TestPackage runs publint and arethetypeswrong, which check whether the package installs and type-checks, and compiles uses of
// the interfaces of others with the types that those have.
func TestPackage(t *testing.T) {
	t.Parallel()
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
	declarations, err := filepath.Glob("dist/*.d.ts")
	if err != nil || len(declarations) == 0 {
		t.Fatalf("dist has %d declarations: %v", len(declarations), err)
	}
	for _, name := range declarations {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("Array<ArrayBuffer")) {
			t.Errorf("%s: before version 5.7 of TypeScript, arrays of numbers are not generic", name)
		}
	}
}
