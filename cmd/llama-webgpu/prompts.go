package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
)

// readPrompts returns the texts to continue, none if messages are read line by line.
func readPrompts(c *cli.Context) ([]string, error) {
	given := 0
	for _, name := range []string{"prompt", "prompt-file", "prompts"} {
		if c.IsSet(name) {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, cmdline.Usagef("infer: want one of --prompt, --prompt-file and --prompts")
	case c.IsSet("prompt-file"):
		text, err := cmdline.ReadText(c, "prompt-file")
		return []string{withoutEnd(text)}, err
	case c.IsSet("prompts"):
		return promptList(c, c.String("prompts"))
	case c.IsSet("prompt"):
		texts := c.StringSlice("prompt")
		if len(texts) == 1 && texts[0] == "-" {
			text, err := cmdline.ReadInput(c)
			return []string{withoutEnd(text)}, err
		}
		return texts, nil
	case talks(c):
		return nil, nil
	}
	return nil, cmdline.Usagef("infer: --prompt is missing (--prompt - reads standard input, --chat talks line by line); see llama-webgpu infer --help")
}

// withoutEnd returns a text without the end of its last line, which is not part of it.
func withoutEnd(text string) string { return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r") }

// promptList reads prompts: one a line, or, from a file called .jsonl, one in each JSON value: a string or
// an object with a "prompt". Empty lines are none.
func promptList(c *cli.Context, path string) ([]string, error) {
	var text string
	var err error
	if path == "-" {
		text, err = cmdline.ReadInput(c)
	} else {
		text, err = cmdline.ReadText(c, "prompts")
	}
	if err != nil {
		return nil, err
	}
	var list []string
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if strings.TrimSpace(line) == "" {
			continue
		}
		if strings.HasSuffix(path, ".jsonl") {
			if line, err = jsonPrompt(line); err != nil {
				return nil, fmt.Errorf("%s: line %d: %w", path, n, err)
			}
		}
		list = append(list, line)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: has no prompt", path)
	}
	return list, lines.Err()
}

// jsonPrompt returns the prompt in a line of JSON.
func jsonPrompt(line string) (string, error) {
	var text string
	if json.Unmarshal([]byte(line), &text) == nil {
		return text, nil
	}
	var object struct {
		Prompt *string `json:"prompt"`
	}
	if err := json.Unmarshal([]byte(line), &object); err != nil {
		return "", err
	}
	if object.Prompt == nil {
		return "", fmt.Errorf("want a string, or an object with a \"prompt\"")
	}
	return *object.Prompt, nil
}
