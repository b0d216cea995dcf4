package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/gpu"
)

const listAdaptersName = "list-adapters"

func listAdaptersFlag(category string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: listAdaptersName, Usage: "list the GPU adapters and leave", Category: category, DisableDefaultText: true}
}

var adaptersCommand = &cli.Command{
	Name:     "adapters",
	Category: "This program",
	Usage:    "list the GPU adapters, best first",
	Description: `The number, or a part of the name or driver, chooses an adapter in verify and infer.

Example:

  llama-webgpu adapters
  llama-webgpu infer --adapter llvmpipe --model out --prompt "It was"`,
	Flags: []cli.Flag{jsonFlag("print the adapters as JSON")},
	Action: func(c *cli.Context) error {
		if err := check(c); err != nil {
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
	adapters, err := gpu.Adapters()
	if err != nil {
		return noGPU(err)
	}
	if c.Bool("json") {
		list := []*adapterJSON{}
		for _, a := range adapters {
			list = append(list, newAdapterJSON(a))
		}
		return printJSON(c, list)
	}
	for _, a := range adapters {
		fmt.Fprintf(stdout(c), "%d  %s\n", a.Index, a)
	}
	return nil
}

// noGPU adds to an error that no GPU can be used what helps.
func noGPU(err error) error {
	switch {
	case errors.Is(err, gpu.ErrNoGPU):
		return fmt.Errorf("%w: build it with cgo, or use --device cpu", err)
	case errors.Is(err, gpu.ErrNoAdapter):
		return fmt.Errorf("%w; or use --device cpu", err)
	}
	return err
}
