package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
)

const listAdaptersName = "list-adapters"

func listAdaptersFlag(category string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: listAdaptersName, Usage: "list the GPU adapters and exit", Category: category, DisableDefaultText: true}
}

var adaptersCommand = &cli.Command{
	Name:     "adapters",
	Category: "This program",
	Usage:    "list the GPU adapters, best first",
	Description: `For other commands, give --adapter the number, or a part of the name that only one adapter has.

Example:

  llama-webgpu adapters
  llama-webgpu infer out --adapter llvmpipe --prompt "It was"`,
	Flags: []cli.Flag{engineFlag("What to list"), libraryFlag("What to list"), jsonFlag("print the adapters as JSON")},
	Action: func(c *cli.Context) error {
		if err := cmdline.Check(c, nil); err != nil {
			return err
		}
		return listAdapters(c)
	},
}

// adapterJSON is how an adapter is printed.
type adapterJSON struct {
	Index   int    `json:"index"`
	Name    string `json:"name"`
	Driver  string `json:"driver"`
	Backend string `json:"backend"`
	Type    string `json:"type"`
	Engine  string `json:"engine"`
	Library string `json:"library,omitempty"`
}

func newAdapterJSON(a gpu.AdapterInfo) *adapterJSON {
	return &adapterJSON{a.Index, a.Name, a.Driver, a.Backend, a.Type, a.Engine, a.Library}
}

func listAdapters(c *cli.Context) error {
	adapters, err := gpu.Adapters(selected(c))
	if err != nil {
		return noGPU(c, err)
	}
	if c.Bool("json") {
		list := []*adapterJSON{}
		for _, a := range adapters {
			list = append(list, newAdapterJSON(a))
		}
		return cmdline.PrintJSON(c, list)
	}
	for _, a := range adapters {
		fmt.Fprintf(stdout(c), "%d  %s\n", a.Index, a)
	}
	fmt.Fprintf(stdout(c), "engine: %s\n", engineOf(adapters[0]))
	return nil
}

// engineOf names the engine that drives an adapter, and its library.
func engineOf(a gpu.AdapterInfo) string {
	if a.Library != "" {
		return a.Engine + ", " + a.Library
	}
	return a.Engine
}

// adapterFlag chooses a GPU.
func adapterFlag(category, before string) *cli.StringFlag {
	return &cli.StringFlag{
		Name: "adapter", Usage: "`NUMBER`: " + before + "GPU adapter: its number in llama-webgpu adapters, or a part of its name", DefaultText: "the best", Category: category,
	}
}

// engineVariable is the environment variable that stands for --engine.
const engineVariable = "LLAMA_WEBGPU_ENGINE"

// engineFlag and libraryFlag choose what drives the GPU.
func engineFlag(category string) *cli.StringFlag {
	return &cli.StringFlag{
		Name: "engine", Usage: "`NAME`: what drives the GPU: builtin, or dawn, a library with Chrome's WebGPU", DefaultText: "dawn where there is such a library, else builtin",
		EnvVars: []string{engineVariable}, Category: category,
	}
}

func libraryFlag(category string) *cli.StringFlag {
	return &cli.StringFlag{
		Name: "webgpu", Usage: "`PATH`: the Dawn library to use", DefaultText: "what " + gpu.LibraryVariable + " names; else the one beside the program or in " + gpu.LibraryDir(),
		Category: category,
	}
}

// kernelsFlag chooses the kernels for matrix products: those of single tokens or, with matrix, those of prompts.
func kernelsFlag(category string) *cli.StringFlag {
	return &cli.StringFlag{
		Name: "kernels", Value: tune.VariantsAuto, Category: category,
		Usage: "`NAME`: kernels for matrix products: auto (the fastest that compute the right result), baseline, " + strings.Join(tune.VariantNames(), ", "),
	}
}

// selected returns what the flags say of the GPU.
func selected(c *cli.Context) gpu.Select {
	return gpu.Select{Adapter: c.String("adapter"), Engine: c.String("engine"), Library: c.String("webgpu")}
}

// openGPU opens the GPU that --adapter chooses.
func openGPU(c *cli.Context) (*gpu.Device, error) {
	dev, err := gpu.Open(c.Context, gpu.Options{Select: selected(c), Log: slog.Default()})
	return dev, noGPU(c, err)
}

// noGPU adds to an error that no GPU can be used what helps.
func noGPU(c *cli.Context, err error) error {
	has := cmdline.FindFlag(c.Command.Flags, "device") != nil
	none := errors.Is(err, gpu.ErrNoGPU) || errors.Is(err, gpu.ErrNoAdapter) && c.String("adapter") == ""
	if none && has {
		return fmt.Errorf("%w; or use --device cpu", err)
	}
	return err
}
