package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// require ends a test that lacks something: as a failure if LLAMA_WEBGPU_WEB says that everything is there, as a skip
// otherwise.
func require(t testing.TB, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("LLAMA_WEBGPU_WEB") != "" {
		t.Fatal(what)
	}
	t.Skip(what + " (make web-test takes care of it)")
}

// world is what the suites run against: `llama-webgpu serve` with testdata/tiny in three formats, and in front of it a
// server that can misbehave. The bundle plain is int4 in blocks of one size: half as many kernels have to be compiled for it as
// for int4, on each device anew, so it is for all tests that do not depend on what a bundle is made of.
type world struct {
	url      string
	models   string // the directory of the bundles
	expected []byte // what suite.js compares with
}

var (
	worldOnce sync.Once
	worldIs   *world
	worldErr  error
	worldEnd  []func()
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range worldEnd {
		f()
	}
	os.Exit(code)
}

func theWorld(t *testing.T) *world {
	t.Helper()
	_, err := os.Stat("site/index.html")
	require(t, err == nil, "web/site is missing: make page")
	worldOnce.Do(func() { worldIs, worldErr = newWorld() })
	if worldErr != nil {
		t.Fatal(worldErr)
	}
	return worldIs
}

const (
	prompt    = "It was a cold morning of the early spring, and we sat after breakfast"
	newTokens = 12
)

func newWorld() (*world, error) {
	dir, err := os.MkdirTemp("", "llama-webgpu-web-*")
	if err != nil {
		return nil, err
	}
	worldEnd = append(worldEnd, func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "llama-webgpu")
	if out, err := exec.Command("go", "build", "-tags", "page", "-o", program, "../cmd/llama-webgpu").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	expected := map[string]any{}
	models := filepath.Join(dir, "models")
	for name, options := range map[string][]string{
		"int8": {"--format", "int8"}, "int4": {"--format", "int4"}, "int2": {"--format", "int2"},
		"plain": {"--format", "int4", "--block-size", "64", "--embed-format", "int4"},
	} {
		if expected[name], err = prepare(program, models, name, options); err != nil {
			return nil, err
		}
	}
	if _, err := quantize(program, filepath.Join(models, "parts"), "--format", "int4", "--max-shard-size", "1200kB"); err != nil {
		return nil, err
	}
	address, err := startServe(program, models)
	if err != nil {
		return nil, err
	}
	w := &world{models: models}
	samples, err := goDraws()
	if err != nil {
		return nil, err
	}
	if w.expected, err = json.Marshal(map[string]any{"models": expected, "samples": samples}); err != nil {
		return nil, err
	}
	s := httptest.NewServer(w.handler(address, models))
	worldEnd = append(worldEnd, s.Close)
	w.url = s.URL
	return w, nil
}

// execute runs the program and returns its output.
func execute(program string, args ...string) ([]byte, error) {
	cmd := exec.Command(program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	data, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("llama-webgpu %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return data, nil
}

// quantize makes a bundle of tiny.
func quantize(program, out string, options ...string) ([]byte, error) {
	return execute(program, append([]string{"quantize", "--input-dir", "../testdata/tiny", "--output-dir", out, "--quiet"}, options...)...)
}

// prepare makes a bundle and has the native program continue a text with it.
func prepare(program, models, name string, options []string) (map[string]any, error) {
	out := filepath.Join(models, name)
	if _, err := quantize(program, out, options...); err != nil {
		return nil, err
	}
	greedy, err := continued(program, out, newTokens, "--temperature", "0")
	if err != nil {
		return nil, err
	}
	want := map[string]any{"prompt": prompt, "promptTokens": greedy.PromptTokens, "tokens": greedy.Tokens, "text": greedy.Text}
	if name == "int4" {
		drawn, err := continued(program, out, drawnTokens, "--seed", "7", "--temperature", "0.9", "--top-k", "50", "--top-p", "0.9", "--min-p", "0.01", "--repeat-penalty", "1.1")
		if err != nil {
			return nil, err
		}
		want["drawn"] = drawn.Text
	}
	return want, nil
}

// drawnTokens is how long a text is that is drawn with a seed.
const drawnTokens = 16

// native is a text of the native program.
type native struct {
	PromptTokens []int32 `json:"prompt_tokens"`
	Tokens       []int32 `json:"tokens"`
	Text         string  `json:"text"`
}

// continued has the native program continue the prompt by n tokens.
func continued(program, model string, n int, options ...string) (text native, err error) {
	args := []string{"infer", "--model", model, "--prompt", prompt, "-n", fmt.Sprint(n), "--max-seq-len", "256", "--json"}
	data, err := execute(program, append(args, options...)...)
	if err != nil {
		return text, err
	}
	if err := json.Unmarshal(data, &text); err != nil {
		return text, err
	}
	if len(text.Tokens) != n {
		return text, fmt.Errorf("%s: the native program made %d tokens, want %d", model, len(text.Tokens), n)
	}
	return text, nil
}

// startServe starts `llama-webgpu serve` on a free port and returns its address.
func startServe(program, models string) (*url.URL, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "serve", "--port", "0", models)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	worldEnd = append(worldEnd, func() {
		cancel()
		_ = cmd.Wait()
	})
	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the program
	address := regexp.MustCompile(`http://\S+`).FindString(line)
	if address == "" {
		return nil, fmt.Errorf("serve: %q names no address", line)
	}
	return url.Parse(address)
}

// handler serves the suites, what `llama-webgpu serve` serves, and under /bad/KIND/MODEL/ models that are damaged or
// served badly.
func (w *world) handler(address *url.URL, models string) http.Handler {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(address)
		r.Out.Host = r.In.Host // that of the page, as its origin is
	}}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.Handle("/test/", http.StripPrefix("/test/", http.FileServer(http.Dir("test"))))
	mux.HandleFunc("/test/expected.json", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(w.expected) })
	large := sync.OnceValues(newLarge)
	mux.HandleFunc("/test/large.json", func(rw http.ResponseWriter, _ *http.Request) {
		l, err := large()
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = rw.Write(l.description)
	})
	mux.HandleFunc("/test/large.head", func(rw http.ResponseWriter, _ *http.Request) {
		l, _ := large() // whoever asks has fetched the description before
		_, _ = rw.Write(l.header)
	})
	mux.HandleFunc("/test/pattern.bin", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(pattern()) })
	var offline, replaced atomic.Bool
	mux.HandleFunc("POST /test/offline", func(_ http.ResponseWriter, r *http.Request) { offline.Store(r.FormValue("on") == "1") })
	mux.HandleFunc("POST /test/replaced", func(_ http.ResponseWriter, r *http.Request) { replaced.Store(r.FormValue("on") == "1") })
	// The URLs of article.js.
	mux.Handle("/models/m/", http.StripPrefix("/models/m/", http.FileServer(http.Dir(filepath.Join(models, "plain")))))
	b := bad{models: models, offline: &offline, replaced: &replaced, seen: map[string]bool{}}
	mux.HandleFunc("/bad/{kind}/{model}/{file}", func(rw http.ResponseWriter, r *http.Request) {
		if err := b.serve(rw, r); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

// bad serves files in ways that a good server does not.
type bad struct {
	models   string
	offline  *atomic.Bool
	replaced *atomic.Bool // /bad/replaced/MODEL/ is the int2 model
	mu       sync.Mutex
	seen     map[string]bool
}

func (b *bad) serve(w http.ResponseWriter, r *http.Request) error {
	kind, file := r.PathValue("kind"), r.PathValue("file")
	model, modified := r.PathValue("model"), time.Time{}
	if kind == "replaced" {
		modified = time.Now().AddDate(0, 0, -100) // long enough ago for the HTTP cache to keep the file without asking
		if b.replaced.Load() {
			model, modified = "int2", modified.AddDate(0, 0, 1)
		}
	}
	data, err := os.ReadFile(filepath.Join(b.models, model, file))
	if errors.Is(err, os.ErrNotExist) {
		http.NotFound(w, r)
		return nil
	}
	if err != nil {
		return err
	}
	manifest, blob := file == "manifest.json", file == "model.wgpu"
	switch {
	case kind == "flip" && blob:
		data[len(data)/2] ^= 0x10
	case kind == "short" && blob:
		data = data[:len(data)-256]
	case kind == "version" && manifest:
		data = bytes.Replace(data, []byte(`"format_version": 1`), []byte(`"format_version": 99`), 1)
	case kind == "html-manifest" && manifest, kind == "html-vocab" && file == "vocab.json", kind == "html-weights" && blob:
		w.Header().Set("Content-Type", "text/html")
		data = []byte("<!doctype html><p>Not found</p>") // as a host of single-page apps does
	case kind == "vocab" && file == "vocab.json":
		data = bytes.Replace(data, []byte("the"), []byte("thE"), 1)
	case kind == "chat" && manifest:
		data = withTemplate(data, chatTemplate)
	case kind == "tools" && manifest:
		data = withTemplate(data, toolTemplate)
	case kind == "think" && manifest:
		data = withTemplate(data, thinkTemplate)
	case kind == "norange":
		r.Header.Del("Range")
	case kind == "cors":
		w.Header().Set("Access-Control-Allow-Origin", "*")
	case kind == "slow" && blob:
		return trickle(w, r, data)
	case kind == "flaky" && blob && b.first(r.UserAgent()+r.Header.Get("Range")) && strings.HasPrefix(r.Header.Get("Range"), "bytes=0-"):
		return breakOff(w, r, data)
	case kind == "switched" && b.offline.Load():
		panic(http.ErrAbortHandler) // cuts the connection
	}
	if kind == "norange" {
		_, _ = w.Write(data) // fails only if the client has gone
		return nil
	}
	http.ServeContent(w, r, file, modified, bytes.NewReader(data))
	return nil
}

// chatTemplate is one by which the model goes on where the conversation ends, toolTemplate one that names tools, and thinkTemplate
// that of a model that thinks: it opens a thought, unless it is told not to.
const (
	chatTemplate  = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
	toolTemplate  = chatTemplate + "{% for t in tools or [] %} {{ t.function.name }}{% endfor %}"
	thinkTemplate = chatTemplate + "{% if enable_thinking is undefined %}<think>{% endif %}{# </think> #}"
)

// withTemplate gives a manifest a chat template.
func withTemplate(manifest []byte, template string) []byte {
	return bytes.Replace(manifest, []byte(`"bos": 0`), fmt.Appendf(nil, `"chat_template": %q, "bos": 0`, template), 1)
}

// first reports whether something is requested for the first time: a range, by a browser or by Node.
func (b *bad) first(ask string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.seen[ask]
	b.seen[ask] = true
	return !was
}

// asked returns the range of data that is requested.
func asked(r *http.Request, data []byte) (from, to int, err error) {
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
		return 0, 0, err
	}
	return from, min(to+1, len(data)), nil
}

// breakOff sends a third of what was requested, and cuts the connection.
func breakOff(w http.ResponseWriter, r *http.Request, data []byte) error {
	from, to, err := asked(r, data)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(data)))
	w.Header().Set("Content-Length", fmt.Sprint(to-from))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(data[from : from+(to-from)/3])
	_ = http.NewResponseController(w).Flush()
	time.Sleep(50 * time.Millisecond) // so that it arrives
	panic(http.ErrAbortHandler)
}

// trickle sends what was requested, slowly, and never the end.
func trickle(w http.ResponseWriter, r *http.Request, data []byte) error {
	from, to, err := asked(r, data)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(data)))
	w.WriteHeader(http.StatusPartialContent)
	const step = 64 << 10
	for at := from; ; at = min(at+step, to-1) {
		if _, err := io.Copy(w, bytes.NewReader(data[at:min(at+step, to-1)])); err != nil {
			return nil // the page has given up
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
			return nil
		}
	}
}
