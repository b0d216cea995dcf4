package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/quant/auto"
)

// serviceFlags are those of a server that runs for long.
var serviceFlags = []cli.Flag{
	&cli.IntFlag{Name: "max-loaded", Usage: "keep up to `N` models loaded; the one used longest ago makes room", DefaultText: "1, or with --gpu-memory any number", Category: "API"},
	&cli.StringFlag{Name: "gpu-memory", Usage: "`SIZE`: models stay loaded while all of them together take no more than this, such as 20GB", DefaultText: "see --max-loaded", Category: "API"},
	&cli.DurationFlag{Name: "keep-alive", Usage: "`TIME`: unload a model that has not been used for this long, such as 5m", DefaultText: "never", Category: "API"},
	&cli.StringFlag{Name: "pooling", Value: string(llm.PoolLast), Usage: "`WHAT`: an embedding is the hidden state of the last token (last), or the mean of all (mean)", Category: "API"},
	&cli.StringFlag{Name: "slot-save-path", Usage: "`DIR`: directory in which /slots/N?action=save stores what has been computed for a text, and from which restore reads it", DefaultText: "both are refused", Category: "API"},
	&cli.DurationFlag{Name: "grace", Value: 10 * time.Second, Usage: "`TIME`: when the server stops, let texts continue for up to this long", Category: "API"},
	&cli.StringFlag{Name: "tls-cert", Usage: "`FILE`: serve https, with this certificate (PEM) …", Category: "API"},
	&cli.StringFlag{Name: "tls-key", Usage: "`FILE`: … and its private key", Category: "API"},
	&cli.StringFlag{Name: "log", Usage: "write a line about each request to standard error: `FORMAT` text or json", DefaultText: "none", Category: "API"},
}

// service is what serviceFlags say.
type service struct {
	tls    *tls.Config // nil: plain http
	memory uint64
	log    *slog.Logger // of requests, nil: they are not logged
}

// newService reads serviceFlags. With --log, everything else that the program logs has the same format.
func newService(c *cli.Context) (s service, err error) {
	if s.tls, err = certificate(c); err != nil {
		return s, err
	}
	if text := c.String("gpu-memory"); text != "" {
		n, err := auto.ParseSize(text)
		if err != nil {
			return s, cmdline.Usagef("--gpu-memory %s: %v", cmdline.Quoted(text), err)
		}
		if n < 1<<20 { // the unit was forgotten
			return s, cmdline.Usagef("--gpu-memory %s: is %d bytes, want a size such as 20GB", cmdline.Quoted(text), n)
		}
		s.memory = uint64(n)
	}
	if err := llm.Pooling(c.String("pooling")).Validate(); err != nil {
		return s, cmdline.Usagef("--%v", err)
	}
	if dir := c.String("slot-save-path"); dir != "" {
		if err := outdir.CheckWritable(dir); err != nil {
			return s, fmt.Errorf("--slot-save-path: %w", err)
		}
	}
	for _, name := range []string{"keep-alive", "grace"} {
		if t := c.Duration(name); t < 0 {
			return s, cmdline.Usagef("--%s %v: want a time of 0 or more", name, t)
		}
	}
	switch format := c.String("log"); format {
	case "":
	case "text":
		s.log = slog.New(slog.NewTextHandler(c.App.ErrWriter, nil))
	case "json":
		s.log = slog.New(slog.NewJSONHandler(c.App.ErrWriter, nil))
	default:
		return s, cmdline.Usagef("--log %s: want text or json", cmdline.Quoted(format))
	}
	if s.log != nil {
		slog.SetDefault(s.log)
	}
	return s, nil
}

// certificate reads --tls-cert and --tls-key.
func certificate(c *cli.Context) (*tls.Config, error) {
	cert, key := c.String("tls-cert"), c.String("tls-key")
	switch {
	case cert == "" && key == "":
		return nil, nil
	case cert == "" || key == "":
		return nil, cmdline.Usagef("--tls-cert and --tls-key: want both")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}, nil
}

// scheme is the one of the server's addresses.
func (s *service) scheme() string {
	if s.tls != nil {
		return "https"
	}
	return "http"
}

// listener adds encryption to a listener.
func (s *service) listener(l net.Listener) net.Listener {
	if s.tls != nil {
		return tls.NewListener(l, s.tls)
	}
	return l
}

// handler logs requests.
func (s *service) handler(h http.Handler) http.Handler {
	if s.log == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, seen := time.Now(), &watched{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			line := []any{
				"method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr, "status", seen.status,
				"bytes", seen.bytes, "seconds", time.Since(begun).Seconds(), "gone", seen.gone || r.Context().Err() != nil,
			}
			if why := seen.why(); why != "" {
				line = append(line, "error", why)
			}
			s.log.Info("request", line...)
		}()
		h.ServeHTTP(seen, r)
	})
}

// watched sees what is answered.
type watched struct {
	http.ResponseWriter
	status int
	bytes  int64
	gone   bool   // the client went away before the end
	failed []byte // what was answered, if it is an error
	ended  error  // what ended a stream; nil: its end, or there is none
}

// StreamError implements server.StreamErrors. That the client has gone is no failure: gone says so.
func (w *watched) StreamError(err error) {
	if !errors.Is(err, context.Canceled) {
		w.ended = err
	}
}

// why is the message of an error that was answered, "": there was none.
func (w *watched) why() string {
	if w.ended != nil {
		return w.ended.Error()
	}
	var e struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(w.failed, &e) == nil {
		return e.Error.Message
	}
	return strings.TrimSpace(string(w.failed))
}

func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(data []byte) (int, error) {
	n, err := w.ResponseWriter.Write(data)
	w.bytes += int64(n)
	if w.status >= http.StatusBadRequest && len(w.failed)+n <= 4096 {
		w.failed = append(w.failed, data[:n]...)
	}
	w.gone = w.gone || err != nil
	return n, err
}

// Unwrap lets http.ResponseController flush.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
