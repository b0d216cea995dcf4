package run

import (
	"cmp"
	_ "embed" // the story
	"fmt"
	"strconv"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// story is "A Case of Identity" from The Adventures of Sherlock Holmes by Arthur Conan Doyle,
// 1892, which is in the public domain.
//
//go:embed eval.txt
var story string

// storyName is what reports call the story.
const storyName = "A Case of Identity, Arthur Conan Doyle, 1892"

// Defaults of Text.
const (
	defaultWindows = 2
	defaultTokens  = 512
)

// LeastTokens is how many tokens a window must have for its second half to be scored.
const LeastTokens = 4

// TextError says what is wrong with the text that was given.
type TextError struct{ Err error }

func (e *TextError) Error() string { return "text: " + e.Err.Error() }
func (e *TextError) Unwrap() error { return e.Err }

// windows cuts the text into windows of a model's tokens.
func (t Text) windows(m *source.Model) ([][]int32, error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	size, most := t.size(m), m.Context()
	if size > most {
		return nil, &OptionError{Option: "window-tokens", Value: strconv.Itoa(size), Err: fmt.Errorf("the model was trained for %d", most)}
	}
	ids, err := tok.Encode(cmp.Or(t.Text, story), false)
	if err != nil {
		return nil, &TextError{err}
	}
	windows, err := verify.Windows(ids, tok.Begin(), size, max(0, cmp.Or(t.Windows, defaultWindows)))
	if err != nil && t.Text != "" {
		err = &TextError{err}
	}
	return windows, err
}

// size returns the number of tokens in a window.
func (t Text) size(m *source.Model) int { return cmp.Or(t.Tokens, min(defaultTokens, m.Context())) }
