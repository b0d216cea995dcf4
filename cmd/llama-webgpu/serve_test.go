package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm/server"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
	"github.com/llama-webgpu/llama-webgpu/web"
)

// TestServeRefusesOthers checks that no other site can use the server, by a domain that it points at this machine or by
// requests from its pages.
func TestServeRefusesOthers(t *testing.T) {
	ask := func(listen, host, origin string) int {
		o := web.Options{Page: os.DirFS(t.TempDir()), Reference: func(context.Context, string, []int32) ([]float32, error) { return []float32{1}, nil }}
		o.Hosts, o.AnyAddress = hostNames(listen)
		r := httptest.NewRequest(http.MethodPost, "/reference/m", strings.NewReader("[1]"))
		r.Host = host
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		web.Handler(o).ServeHTTP(w, r)
		return w.Code
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		listen, host, origin string
		want                 int
	}{
		{"127.0.0.1", "localhost:8080", "http://localhost:8080", 200},
		{"127.0.0.1", "127.0.0.1:8080", "", 200},
		{"127.0.0.1", "[::1]:8080", "http://[::1]:8080", 200},
		{"127.0.0.1", "evil.example:8080", "http://evil.example:8080", 421},
		{"127.0.0.1", "192.168.1.7:8080", "", 421},
		{"127.0.0.1", "", "", 421},
		{"0.0.0.0", "192.168.1.7:8080", "http://192.168.1.7:8080", 200},
		{"0.0.0.0", "localhost:8080", "", 200},
		{"", name + ":8080", "", 200},
		{"0.0.0.0", "host.docker.internal:8080", "", 200},
		{"127.0.0.1", "host.docker.internal:8080", "", 421},
		{"0.0.0.0", "evil.example:8080", "http://evil.example:8080", 421},
		{"0.0.0.0", "192.168.1.7.evil.example", "", 421},
		{"box.example", "box.example.", "", 200},
		{"", "", "", 421},
		{"127.0.0.1", "localhost:8080", "http://evil.example", 403},
		{"127.0.0.1", "localhost:8080", "http://localhost:9090", 403},
		{"127.0.0.1", "localhost:8080", "null", 403},
		{"0.0.0.0", "192.168.1.7:8080", "https://evil.example", 403},
	} {
		if got := ask(c.listen, c.host, c.origin); got != c.want {
			t.Errorf("listening on %q, a request for %q from %q: status %d, want %d", c.listen, c.host, c.origin, got, c.want)
		}
	}
}

// TestNamed names models, but not all of many.
func TestNamed(t *testing.T) {
	for n, want := range map[int]string{0: "0 models", 1: "1 model (m0)", 2: "2 models (m0, m1)", 9: "9 models (m0, m1, m2, m3, m4, m5, m6, m7, …)"} {
		var models []web.Model
		for i := range n {
			models = append(models, web.Model{Name: fmt.Sprint("m", i)})
		}
		if got := named(models); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// servedAPI is what serve answers with, for a bundle of the tiny model.
func servedAPI(t *testing.T, flags ...string) (h http.Handler) {
	t.Helper()
	c, err := hf.Open(filepath.Join("..", "..", "testdata", "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := filepath.Join(t.TempDir(), "tiny")
	vocab, _, err := c.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := convert.Run(t.Context(), convert.Source{Weights: c, Tokenizer: vocab}, dir, convert.Options{Format: "int4"}); err != nil {
		t.Fatal(err)
	}
	command := *serveCommand
	command.Action = func(c *cli.Context) error {
		if err := cmdline.Check(c, []string{"model"}, "model"); err != nil {
			return err
		}
		l, err := openLibrary(c.String("model"), func(error) {})
		if err != nil {
			return err
		}
		api, err := newAPI(c, l, 0)
		if err != nil {
			return err
		}
		t.Cleanup(func() { api.Close(canceled()) })
		h = web.Handler(web.Options{Page: fstest.MapFS{"index.html": {Data: []byte("the page")}}, Models: l.models, API: api, APIPaths: server.Paths})
		return nil
	}
	app := newApp()
	app.Commands = []*cli.Command{&command}
	if err := app.RunContext(t.Context(), slices.Concat([]string{"llama-webgpu", "serve", "--device", "cpu"}, flags, []string{dir})); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestServedAPI serves a bundle to programs beside the page's files.
func TestServedAPI(t *testing.T) {
	s := httptest.NewServer(servedAPI(t, "--alias", "small", "--max-seq-len", "128"))
	defer s.Close()
	for _, test := range []struct{ path, body, want string }{
		{"/", "", "the page"},
		{"/models/tiny/manifest.json", "", `"int4"`},
		{"/health", "", `{"status":"ok"}`},
		{"/v1/models", "", `"aliases":["small"]`},
		{"/v1/completions", `{"prompt":"It was a cold","max_tokens":3,"temperature":0}`, `"finish_reason":"length"`},
		{"/chat/completions", `{"messages":[]}`, "there are no messages"},
		{"/api/chat", `{}`, "not Ollama's API"},
		{"/props", "", `"n_ctx":128`},
		{"/metrics", "", `llama_webgpu_requests_total{model="tiny"} 1`},
	} {
		method := http.MethodGet
		if test.body != "" {
			method = http.MethodPost
		}
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !strings.Contains(string(data), test.want) {
			t.Errorf("%s: %d %.300s, want %s in it", test.path, resp.StatusCode, data, test.want)
		}
	}
}

// TestServedWarm serves a bundle on a GPU: after the first text, the kernels of larger batches are compiled without being asked for.
func TestServedWarm(t *testing.T) {
	h := servedAPI(t, "--device", "gpu", "--max-seq-len", "128", "--parallel", "3")
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	var log lines
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://localhost/v1/completions", strings.NewReader(`{"prompt":"It was","max_tokens":3}`)))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for begun := time.Now(); !strings.Contains(log.String(), `msg="kernels of larger batches compiled" model=tiny kernels=`); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 2*time.Minute {
			t.Fatalf("kernels were not compiled: %s", log.String())
		}
	}
}
