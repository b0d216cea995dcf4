package llm

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/internal/option"
)

// Sampling says how the next token is chosen from the logits. The zero value always takes the likeliest one.
type Sampling = sample.Options

// Sampler chooses tokens as Sampling says. It has state: random numbers, and the last tokens for the repeat penalty.
type Sampler = sample.Sampler

// NewSampler returns a sampler. The error is an *OptionError.
func NewSampler(o Sampling) (*Sampler, error) {
	s, err := sample.New(o)
	if err != nil {
		return nil, &OptionError{Err: err}
	}
	return s, nil
}

// DefaultMaxTokens is the limit if GenerateOptions.MaxTokens is 0. With NoTokens nothing is computed at all.
const (
	DefaultMaxTokens = 256
	NoTokens         = -1
)

// GenerateOptions say how a prompt is continued, and for how long.
type GenerateOptions struct {
	Sampling  Sampling
	MaxTokens int // at most this many; 0: DefaultMaxTokens, NoTokens: none

	Stop       []string  // the text ends before any of these would appear in it; none may be empty
	StopTokens [][]int32 // … or before one of these sequences of tokens, beside the model's own Vocabulary.EOS

	Logprobs    bool // pieces have the probability of their token
	TopLogprobs int  // … and those of so many of the likeliest ones, at most MaxTopLogprobs

	// PromptLogprobs scores the prompt, too: the first piece has the probability of each of its tokens. All of it is computed then,
	// whatever the cache has.
	PromptLogprobs bool

	Show []string // special tokens whose names the text has, where others are left out of it

	Form *Form // the text is one of these; nil: any. A text that does not come to its end has FinishLength

	// Overflow says what happens to a prompt that is longer than the context, and to a text that reaches its end. Keep is
	// how many tokens of the prompt always stay, 0: what the tokenizer puts before a text, in Chat with the system
	// messages, and with OverflowShift the first token at least; NoTokens: none.
	Overflow Overflow
	Keep     int

	// OnPrompt, if not nil, is told after each chunk of a long prompt how many of its tokens the cache has. It must not block.
	OnPrompt func(done, total int)

	NoBOS    bool     // do not put before the prompt of Generate what the tokenizer puts before a text
	Template Template // for Chat, in place of the model's

	// Sampler, if not nil, is used instead of a new one made from Sampling: its random numbers and its history for the
	// repeat penalty continue from one text to the next. Of each prompt it sees the tokens that are not cached.
	Sampler *Sampler
}

// OptionError is a mistake in the options.
type OptionError = option.Error

// Validate reports the first option that is out of range, as an *OptionError.
func (o *GenerateOptions) Validate() error {
	if o.MaxTokens < NoTokens {
		return option.New("max-tokens", strconv.Itoa(o.MaxTokens), fmt.Errorf("want %d (none), 0 (%d) or more", NoTokens, DefaultMaxTokens))
	}
	if err := o.checkOverflow(); err != nil {
		return err
	}
	if o.TopLogprobs < 0 || o.TopLogprobs > MaxTopLogprobs {
		return option.New("top-logprobs", strconv.Itoa(o.TopLogprobs), fmt.Errorf("want 0 to %d", MaxTopLogprobs))
	}
	for _, s := range o.Stop {
		if s == "" {
			return option.New("stop", "", errors.New("must not be empty"))
		}
	}
	for _, s := range o.StopTokens {
		if len(s) == 0 {
			return option.New("stop-tokens", "", errors.New("a sequence must not be empty"))
		}
	}
	if err := o.Sampling.Validate(); err != nil {
		return &OptionError{Err: err}
	}
	return nil
}

// most reports how many tokens are generated at most.
func (o *GenerateOptions) most() int {
	switch o.MaxTokens {
	case 0:
		return DefaultMaxTokens
	case NoTokens:
		return 0
	}
	return o.MaxTokens
}
