package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// stormy is what storm.js returns.
type stormy struct {
	Failures []string
	Counts   map[string]int // of calls, by how they ended
}

func (s *stormy) report(t *testing.T) {
	t.Helper()
	calls := 0
	for _, what := range slices.Sorted(maps.Keys(s.Counts)) {
		t.Logf("%6d %s", s.Counts[what], what)
		calls += s.Counts[what]
	}
	if calls == 0 {
		t.Error("nothing was called")
	}
	for _, f := range s.Failures {
		t.Error(f)
	}
}

// stormOf returns the seed and the seconds of a storm: one round, always of the same calls, unless LLAMA_WEBGPU_STORM has
// the seconds (make storm). LLAMA_WEBGPU_SEED repeats a storm.
func stormOf(t *testing.T) (seed int64, seconds int) {
	t.Helper()
	seed = 1
	var err error
	if v := os.Getenv("LLAMA_WEBGPU_STORM"); v != "" {
		if seconds, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
		seed = time.Now().Unix() % 1e6
	}
	if v := os.Getenv("LLAMA_WEBGPU_SEED"); v != "" {
		if seed, err = strconv.ParseInt(v, 10, 32); err != nil {
			t.Fatal(err)
		}
	}
	if seconds == 0 {
		t.Parallel()
	}
	t.Logf("seed %d, %d s", seed, seconds)
	return seed, seconds
}

// TestStormChromium makes random calls in one page, which is frozen now and then, as hidden tabs are.
func TestStormChromium(t *testing.T) {
	w := theWorld(t)
	seed, seconds := stormOf(t)
	options := append(withGPU(), chromedp.Flag("js-flags", "--expose-gc"), chromedp.Flag("enable-precise-memory-info", true))
	ctx, cancel := context.WithTimeout(browser(t, options...), time.Duration(seconds)*time.Second+longPatience)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Navigate(fmt.Sprintf("%s/test/storm.html?seed=%d&seconds=%d", w.url, seed, seconds))); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	frozen := make(chan error, 1)
	go func() { frozen <- freeze(ctx, over) }()
	var s stormy
	if err := chromedp.Run(ctx, chromedp.Evaluate("finished", &s, awaited)); err != nil {
		t.Error(err)
	}
	close(over)
	if err := <-frozen; err != nil {
		t.Error(err)
	}
	s.report(t)
}

// freeze stops the page for half a second now and then, until it is over.
func freeze(ctx context.Context, over <-chan struct{}) error {
	for {
		select {
		case <-over:
			return nil
		case <-time.After(3 * time.Second):
		}
		err := chromedp.Run(ctx, page.SetWebLifecycleState(page.SetWebLifecycleStateStateFrozen),
			chromedp.Sleep(time.Second/2), page.SetWebLifecycleState(page.SetWebLifecycleStateStateActive))
		if err != nil {
			return err
		}
	}
}

// TestStormNode makes random calls in one process of Node.
func TestStormNode(t *testing.T) {
	w := theWorld(t)
	seed, seconds := stormOf(t)
	cmd := nodeOnDawn(t, time.Duration(seconds)*time.Second+longPatience, "--expose-gc", "test/storm.mjs", w.url, fmt.Sprint(seed), fmt.Sprint(seconds))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := ""
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		last = lines.Text()
		if !strings.HasPrefix(last, "{") {
			t.Log(last)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	var s stormy
	if err := json.Unmarshal([]byte(last), &s); err != nil {
		t.Fatalf("%s: %v", last, err)
	}
	s.report(t)
}

// nodeOnDawn returns a command that runs Node with the package "webgpu".
func nodeOnDawn(t *testing.T, limit time.Duration, args ...string) *exec.Cmd {
	t.Helper()
	node, err := exec.LookPath("node")
	require(t, err == nil, "Node is missing")
	_, err = os.Stat("node_modules/webgpu")
	require(t, err == nil, "node_modules/webgpu is missing: npm ci")
	_, err = os.Stat("dist/node.js")
	require(t, err == nil, "dist is missing: make web")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, node, args...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir(), "XDG_CACHE_HOME="+t.TempDir()) // what a benchmark keeps
	if icd := swiftshader(); icd != "" && os.Getenv("VK_ICD_FILENAMES") == "" {
		cmd.Env = append(cmd.Env, "VK_ICD_FILENAMES="+icd) // Dawn does not accept lavapipe
	}
	cmd.Stderr = os.Stderr
	return cmd
}
