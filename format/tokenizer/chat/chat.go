// Package chat turns a conversation into the text a model was trained to continue, by rendering
// the model's chat template: the Jinja template that stands as chat_template in
// tokenizer_config.json or alone in chat_template.jinja. It renders what transformers'
// apply_chat_template renders. It reads no files and makes no token ids.
package chat

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer/chat/internal/jinja"
)

// Message is one turn of a conversation. Role is mostly system, user, assistant or tool.
type Message struct {
	Role, Content string

	Calls     []Call // of the assistant
	Reasoning string // that led the assistant to Content or Calls
	CallID    string // of a tool: the call that Content is the result of
	Name      string // of that tool
}

// Call is a function that the assistant wants to be called. Arguments is a JSON object.
type Call struct {
	ID, Name  string
	Arguments json.RawMessage
}

// Template is a parsed chat template. It may be rendered concurrently.
type Template struct {
	source string
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
	return &Template{template, parsed, vars, time.Now}, nil
}

// Source returns the text of the template.
func (t *Template) Source() string { return t.source }

// Render renders the template for a conversation. With addGenerationPrompt the text ends with what
// begins the assistant's answer. What the template itself refuses, with raise_exception, is an
// error with its words.
func (t *Template) Render(messages []Message, addGenerationPrompt bool) (string, error) {
	list := make([]any, len(messages))
	for i, m := range messages {
		list[i] = m.fields()
	}
	vars := map[string]any{"messages": list, "add_generation_prompt": addGenerationPrompt}
	maps.Copy(vars, t.vars)
	text, err := t.parsed.Render(vars, t.now())
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return text, nil
}

// fields is the message as templates see it: with what it has, since some ask only whether there is a member.
func (m *Message) fields() jinja.Fields {
	f := jinja.Fields{{"role", m.Role}, {"content", m.Content}}
	if len(m.Calls) > 0 {
		calls := make([]any, len(m.Calls))
		for i, c := range m.Calls {
			function := jinja.Fields{{"name", c.Name}, {"arguments", c.Arguments}}
			calls[i] = jinja.Fields{{"id", c.ID}, {"type", "function"}, {"function", function}}
		}
		f = append(f, jinja.Fields{{"tool_calls", calls}}...)
	}
	if m.Reasoning != "" {
		f = append(f, jinja.Fields{{"reasoning_content", m.Reasoning}}...)
		if m.Content == "" { // gpt-oss refuses both
			f = append(f, jinja.Fields{{"thinking", m.Reasoning}}...)
		}
	}
	if m.CallID != "" {
		f = append(f, jinja.Fields{{"tool_call_id", m.CallID}}...)
	}
	if m.Name != "" {
		f = append(f, jinja.Fields{{"name", m.Name}}...)
	}
	return f
}
