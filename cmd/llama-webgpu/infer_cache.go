package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/format/outdir"
	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

// promptCacheFlag names the file that keeps what was computed of a text.
var promptCacheFlag = &cli.StringFlag{Name: "prompt-cache", Usage: "`FILE`: save what was computed for prompt and text to this file, and continue from it next time", Category: "Text"}

// checkPromptCache reports a --prompt-cache for more than one text, or where no file can be written: before the text, not after it.
func checkPromptCache(c *cli.Context, prompts int) error {
	path := c.String("prompt-cache")
	if path == "" {
		return nil
	}
	if prompts > 1 || c.IsSet("prompts") || talks(c) {
		return cmdline.Usagef("--prompt-cache: want one prompt")
	}
	if err := outdir.CheckWritable(filepath.Dir(path)); err != nil {
		return fmt.Errorf("--prompt-cache: %w", err)
	}
	return nil
}

// restore goes on from what --prompt-cache has kept, if the file is there.
func (i *inference) restore(s *llm.Session) error {
	path := i.c.String("prompt-cache")
	if path == "" {
		return nil
	}
	_, err := s.Restore(i.c.Context, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, llm.ErrSaved):
		return fmt.Errorf("%w; name another file with --prompt-cache, or delete this one", err)
	}
	return err
}

// save keeps what was computed, also of a text that was interrupted.
func (i *inference) save(s *llm.Session) error {
	path := i.c.String("prompt-cache")
	if path == "" {
		return nil
	}
	_, err := s.Save(context.WithoutCancel(i.c.Context), path)
	return err
}
