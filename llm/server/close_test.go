package server_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// closeWhile serves a model, asks for a text, and closes the server once busy is closed, with a context that has ended. It returns
// how long that took, and how the request ended.
func closeWhile(t *testing.T, load func(ctx context.Context) (*server.Loaded, error), busy <-chan struct{}) (took time.Duration, answer string) {
	t.Helper()
	s := server.New(server.Options{Queue: 1, Models: func() []server.Model { return []server.Model{{ID: "a", Load: load}} }})
	answered := make(chan string, 1)
	go func() {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("POST", "/v1/completions", strings.NewReader(`{"prompt":"It","max_tokens":1}`)))
		answered <- w.Body.String()
	}()
	<-busy
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begun := time.Now()
	s.Close(ctx)
	return time.Since(begun), <-answered
}

// TestCloseWhileLoading closes a server whose model is being loaded: loading ends, and who waits for the model is told.
func TestCloseWhileLoading(t *testing.T) {
	loading := make(chan struct{})
	_, answer := closeWhile(t, func(ctx context.Context) (*server.Loaded, error) {
		close(loading)
		<-ctx.Done()
		return nil, ctx.Err()
	}, loading)
	if !strings.Contains(answer, "shutting down") {
		t.Error(answer)
	}
}

// TestCloseWhileCompiling closes a server whose model cannot be closed for as long as a driver compiles: Close does not wait for that,
// and the model is closed afterwards.
func TestCloseWhileCompiling(t *testing.T) {
	loaded, compiled, closed := make(chan struct{}), make(chan struct{}), make(chan error)
	took, answer := closeWhile(t, func(ctx context.Context) (*server.Loaded, error) {
		in, err := load(ctx)
		if err != nil {
			return nil, err
		}
		whole := in.Close
		in.Close = func() error {
			<-compiled
			err := whole()
			closed <- err
			return err
		}
		close(loaded)
		return in, nil
	}, loaded)
	if took > time.Minute {
		t.Errorf("Close took %v, want about two seconds", took)
	}
	close(compiled)
	if err := <-closed; err != nil {
		t.Errorf("%v; the text: %s", err, answer)
	}
}
