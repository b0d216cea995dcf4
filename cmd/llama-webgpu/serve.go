package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/llm/server"
	"github.com/llama-webgpu/llama-webgpu/web"
)

var serveCommand = &cli.Command{
	Name:      "serve",
	Category:  "Models",
	Usage:     "serve a bundle to OpenAI clients, and a page that runs it in the browser",
	UsageText: "llama-webgpu serve DIR [options]",
	Description: `Serves a chat page, the npm package that the page uses, and the bundle in DIR, or the bundles in its
subdirectories, also those that are added later. The page runs a model in the browser, on the visitor's GPU, so that
chats stay there; a switch in the page runs it in this program instead. For the page's parity check, this program
computes the logits of a fixed sentence on the CPU.

Unless --host says otherwise, the server can be reached from this machine only. Browsers on other machines
allow WebGPU on https pages only. The server answers to IP addresses, localhost, and its own host name; behind
a proxy, or under another name, give that name with --allow-host.

Programs made for OpenAI's API can use the models at /v1: chat, responses and text completions, streamed or
whole, with tools, JSON schemas and grammars, and embeddings. /tokenize, /apply-template, /health, /props and
/metrics are there as well. The API runs a model in this program, on its GPU; the first request loads it. Several
requests are computed together (--parallel).

A bundle in a subdirectory that cannot be opened is reported, and the others are served.

A program that was built with go install does not contain the page. It builds the page when it first serves it,
with the Go tool.

Examples:

  llama-webgpu serve out
  llama-webgpu serve models --port 9000 --parallel 8 --api-key "$KEY"
  llama-webgpu serve models --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --gpu-memory 20GB --keep-alive 10m --log json
  curl http://localhost:8080/v1/chat/completions -d '{"messages": [{"role": "user", "content": "Hello"}]}'`,
	Flags: slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`DIR`: bundle, or directory of bundles (required)"},
		&cli.StringFlag{Name: "host", Value: "127.0.0.1", Usage: "`HOST`: address to listen on"},
		&cli.IntFlag{Name: "port", Value: 8080, Usage: "`N`: port to listen on; 0: any that is free"},
		&cli.StringSliceFlag{Name: "allow-host", Usage: "`NAME`: another host name to answer to (repeatable)"},
		&cli.BoolFlag{Name: "no-reference", Usage: "do not compute logits for the page's parity check", DisableDefaultText: true},
	}, apiFlags, serviceFlags, deviceFlags()),
	Action: serve,
}

func serve(c *cli.Context) error {
	if c.Bool(listAdaptersName) {
		return listAdapters(c)
	}
	bounds := append([]cmdline.Bound{{Name: "port", Most: 65535, Not: "0: any that is free"}}, apiBounds...)
	if err := cmp.Or(cmdline.Check(c, []string{"model"}, "model"), checkDevice(c), cmdline.Within(c, bounds...)); err != nil {
		return err
	}
	l, err := openLibrary(c.String("model"), func(err error) { fmt.Fprintf(c.App.ErrWriter, "not served: %v\n", err) })
	if err != nil {
		return err
	}
	service, err := newService(c)
	if err != nil {
		return err
	}
	api, err := newAPI(c, l, service.memory)
	if err != nil {
		return err
	}
	page, err := web.Site(c.Context, func() {
		fmt.Fprintln(c.App.ErrWriter, "This program was built without the demo page: building it, which takes a minute or two the first time.")
	})
	if err != nil {
		return err
	}
	o := web.Options{Page: page, Models: l.models}
	if api != nil {
		o.API, o.APIPaths = api, server.Paths
	}
	o.Hosts, o.AnyAddress = hostNames(c.String("host"))
	o.Hosts = append(o.Hosts, c.StringSlice("allow-host")...)
	if !c.Bool("no-reference") {
		o.Reference = (&referenceServer{models: l.models}).logits
	}
	listener, err := listen(c.String("host"), c.Int("port"))
	if err != nil {
		return err
	}
	at := service.scheme() + "://" + pageAddress(listener.Addr())
	fmt.Fprintf(stdout(c), "%s; open %s\n", named(l.models()), at)
	if api != nil {
		fmt.Fprintf(stdout(c), "API for OpenAI clients: %s/v1\n", at)
		defer api.Close(canceled())
	}
	if o.AnyAddress && c.String("api-key") == "" && api != nil {
		fmt.Fprintf(c.App.ErrWriter, "warning: whoever reaches %s may use the API: set --api-key, or --no-api\n", c.String("host"))
	}
	return serveUntil(c.Context, newServer(service.handler(web.Handler(o))), service.listener(listener), c.Duration("grace"))
}

// listen opens the port, and says what helps if that fails.
func listen(host string, port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%w: another program listens there: choose another port with --port, or 0 for any that is free", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%w: --host is none of this machine's addresses; 0.0.0.0 is all of them", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: choose a port above 1023 with --port", err)
	}
	return l, err
}

// named counts models, and names those that clients can ask for: the first ones, if they are many.
func named(models []web.Model) string {
	const most = 8
	var names []string
	for _, m := range models[:min(len(models), most)] {
		names = append(names, m.Name)
	}
	if len(models) > most {
		names = append(names, "…")
	}
	if names == nil {
		return counted(0, "model")
	}
	return fmt.Sprintf("%s (%s)", counted(len(models), "model"), strings.Join(names, ", "))
}

// canceled is a context that has ended.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// pageAddress writes localhost for a loopback address: every browser treats pages of localhost as secure.
func pageAddress(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if ok && (t.IP.IsLoopback() || t.IP.IsUnspecified()) {
		return fmt.Sprintf("localhost:%d", t.Port)
	}
	return a.String()
}

// hostNames are the names and addresses that a server answers to which listens on host. On a loopback address these are
// the ones of this machine alone; on others, all addresses and the name of the machine: a server does not know by which
// address it is reached from outside.
func hostNames(host string) (names []string, anyAddress bool) {
	names = []string{"localhost", "127.0.0.1", "::1", host}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return names, false
	}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name, name+".local")
	}
	names = append(names, "host.docker.internal", "host.containers.internal") // this machine, as containers on it name it
	return slices.DeleteFunc(names, func(n string) bool { return n == "" }), true
}

// newServer limits how long connections may do nothing. A response may take as long as it does.
func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
}

// serveUntil serves until ctx ends, and then lets the responses that are under way go on for a while.
func serveUntil(ctx context.Context, s *http.Server, l net.Listener, grace time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := s.Shutdown(end); err != nil {
		return s.Close()
	}
	return nil
}

// referenceServer computes logits on the CPU, one request at a time. The last model stays open.
type referenceServer struct {
	models func() []web.Model
	mu     sync.Mutex
	name   string
	open   *source.Model
}

func (s *referenceServer) logits(ctx context.Context, name string, tokens []int32) ([]float32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.use(name); err != nil {
		return nil, err
	}
	r, err := engine.NewReference(s.open, engine.Options{Context: len(tokens)})
	if err != nil {
		return nil, err
	}
	var all []float32
	err = r.Forward(ctx, tokens, 0, func(_ int, logits []float32) error {
		all = append(all, logits...)
		return nil
	})
	return all, err
}

// use opens a model, and closes the previous one.
func (s *referenceServer) use(name string) error {
	if s.open != nil && s.name == name {
		return nil
	}
	for _, m := range s.models() {
		if m.Name != name {
			continue
		}
		next, err := source.Open(m.Dir)
		if err != nil {
			return err
		}
		if s.open != nil {
			err = s.open.Close()
		}
		s.name, s.open = name, next
		return err
	}
	return errors.Join(fs.ErrNotExist, fmt.Errorf("no model %q", name))
}
