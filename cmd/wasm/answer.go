//go:build js

package main

import (
	"fmt"
	"syscall/js"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
	"github.com/llama-webgpu/llama-webgpu/llm/tools"
)

// answering is how the answer to a conversation is taken apart.
type answering struct {
	format  *tools.Format
	choice  tools.Choice
	parsing tools.Parsing
	key     string // tells conversations apart whose answers are held to different forms
}

// answer (conversation, options) continues a conversation as generate does a text, and takes the answer apart. The conversation
// is {messages, tools, mode, name, multi, thoughts, key, render}:
//
//   - messages, a list of {role, content, reasoning, callId, name, calls}, calls one of {id, name, arguments}: JSON;
//   - tools, a list of {name, description, parameters, strict}, parameters a JSON schema as text, or null;
//   - mode ("auto", "none" or "required"), name (of the one function that is required, or "") and multi (several calls may come);
//   - thoughts: whether they come apart from the text;
//   - key, a text that differs where tools, mode, name, multi or thoughts do;
//   - render (messages, tools, probing), which renders the chat template: messages and tools are JSON, tools "" if there are none.
//     While the template is probed for what it can write, probing is true. It returns the text, or {failure}.
//
// The pieces that next returns have parts instead of text: a list of {content}, {reasoning} and {index, id, name, arguments}, of
// which id and name are only in the first part of a call.
func (s *session) answer(args []js.Value) (any, error) {
	in, o := args[0], args[1]
	a := &answering{format: s.model.format(in.Get("render"))}
	if err := a.read(in); err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalid, err)
	}
	text, err := a.format.Prompt(messagesOf(in.Get("messages")), a.parsing.Tools, renderer(in.Get("render"), false))
	if err != nil {
		return nil, err
	}
	a.parsing.Opened = a.format.Opened(text)
	a.key = in.Get("key").String()
	if a.parsing.Opened {
		a.key += "opened"
	}
	prompt, err := s.llm.Vocabulary().Prompt(text, false)
	if err != nil {
		return nil, err
	}
	return s.begin(prompt, o, a)
}

// format returns how the model writes calls and thoughts, as its chat template tells.
func (m *model) format(render js.Value) *tools.Format {
	if m.writes == nil {
		m.writes = tools.Detect(m.bundle.Manifest.Tokenizer.ChatTemplate)
		m.writes.Probe(renderer(render, true))
	}
	return m.writes
}

// renderer has JavaScript render the chat template.
func renderer(render js.Value, probing bool) tools.Render {
	return func(messages []llm.Message, offered string) (string, error) {
		text := render.Invoke(written(messages), offered, probing)
		if text.Type() != js.TypeString {
			return "", &thrown{text.Get("failure")}
		}
		return text.String(), nil
	}
}

// read reads what the model may call.
func (a *answering) read(in js.Value) error {
	a.choice = tools.Choice{Mode: tools.Mode(in.Get("mode").String()), Name: in.Get("name").String(), Multi: in.Get("multi").Bool()}
	a.parsing.Thoughts = in.Get("thoughts").Bool()
	list := in.Get("tools")
	for i := range list.Length() {
		v := list.Index(i)
		t := tools.Tool{Name: v.Get("name").String(), Description: v.Get("description").String(), Strict: v.Get("strict").Bool()}
		if p := v.Get("parameters"); p.Type() == js.TypeString {
			t.Parameters = []byte(p.String())
		}
		if err := t.Check(); err != nil {
			return fmt.Errorf("tools[%d].function: %w", i, err)
		}
		a.parsing.Tools = append(a.parsing.Tools, t)
	}
	if a.choice.Mode == tools.None {
		a.parsing.Tools = nil
	}
	return nil
}

// hold puts the form of calls and thoughts around that of the text. nil is any form.
func (a *answering) hold(content *grammar.Grammar, v *llm.Vocabulary) (*grammar.Grammar, error) {
	return a.format.Grammar(tools.Holding{
		Tools: a.parsing.Tools, Choice: a.choice, Content: content, Special: v.Special, Opened: a.parsing.Opened && a.parsing.Thoughts,
	})
}

// messagesOf reads a conversation.
func messagesOf(list js.Value) []llm.Message {
	all := make([]llm.Message, list.Length())
	for i := range all {
		m := list.Index(i)
		text := func(name string) string { return m.Get(name).String() }
		all[i] = llm.Message{Role: text("role"), Content: text("content"), Reasoning: text("reasoning"), CallID: text("callId"), Name: text("name")}
		calls := m.Get("calls")
		for j := range calls.Length() {
			c := calls.Index(j)
			all[i].Calls = append(all[i].Calls, llm.Call{ID: c.Get("id").String(), Name: c.Get("name").String(), Arguments: c.Get("arguments").String()})
		}
	}
	return all
}

// written writes a conversation as JSON, in which messages are as templates want to have them.
func written(messages []llm.Message) string {
	text := "["
	for i, m := range messages {
		if i > 0 {
			text += ", "
		}
		text += `{"role": ` + strict.Quote(m.Role) + `, "content": ` + strict.Quote(m.Content)
		for j, c := range m.Calls {
			if j == 0 {
				text += `, "tool_calls": [`
			} else {
				text += ", "
			}
			text += `{"id": ` + strict.Quote(c.ID) + `, "type": "function", "function": {"name": ` + strict.Quote(c.Name) + `, "arguments": ` + c.Arguments + "}}"
		}
		if len(m.Calls) > 0 {
			text += "]"
		}
		if m.Reasoning != "" && m.Content == "" { // gpt-oss refuses both
			text += `, "thinking": ` + strict.Quote(m.Reasoning)
		}
		for _, f := range [][2]string{{"reasoning_content", m.Reasoning}, {"tool_call_id", m.CallID}, {"name", m.Name}} {
			if f[1] != "" {
				text += `, "` + f[0] + `": ` + strict.Quote(f[1])
			}
		}
		text += "}"
	}
	return text + "]"
}

// partsOf are parts of an answer for JavaScript.
func partsOf(deltas []tools.Delta) []any {
	list := make([]any, len(deltas))
	for i, d := range deltas {
		switch {
		case d.Call != nil:
			part := map[string]any{"index": d.Call.Index, "arguments": d.Call.Arguments}
			if d.Call.ID != "" {
				part["id"], part["name"] = d.Call.ID, d.Call.Name
			}
			list[i] = part
		case d.Reasoning != "":
			list[i] = map[string]any{"reasoning": d.Reasoning}
		default:
			list[i] = map[string]any{"content": d.Content}
		}
	}
	return list
}
