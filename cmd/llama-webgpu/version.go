package main

import (
	"errors"
	"fmt"
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
	Usage:    "print version, platform, and whether this build can use a GPU",
	Description: `Example:

  llama-webgpu version`,
	Action: func(c *cli.Context) error {
		if err := cmdline.Check(c, nil); err != nil {
			return err
		}
		gpus := "with WebGPU"
		if _, err := gpu.Adapters(gpu.Select{}); errors.Is(err, gpu.ErrNoGPU) {
			gpus = "without a GPU (built without cgo)"
		}
		fmt.Fprintf(stdout(c), "llama-webgpu %s%s, %s %s/%s, %s\n", version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH, gpus)
		return nil
	},
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
