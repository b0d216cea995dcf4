package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/gpu"
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
	Description: `Other commands take the number as --adapter, or any part of the name that fits one adapter only.

Example:

  llama-webgpu adapters
  llama-webgpu infer out --adapter llvmpipe --prompt "It was"`,
	Flags: []cli.Flag{jsonFlag("print the adapters as JSON")},
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
}

func newAdapterJSON(a gpu.AdapterInfo) *adapterJSON {
	return &adapterJSON{a.Index, a.Name, a.Driver, a.Backend, a.Type}
}

func listAdapters(c *cli.Context) error {
	adapters, err := gpu.Adapters(gpu.Options{})
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
	return nil
}

// adapterFlag chooses a GPU.
func adapterFlag(category, before string) *cli.StringFlag {
	return &cli.StringFlag{
		Name: "adapter", Usage: "`NUMBER`: " + before + "GPU adapter: its number in llama-webgpu adapters, or a part of its name", DefaultText: "the best", Category: category,
	}
}

// openGPU opens the GPU that --adapter chooses.
func openGPU(c *cli.Context) (*gpu.Device, error) {
	dev, err := gpu.Open(c.Context, gpu.Options{Adapter: c.String("adapter"), Log: slog.Default()})
	return dev, noGPU(c, err)
}

// noGPU adds to an error that no GPU can be used what helps.
func noGPU(c *cli.Context, err error) error {
	has := cmdline.FindFlag(c.Command.Flags, "device") != nil
	switch {
	case errors.Is(err, gpu.ErrNoGPU) && has:
		return fmt.Errorf("%w: build it with cgo, or use --device cpu", err)
	case errors.Is(err, gpu.ErrNoGPU):
		return fmt.Errorf("%w: build it with cgo", err)
	case errors.Is(err, gpu.ErrNoAdapter) && has && c.String("adapter") == "":
		return fmt.Errorf("%w; or use --device cpu", err)
	}
	return err
}
