package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
	"github.com/llama-webgpu/llama-webgpu/llm/server"
	"github.com/llama-webgpu/llama-webgpu/web"
)

// apiFlags are those of the interface for programs.
var apiFlags = []cli.Flag{
	&cli.BoolFlag{Name: "no-api", Usage: "only serve page and bundles", Category: "API", DisableDefaultText: true},
	&cli.StringFlag{Name: "api-key", Usage: "`KEY`: clients must send it, as Authorization: Bearer KEY", EnvVars: []string{"LLAMA_WEBGPU_API_KEY"}, Category: "API"},
	&cli.StringSliceFlag{Name: "cors", Usage: "`ORIGIN`: pages from there may use the API; *: all pages (repeatable)", Category: "API"},
	&cli.StringSliceFlag{Name: "alias", Usage: "`NAME`: another name of the model, or MODEL=NAME if there are several (repeatable)", Category: "API"},
	&cli.IntFlag{Name: "parallel", Aliases: []string{"np"}, Value: 4, Usage: "generate up to `N` texts at once; the CPU engine generates one", Category: "API"},
	&cli.IntFlag{Name: "queue", Value: 64, Usage: "let up to `N` texts wait, and answer others with 429", Category: "API"},
	&cli.IntFlag{Name: "max-seq-len", Aliases: []string{"c"}, Usage: "`N`: context length: prompt and text have at most N tokens", DefaultText: "what the model was trained for, at most 4096", Category: "API"},
}

var apiBounds = []cmdline.Bound{
	{Name: "parallel", Least: 1, Most: maxBatch},
	{Name: "queue", Most: 1 << 20},
	{Name: "max-seq-len", Least: 1, Most: 1 << 20},
	{Name: "max-loaded", Most: 1 << 10},
}

// newAPI makes the interface for programs, nil: it is not wanted.
func newAPI(c *cli.Context, l *library, memory uint64) (*server.Server, error) {
	if c.Bool("no-api") {
		return nil, nil
	}
	o := server.Options{
		Most: c.Int("max-loaded"), Memory: memory, Keep: c.Duration("keep-alive"), Queue: c.Int("queue"),
		Key: c.String("api-key"), CORS: c.StringSlice("cors"), Pooling: llm.Pooling(c.String("pooling")),
		Slots: c.String("slot-save-path"),
	}
	aliases, err := aliasesOf(c.StringSlice("alias"), l.models())
	if err != nil {
		return nil, err
	}
	var alone sync.Once
	o.Models = func() (models []server.Model) {
		for _, b := range l.list() {
			models = append(models, server.Model{
				ID: b.Name, Aliases: aliases[b.Name], Print: b.ID, Created: b.Created, Bytes: uint64(b.Bytes),
				Load: func(ctx context.Context) (*server.Loaded, error) { return loadServed(ctx, c, b.Model, &alone) },
			})
		}
		return models
	}
	return server.New(o), nil
}

// aliasesOf reads --alias.
func aliasesOf(flags []string, models []web.Model) (map[string][]string, error) {
	all := map[string][]string{}
	for _, text := range flags {
		model, alias, several := strings.Cut(text, "=")
		if !several {
			if len(models) > 1 {
				return nil, cmdline.Usagef("--alias %s: there are several models: want MODEL=NAME", cmdline.Quoted(text))
			}
			model, alias = models[0].Name, text
		}
		if !slices.ContainsFunc(models, func(m web.Model) bool { return m.Name == model }) {
			return nil, cmdline.Usagef("--alias %s: there is no model %s", cmdline.Quoted(text), model)
		}
		all[model] = append(all[model], alias)
	}
	return all, nil
}

// loadServed loads a model for the server; alone is done when it is said that --parallel has no effect.
func loadServed(ctx context.Context, c *cli.Context, m web.Model, alone *sync.Once) (*server.Loaded, error) {
	begun := time.Now()
	e, err := engineOptions(c, deviceOf(c))
	if err != nil {
		return nil, err
	}
	files, err := openFiles(m.Dir)
	if err != nil {
		return nil, err
	}
	o := llm.Options{
		Device: e.Device, GPU: e.GPU, Kernels: e.Kernels, Context: c.Int("max-seq-len"), Sequences: c.Int("parallel"), KVBits: e.KVBits,
		Tuning: e.Tuning, Log: e.Log,
	}
	if e.Device == engine.CPU {
		o.Sequences = 1
		if n := c.Int("parallel"); c.IsSet("parallel") && n > 1 {
			alone.Do(func() { slog.Warn("the CPU engine generates one text at a time, others wait", "parallel", n) })
		}
	}
	model, err := files.Load(ctx, o)
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	slog.Info("loaded", "model", m.Name, "device", model.String(), "seconds", time.Since(begun).Seconds())
	in := &server.Loaded{
		Model:    model,
		Template: func(vars map[string]any) (llm.Template, error) { return files.Template("", vars) },
		Close:    func() error { return errors.Join(model.Close(), files.Close()) },
	}
	if dev := model.Device(); dev != nil {
		in.Failed = dev.Failed
		in.Warmed = func(kernels int, took time.Duration, err error) {
			if err != nil {
				slog.Warn("kernels of larger batches are compiled when they are needed", "model", m.Name, "error", err)
				return
			}
			slog.Info("kernels of larger batches compiled", "model", m.Name, "kernels", kernels, "seconds", took.Seconds())
		}
	}
	return in, nil
}
