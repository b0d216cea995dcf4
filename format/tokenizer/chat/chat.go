// Package chat turns a conversation into the text a model was trained to continue, by rendering
// the model's chat template: the Jinja template that stands as chat_template in
// tokenizer_config.json or alone in chat_template.jinja. It renders what transformers'
// apply_chat_template renders. It reads no files and makes no token ids.
package chat

import (
	"fmt"
	"maps"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer/chat/internal/jinja"
)

// Message is one turn of a conversation. Role is mostly system, user or assistant.
type Message struct {
	Role, Content string
}

// Template is a parsed chat template. It may be rendered concurrently.
type Template struct {
	parsed *jinja.Template
	vars   map[string]any
	now    func() time.Time // what strftime_now tells
}

// New parses a chat template. special has the texts of special tokens by name, bos_token and others; one that is not
// there is undefined in the template, as for a model without it. extra holds further variables, such as
// tools or enable_thinking, and overrides the others: nil, booleans, numbers, strings,
// slices, maps with string keys (taken in the order of their keys), or json.RawMessage (in the
// order written). An error names the line.
func New(template string, special map[string]string, extra map[string]any) (*Template, error) {
	parsed, err := jinja.Parse(template)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	vars := map[string]any{"tools": nil, "documents": nil}
	for name, text := range special {
		vars[name] = text
	}
	maps.Copy(vars, extra)
	return &Template{parsed, vars, time.Now}, nil
}

// Render renders the template for a conversation. With addGenerationPrompt the text ends with what
// begins the assistant's answer. What the template itself refuses, with raise_exception, is an
// error with its words.
func (t *Template) Render(messages []Message, addGenerationPrompt bool) (string, error) {
	list := make([]any, len(messages))
	for i, m := range messages {
		list[i] = jinja.Fields{{"role", m.Role}, {"content", m.Content}}
	}
	vars := map[string]any{"messages": list, "add_generation_prompt": addGenerationPrompt}
	maps.Copy(vars, t.vars)
	text, err := t.parsed.Render(vars, t.now())
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return text, nil
}
