package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/internal/release"
)

// version is that of the program.
const version = release.Version

var versionCommand = &cli.Command{
	Name:     "version",
	Category: "This program",
	Usage:    "print version, platform, and what drives the GPU",
	Description: `Example:

  llama-webgpu version`,
	Action: func(c *cli.Context) error {
		if err := cmdline.Check(c, nil); err != nil {
			return err
		}
		fmt.Fprintf(stdout(c), "llama-webgpu %s%s, %s %s/%s, %s\n", version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH, gpuSupport())
		return nil
	},
}

// gpuSupport says which engine drives a GPU, or why none does.
func gpuSupport() string {
	a, err := gpu.FindAdapter(gpu.Select{Engine: os.Getenv(engineVariable)})
	switch {
	case errors.Is(err, gpu.ErrNoGPU):
		return "without a GPU (built without cgo, and there is no Dawn library)"
	case err != nil:
		return fmt.Sprintf("without a GPU (%v)", err)
	}
	return fmt.Sprintf("with WebGPU (%s)", engineOf(a))
}

// revision names the commit that the program was built from, where the build knows it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return fmt.Sprintf(" (%.12s)", s.Value)
		}
	}
	return ""
}
