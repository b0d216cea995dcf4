package main

import (
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
)

// deviceFlags say where a model runs.
func deviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "device", Usage: "`DEVICE`: where to run the bundle: gpu or cpu", DefaultText: "gpu, but cpu where the only adapter is software", Category: "Device"},
		adapterFlag("Device", ""),
		engineFlag("Device"),
		libraryFlag("Device"),
		kernelsFlag("Device"),
		&cli.StringFlag{Name: "kv", Value: "f16", Usage: "`TYPE`: type of the cached keys and values: f16 or f32", Category: "Device"},
		tuningFlag("Device"),
		listAdaptersFlag("Device"),
	}
}

// checkDevice reports wrong values of deviceFlags.
func checkDevice(c *cli.Context) error {
	if c.IsSet("device") {
		if err := cmdline.OneOf(c, "device", "gpu", "cpu"); err != nil {
			return err
		}
	}
	return cmdline.OneOf(c, "kv", "f16", "f32")
}

// deviceOf returns where a bundle is to run. Unless flags say that it is a GPU, or which one, the CPU engine takes the
// place of an adapter that is software: both are this processor, and the engine is many times as fast. It says so.
func deviceOf(c *cli.Context) engine.Device {
	if c.IsSet("device") {
		return engine.Device(c.String("device"))
	}
	for _, name := range []string{"adapter", "engine", "webgpu", "kernels", "tuning"} {
		if c.IsSet(name) {
			return engine.GPU
		}
	}
	a, err := gpu.FindAdapter(selected(c))
	if err != nil || !a.OnCPU() { // an error comes back where the GPU is opened
		return engine.GPU
	}
	if !c.Bool(quietFlag.Name) {
		fmt.Fprintf(c.App.ErrWriter, "The adapter (%s) is software: running on the CPU engine (%s); --device gpu forces the adapter.\n", a.Name, engine.CPUName())
	}
	return engine.CPU
}

// engineOptions returns what deviceFlags say, but for where. The error is that of a --tuning file that is not there.
func engineOptions(c *cli.Context, device engine.Device) (engine.Options, error) {
	o := engine.Options{Device: device, GPU: selected(c), Tuning: c.String("tuning"), Kernels: c.String("kernels"), Log: slog.Default()}
	if c.String("kv") == "f32" {
		o.KVBits = 32
	}
	if o.Device == engine.CPU {
		return o, nil
	}
	return o, checkTuning(c)
}

// loadingBar returns what shows how far the loading of a model is, and what ends it.
func loadingBar(c *cli.Context, device engine.Device) (progress func(done, total int64), end func()) {
	what, b := "loading", cmdline.Bar{}
	if device == engine.CPU {
		what = "checking"
	}
	begun := false
	return func(done, total int64) {
		if !begun {
			begun, b = true, newBar(c, what, total, true)
		}
		b.Set(done, "")
	}, func() { b.End() }
}
