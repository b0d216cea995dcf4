package main

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/hub"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
)

var fetchCommand = &cli.Command{
	Name:      "fetch",
	Category:  "Models",
	Usage:     "download a model from the Hugging Face hub",
	UsageText: "llama-webgpu fetch OWNER/NAME[:FORMAT][@REVISION] [options]",
	Description: `Downloads those files of a model that quantize and verify read, into the cache that Hugging Face's own programs
use, and prints the path to give to quantize or verify. What is in the cache is not downloaded again, an interrupted
download continues where it stopped, and each file is checked against its hash.

If a repository has several GGUF files, FORMAT is a part of the name of the one to download. REVISION is a branch, a
tag or a commit. HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE work as in Hugging Face's programs.

Examples:

  llama-webgpu fetch HuggingFaceTB/SmolLM2-135M-Instruct --local-dir smollm2
  llama-webgpu quantize "$(llama-webgpu fetch HuggingFaceTB/SmolLM2-135M-Instruct)" --output-dir out --format int4
  llama-webgpu fetch bartowski/SmolLM2-135M-Instruct-GGUF:Q8_0
  llama-webgpu fetch https://huggingface.co/openai-community/gpt2 --revision 607a30d783dfa663caf39e06633721c8d4cfcd7e`,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "`NAME`: owner/name, or the address of the model's page (required)"},
		&cli.StringFlag{Name: "revision", Usage: "`REVISION`: branch, tag or commit (default: main)"},
		&cli.StringFlag{Name: "local-dir", Usage: "`DIR`: put the files there as well (without using disk space twice, where the file system allows)"},
		&cli.StringFlag{Name: "cache-dir", Usage: "`DIR`: download into this cache (default: that of Hugging Face's programs)"},
		&cli.BoolFlag{Name: "offline", Usage: "only look in the cache", DisableDefaultText: true},
		jsonFlag("print path, commit and files as JSON"),
		quietFlag,
	},
	Action: fetch,
}

func fetch(c *cli.Context) error {
	if err := cmdline.Check(c, []string{"model"}, "model"); err != nil {
		return err
	}
	name, err := fetchName(c)
	if err != nil {
		return err
	}
	client, err := hub.FromEnvironment()
	if err != nil {
		return err
	}
	if dir := c.String("cache-dir"); dir != "" {
		client.Cache = dir
	}
	client.Offline = client.Offline || c.Bool("offline")
	var bar cmdline.Bar
	begun := false
	client.Progress = func(done, total int64) {
		if !begun {
			begun, bar = true, newBar(c, "downloading", total, true)
			bar.From(done)
		}
		bar.Set(done, "")
	}
	s, err := client.Fetch(c.Context, name)
	bar.End()
	if dir := c.String("local-dir"); dir != "" && err == nil {
		err = s.PutInto(dir)
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		e := json.NewEncoder(stdout(c))
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	_, err = fmt.Fprintln(stdout(c), s.Path)
	return err
}

// fetchName reads the name and --revision.
func fetchName(c *cli.Context) (hub.Name, error) {
	name, err := hub.ParseName(c.String("model"))
	if err == nil && c.IsSet("revision") {
		if name.Revision != "" && name.Revision != c.String("revision") {
			return name, cmdline.Usagef("fetch: the revision is given twice, as %q and as %q", name.Revision, c.String("revision"))
		}
		name.Revision = ""
		name, err = hub.ParseName(name.String() + "@" + c.String("revision"))
	}
	if err != nil {
		return name, cmdline.Usagef("fetch: %v", err)
	}
	return name, nil
}
