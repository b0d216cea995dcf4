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
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/web"
)

var serveCommand = &cli.Command{
	Name:      "serve",
	Category:  "Models",
	Usage:     "serve a bundle and a page that runs it in the browser",
	UsageText: "llama-webgpu serve DIR [options]",
	Description: `Serves the demo page, the JavaScript package that it uses, and the bundle in DIR, or the bundles in
the directories within DIR. The model computes in the browser, on its GPU: nothing leaves the machine
that the page runs on. For its parity check the page asks this program for logits of the CPU.

The server can be reached from this machine only, unless --host says otherwise; a browser on another
machine uses its GPU on https pages only.

Examples:

  llama-webgpu serve out
  llama-webgpu serve models --port 9000`,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`DIR`: bundle, or directory of bundles (required)"},
		&cli.StringFlag{Name: "host", Value: "127.0.0.1", Usage: "`HOST`: address to listen on"},
		&cli.IntFlag{Name: "port", Value: 8080, Usage: "`N`: port to listen on; 0: any that is free"},
		&cli.BoolFlag{Name: "no-reference", Usage: "do not compute logits for the page's parity check", DisableDefaultText: true},
	},
	Action: serve,
}

func serve(c *cli.Context) error {
	if err := cmp.Or(check(c, []string{"model"}, "model"), within(c, bound{name: "port", most: 65535, not: "0: any that is free"})); err != nil {
		return err
	}
	models, err := findBundles(c.String("model"))
	if err != nil {
		return err
	}
	page, err := web.Site(c.Context, func() {
		fmt.Fprintln(c.App.ErrWriter, "This program was built without the demo page: building it, which takes a minute or two the first time.")
	})
	if err != nil {
		return err
	}
	o := web.Options{Page: page, Models: models, Hosts: hostNames(c.String("host"))}
	if !c.Bool("no-reference") {
		o.Reference = (&referenceServer{models: models}).logits
	}
	l, err := net.Listen("tcp", net.JoinHostPort(c.String("host"), fmt.Sprint(c.Int("port"))))
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout(c), "%s; open http://%s\n", counted(len(models), "model"), pageAddress(l.Addr()))
	return serveUntil(c.Context, l, web.Handler(o))
}

// pageAddress writes localhost where it is that, because only then is every browser sure that the page is secure.
func pageAddress(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if ok && (t.IP.IsLoopback() || t.IP.IsUnspecified()) {
		return fmt.Sprintf("localhost:%d", t.Port)
	}
	return a.String()
}

// hostNames are those by which a server on a loopback address may be called; nil for any other address.
func hostNames(host string) []string {
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return []string{"localhost", "127.0.0.1", "::1", host}
	}
	return nil
}

// serveUntil serves until ctx ends, and then lets answers under way be finished.
func serveUntil(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := s.Shutdown(end); err != nil {
		return s.Close()
	}
	return nil
}

// findBundles returns the bundle in dir, or those in the directories within it.
func findBundles(dir string) ([]web.Model, error) {
	if source.Exists(dir, bundle.ManifestName) {
		m, err := describeBundle(dir)
		return []web.Model{m}, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, source.WrongKind(dir)
	}
	var models []web.Model
	named := map[string]bool{}
	for _, e := range entries {
		if sub := filepath.Join(dir, e.Name()); source.Exists(sub, bundle.ManifestName) {
			m, err := describeBundle(sub)
			if err != nil {
				return nil, err
			}
			for n := 2; named[m.Name]; n++ { // directories whose names differ only in what a path cannot have
				m.Name = fmt.Sprintf("%s-%d", pathName(filepath.Base(sub)), n)
			}
			named[m.Name] = true
			models = append(models, m)
		}
	}
	if len(models) == 0 {
		if found := hf.Recognize(dir); found.Kind != hf.OtherKind {
			return nil, source.WrongKind(dir)
		}
		return nil, fmt.Errorf("%s: no bundle: neither it nor a directory in it has a %s", dir, bundle.ManifestName)
	}
	return models, nil
}

// describeBundle reads what a page may ask for.
func describeBundle(dir string) (web.Model, error) {
	b, err := bundle.Open(dir)
	if err != nil {
		return web.Model{}, err
	}
	defer b.Close()
	abs, err := filepath.Abs(dir)
	if err != nil {
		return web.Model{}, err
	}
	m := web.Model{
		Name: pathName(filepath.Base(abs)), Title: filepath.Base(abs), Bytes: b.Manifest.Size(), Dir: abs,
		Files: []string{bundle.ManifestName},
	}
	for _, f := range b.Manifest.Files {
		m.Files = append(m.Files, f.Name)
	}
	if b.Manifest.Tokenizer.Size > 0 {
		m.Files = append(m.Files, bundle.VocabName)
	}
	return m, nil
}

// pathName makes a name that is one element of a URL's path and means nothing to ServeMux.
func pathName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			return r
		}
		return '_'
	}, name)
}

// referenceServer computes logits on the CPU, for one who asks at a time. The last model stays open.
type referenceServer struct {
	models []web.Model
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

// use opens a model, and closes the one before.
func (s *referenceServer) use(name string) error {
	if s.open != nil && s.name == name {
		return nil
	}
	for _, m := range s.models {
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
