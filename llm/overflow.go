package llm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/llama-webgpu/llama-webgpu/internal/option"
)

// Overflow says what happens where the context ends.
type Overflow string

// The choices. Where tokens are dropped, Stats.DroppedTokens counts them.
const (
	OverflowError    Overflow = "error"    // a prompt that is too long is an error, and a text ends with FinishLength; "" means the same
	OverflowTruncate Overflow = "truncate" // a prompt that is too long loses its oldest tokens, after the first Keep
	OverflowShift    Overflow = "shift"    // as truncate; and a text that reaches the end goes on without the older half of the tokens after the first Keep. The cached keys of the others are rotated to their new positions, if the model's layers allow it, or else computed anew
)

func (o *GenerateOptions) checkOverflow() error {
	if !slices.Contains([]Overflow{"", OverflowError, OverflowTruncate, OverflowShift}, o.Overflow) {
		return option.New("on-overflow", string(o.Overflow), errors.New("want error, truncate or shift"))
	}
	if o.Keep < NoTokens {
		return option.New("keep", strconv.Itoa(o.Keep), fmt.Errorf("want %d (none), 0 (the beginning and the system messages) or more", NoTokens))
	}
	return nil
}

// cuts reports whether tokens may be dropped.
func (o *GenerateOptions) cuts() bool {
	return o.Overflow == OverflowTruncate || o.Overflow == OverflowShift
}

// fits reports a sequence that is longer than the context.
func (m *Model) fits(tokens int) error {
	if over := tokens - m.context; over > 0 {
		return fmt.Errorf("%w: it has %d tokens, and the context %d: %d too many", ErrTooLong, tokens, m.context, over)
	}
	return nil
}

// cut makes a prompt fit into the context, and reports how many of its first tokens are to stay. A prompt that is cut
// leaves room for the tokens that are to be generated, as far as half of what is not kept.
func (m *Model) cut(prompt []int32, o *GenerateOptions) (short []int32, keep int, err error) {
	if !o.cuts() {
		return prompt, 0, m.fits(len(prompt))
	}
	switch keep = o.Keep; keep {
	case 0:
		keep = m.vocabulary.begins(prompt)
		if o.Overflow == OverflowShift {
			keep = max(1, keep) // so that the cache can be moved, see Session.move
		}
	case NoTokens:
		keep = 0
	}
	keep = min(keep, len(prompt))
	if keep > m.context/2 {
		return nil, 0, option.New("keep", strconv.Itoa(keep), fmt.Errorf("the context has %d tokens, of which at most half can be kept: %w", m.context, ErrTooLong))
	}
	if len(prompt) <= m.context {
		return prompt, keep, nil
	}
	room := min(max(0, o.most()-1), (m.context-keep)/2)
	tail := m.context - keep - room
	return slices.Concat(prompt[:keep], prompt[len(prompt)-tail:]), keep, nil
}

// begins reports how many tokens at the start of a prompt are those that the tokenizer puts before a text.
func (v *Vocabulary) begins(prompt []int32) int {
	var before []int32
	if v.Tokenizer != nil {
		before, _ = v.Tokenizer.Around()
	}
	if len(before) == 0 && v.BOS >= 0 {
		before = []int32{int32(v.BOS)}
	}
	if len(before) == 0 || len(prompt) < len(before) || !slices.Equal(before, prompt[:len(before)]) {
		return 0
	}
	return len(before)
}

// Opening reports how many tokens at the start of a conversation are the beginning and the system messages, for
// GenerateOptions.Keep. A template that cannot write system messages alone leaves the beginning.
func (v *Vocabulary) Opening(messages []Message, t Template) int {
	if t == nil {
		t = v.Template
	}
	all, err := v.Conversation(messages, t)
	if err != nil {
		return 0
	}
	n := slices.IndexFunc(messages, func(m Message) bool { return m.Role != "system" && m.Role != "developer" })
	if n <= 0 {
		return v.begins(all)
	}
	text, err := t.Render(messages[:n], false)
	if err != nil {
		return v.begins(all)
	}
	return v.Begins(all, text)
}

// Begins reports how many tokens at the start of a prompt are those of the text that it begins with, for
// GenerateOptions.Keep: what the tokenizer puts before a text, at least.
func (v *Vocabulary) Begins(prompt []int32, text string) int {
	opening, err := v.Tokenizer.Encode(text, false)
	if err != nil {
		return v.begins(prompt)
	}
	same := 0
	for same < min(len(opening), len(prompt)) && opening[same] == prompt[same] {
		same++
	}
	return max(same, v.begins(prompt))
}
