package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
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
		return nil, usagef("infer: want one of --prompt, --prompt-file and --prompts")
	case c.IsSet("prompt-file"):
		data, err := os.ReadFile(c.String("prompt-file"))
		return []string{withoutEnd(data)}, err
	case c.IsSet("prompts"):
		return promptList(c, c.String("prompts"))
	case c.IsSet("prompt"):
		texts := c.StringSlice("prompt")
		if len(texts) == 1 && texts[0] == "-" {
			data, err := io.ReadAll(c.App.Reader)
			return []string{withoutEnd(data)}, err
		}
		return texts, nil
	case talks(c):
		return nil, nil
	}
	return nil, usagef("infer: --prompt is missing; see llama-webgpu infer --help")
}

// withoutEnd returns a text without the end of its last line, which is not part of it.
func withoutEnd(data []byte) string { return strings.TrimSuffix(string(data), "\n") }

// promptList reads prompts: one a line, or, from a file called .jsonl, one in each JSON value: a string or
// an object with a "prompt". Empty lines are none.
func promptList(c *cli.Context, path string) ([]string, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(c.App.Reader)
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	var list []string
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
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
