package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// selfSigned writes a certificate for 127.0.0.1 and its key, and returns who trusts it.
func selfSigned(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret), pool
}

// lines is what was written, for several goroutines.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serviceOf reads flags of serve.
func serviceOf(t *testing.T, log io.Writer, flags ...string) (s service, err error) {
	t.Helper()
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	command := *serveCommand
	command.Action = func(c *cli.Context) error {
		s, err = newService(c)
		return nil
	}
	app := newApp()
	app.Commands, app.ErrWriter = []*cli.Command{&command}, log
	if err := app.RunContext(t.Context(), append([]string{"llama-webgpu", "serve"}, flags...)); err != nil {
		t.Fatal(err)
	}
	return s, err
}

// TestService serves over TLS, in both versions of HTTP, and logs each request as JSON.
func TestService(t *testing.T) {
	cert, key, pool := selfSigned(t)
	var log lines
	s, err := serviceOf(t, &log, "--tls-cert", cert, "--tls-key", key, "--log", "json", "--gpu-memory", "2GB")
	if err != nil || s.memory != 2e9 || s.scheme() != "https" {
		t.Fatalf("%+v, %v", s, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusTeapot
		if r.URL.Path == "/v1/stream" { // which has begun when it fails
			status = http.StatusOK
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, r.Proto)
		if status == http.StatusOK {
			w.(server.StreamErrors).StreamError(errors.New("the stream broke"))
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("a stream cannot be flushed: %v", err)
		}
	})
	go func() { done <- serveUntil(ctx, newServer(s.handler(h)), s.listener(l), time.Second) }()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: proto == "HTTP/2.0"}}
		r, err := c.Get("https://" + l.Addr().String() + "/v1/models?secret=1")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil || string(text) != proto || r.StatusCode != http.StatusTeapot {
			t.Errorf("%d %s, %v; want %s", r.StatusCode, text, err, proto)
		}
		r, err = c.Get("https://" + l.Addr().String() + "/v1/stream")
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		c.CloseIdleConnections()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	n := 0
	for line := range strings.Lines(log.String()) {
		var entry struct {
			Msg, Method, Path string
			Error             string
			Status, Bytes     int
			Seconds           float64
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if entry.Msg == "request" {
			n++
			if entry.Path == "/v1/stream" {
				if entry.Status != http.StatusOK || entry.Error != "the stream broke" {
					t.Errorf("%s", line)
				}
				continue
			}
			if entry.Path != "/v1/models" || entry.Status != http.StatusTeapot || entry.Bytes != 8 || !strings.HasPrefix(entry.Error, "HTTP/") { // all that was answered
				t.Errorf("%s", line)
			}
		}
	}
	if n != 4 {
		t.Errorf("%d requests were logged: %s", n, log.String())
	}
}

// TestListen has the port taken, and an address that is not this machine's.
func TestListen(t *testing.T) {
	l, err := listen("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := listen("127.0.0.1", l.Addr().(*net.TCPAddr).Port); err == nil || !strings.Contains(err.Error(), "another program listens there: choose another port with --port") {
		t.Errorf("the port is taken: %v", err)
	}
	if _, err := listen("192.0.2.1", 0); err == nil || !strings.Contains(err.Error(), "--host is none of this machine's addresses") {
		t.Errorf("another machine's address: %v", err)
	}
}

func TestServiceMistakes(t *testing.T) {
	cert, key, _ := selfSigned(t)
	for want, flags := range map[string][]string{
		"want both":                     {"--tls-cert", cert},
		"certificate":                   {"--tls-cert", key, "--tls-key", key},
		"no such file":                  {"--tls-cert", "nothing", "--tls-key", key},
		"--gpu-memory much: ":           {"--gpu-memory", "much"},
		"--gpu-memory 20: is 20 bytes":  {"--gpu-memory", "20"},
		"--grace -1s: want a time":      {"--grace=-1s"},
		`--pooling "max": want last`:    {"--pooling", "max"},
		"--keep-alive -5s: want a time": {"--keep-alive=-5s"},
		"--log xml: want text or json":  {"--log", "xml"},
	} {
		if _, err := serviceOf(t, io.Discard, flags...); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `"`, ""), strings.ReplaceAll(want, `"`, "")) {
			t.Errorf("%v: %v, want %s", flags, err, want)
		}
	}
}

// TestStreamLeft has a stream end because its client left: the log has no error.
func TestStreamLeft(t *testing.T) {
	w := &watched{}
	if w.StreamError(fmt.Errorf("text 2: %w", context.Canceled)); w.why() != "" {
		t.Errorf("%q, want no error", w.why())
	}
	if w.StreamError(errors.New("the stream broke")); w.why() != "the stream broke" {
		t.Errorf("%q, want the error", w.why())
	}
}
