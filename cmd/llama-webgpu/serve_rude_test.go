package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// rude is a server with clients that do not behave.
type rude struct {
	*testing.T
	address string // host:port
	client  *http.Client
}

// serveRudely serves the tiny model by the command's own server, whose patience with headers is short. end ends it.
func serveRudely(t *testing.T) (r *rude, end func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(servedAPI(t, "--max-seq-len", "256", "--queue", "100"))
	s.ReadHeaderTimeout /= 4
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- serveUntil(ctx, s, l, time.Minute) }()
	r = &rude{t, l.Addr().String(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	return r, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// stream asks for a text and reads it until ctx ends.
func (r *rude) stream(ctx context.Context, tokens int) error {
	body := fmt.Sprintf(`{"prompt":"It was a cold morning","max_tokens":%d,"stream":true}`, tokens)
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.address+"/v1/completions", strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := r.client.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.HasSuffix(string(text), "data: [DONE]\n\n")) {
		err = fmt.Errorf("%d %.200s", resp.StatusCode, text)
	}
	return err
}

// begin opens a connection and sends the beginning of a request.
func (r *rude) begin(text string) net.Conn {
	c, err := net.Dial("tcp", r.address)
	if err == nil {
		_, err = io.WriteString(c, text)
	}
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// until waits for a condition.
func (r *rude) until(what string, is func() bool) {
	r.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("waited in vain: %s", what)
		}
	}
}

// idle reports whether the server has no text under way or waiting.
func (r *rude) idle() bool {
	resp, err := r.client.Get("http://" + r.address + "/metrics")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	n := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if lines.Text() == `llama_webgpu_requests_running{model="tiny"} 0` || lines.Text() == `llama_webgpu_requests_waiting{model="tiny"} 0` {
			n++
		}
	}
	return n == 2
}

// openFilesNow counts the process's open files, where the system tells.
func openFilesNow() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

// TestServeUnfinished holds 1000 connections whose headers never end, while clients are served that behave and others that cut
// their connection anywhere. The server closes the connections by itself; no text, goroutine or open file is left.
func TestServeUnfinished(t *testing.T) {
	r, end := serveRudely(t)
	defer end()
	if err := r.stream(t.Context(), 2); err != nil { // which loads the model
		t.Fatal(err)
	}
	r.until("the first text", r.idle)
	goroutines, files := runtime.NumGoroutine(), openFilesNow()
	var open []net.Conn
	for range 1000 {
		open = append(open, r.begin("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: "))
	}
	var clients sync.WaitGroup
	for i := range 24 {
		rng := rand.New(rand.NewPCG(uint64(i), 7))
		clients.Go(func() {
			switch i % 4 {
			case 0: // it behaves
				if err := r.stream(t.Context(), 1+i); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			case 1: // it leaves in the middle of its request
				c := r.begin("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"prompt\":")
				time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
				_ = c.Close()
			default: // or of its text
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(400))*time.Millisecond)
				defer cancel()
				if err := r.stream(ctx, 200); err == nil {
					t.Logf("client %d left too late", i)
				}
			}
		})
	}
	clients.Wait()
	r.until("texts that nobody reads end", r.idle)
	for i, c := range open {
		if err := c.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(c)
		if err != nil || len(text) > 0 && !strings.HasPrefix(string(text), "HTTP/1.1 4") {
			t.Fatalf("connection %d: %q, %v", i, text, err)
		}
		_ = c.Close()
	}
	r.until("goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
	r.until("files are closed", func() bool { return openFilesNow() <= files+2 })
	if err := r.stream(t.Context(), 2); err != nil {
		t.Errorf("afterward: %v", err)
	}
}
