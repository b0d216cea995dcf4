package server_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// noting is a ResponseWriter that notes what ends a stream.
type noting struct {
	http.ResponseWriter
	ended error
}

func (n *noting) StreamError(err error)       { n.ended = err }
func (n *noting) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// wrapping is one that knows of nothing, and has another within.
type wrapping struct{ http.ResponseWriter }

func (w wrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestStreamError closes the server amid a stream: the error comes as an event, and whoever watches the answer is told of it.
func TestStreamError(t *testing.T) {
	for path, body := range map[string]string{
		"/v1/completions": `{"prompt": "It was", "max_tokens": 4000, "ignore_eos": true, "stream": true}`,
		"/v1/responses":   `{"input": "It was", "max_output_tokens": 4000, "ignore_eos": true, "stream": true}`,
	} {
		s := server.New(server.Options{Queue: 8, Models: func() []server.Model { return []server.Model{{ID: "tiny", Load: load}} }})
		seen := make(chan error, 1)
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := &noting{ResponseWriter: w}
			s.ServeHTTP(wrapping{n}, r)
			seen <- n.ended
		}))
		r, err := http.Post(h.URL+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		all, closed := "", false
		for lines := bufio.NewScanner(r.Body); lines.Scan(); all += lines.Text() + "\n" {
			if !closed && strings.HasPrefix(lines.Text(), "data: ") {
				closed = true
				go s.Close(ctx)
			}
		}
		_ = r.Body.Close()
		if err := <-seen; r.StatusCode != http.StatusOK || err == nil || !strings.Contains(all, "shutting down") {
			t.Errorf("%s: status %d, error %v: %s", path, r.StatusCode, err, all)
		}
		h.Close()
	}
}
