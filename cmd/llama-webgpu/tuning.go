package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm/engine"
)

func tuningFlag(category string) *cli.StringFlag {
	return &cli.StringFlag{
		Name: "tuning", Usage: "`FILE`: what llama-webgpu tune has found; off: use none", DefaultText: "tuning.json in the user's cache directory",
		EnvVars: []string{tuningVariable}, Category: category,
	}
}

// tuningVariable is the environment variable that stands for --tuning.
const tuningVariable = "LLAMA_WEBGPU_TUNING"

// tuningPath returns the file that holds what tune has found, "" if there is to be none.
func tuningPath(c *cli.Context) (string, error) {
	switch path := c.String("tuning"); path {
	case engine.TuningOff:
		return "", nil
	case "":
		return engine.DefaultTuningPath()
	default:
		return path, nil
	}
}

// checkTuning reports a file that --tuning names and that is not there. One that the environment names may come later.
func checkTuning(c *cli.Context) error {
	path := c.String("tuning")
	if !c.IsSet("tuning") || path == "" || path == engine.TuningOff || path == os.Getenv(tuningVariable) {
		return nil
	}
	if !source.Exists(filepath.Dir(path), filepath.Base(path)) {
		return fmt.Errorf("--tuning %s: there is no such file: llama-webgpu tune writes it", cmdline.Quoted(path))
	}
	return nil
}
