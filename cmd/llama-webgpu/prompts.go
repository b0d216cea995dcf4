package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

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
		text, err := readText(c, "prompt-file")
		return []string{withoutEnd(text)}, err
	case c.IsSet("prompts"):
		return promptList(c, c.String("prompts"))
	case c.IsSet("prompt"):
		texts := c.StringSlice("prompt")
		if len(texts) == 1 && texts[0] == "-" {
			data, err := io.ReadAll(c.App.Reader)
			return []string{withoutEnd(string(data))}, err
		}
		return texts, nil
	case talks(c):
		return nil, nil
	}
	return nil, usagef("infer: --prompt is missing; see llama-webgpu infer --help")
}

// readFile reads the file that a flag names.
func readFile(c *cli.Context, flag string) ([]byte, error) {
	path := c.String(flag)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w", flag, quoted(path), errors.Unwrap(err))
	}
	return data, nil
}

// readText reads the text file that a flag names, without the mark that some editors put before it.
func readText(c *cli.Context, flag string) (string, error) {
	data, err := readFile(c, flag)
	if err != nil {
		return "", err
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if err := checkText(data); err != nil {
		return "", fmt.Errorf("--%s %s: %w", flag, quoted(c.String(flag)), err)
	}
	return string(data), nil
}

// checkText reports bytes that are no text in UTF-8.
func checkText(data []byte) error {
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return errors.New("is text in UTF-16: save it as UTF-8")
	case bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data):
		return errors.New("is not text in UTF-8")
	}
	return nil
}

// withoutEnd returns a text without the end of its last line, which is not part of it.
func withoutEnd(text string) string { return strings.TrimSuffix(text, "\n") }

// promptList reads prompts: one a line, or, from a file called .jsonl, one in each JSON value: a string or
// an object with a "prompt". Empty lines are none.
func promptList(c *cli.Context, path string) ([]string, error) {
	var text string
	var err error
	if path == "-" {
		var data []byte
		data, err = io.ReadAll(c.App.Reader)
		text = string(data)
	} else {
		text, err = readText(c, "prompts")
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
