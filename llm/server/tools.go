package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/tools"
)

// calling is what of a request says which functions the model may call, and what becomes of its thoughts.
type calling struct {
	Tools     json.RawMessage `json:"tools"`
	Choice    json.RawMessage `json:"tool_choice"`
	Parallel  *bool           `json:"parallel_tool_calls"`
	Reasoning string          `json:"reasoning_format"`
	Effort    string          `json:"reasoning_effort"`

	Functions    []toolFunction  `json:"functions"` // tools and tool_choice, as they were called first
	FunctionCall json.RawMessage `json:"function_call"`
}

// toolJSON is a function as a request has it; the Responses API has no function in it, but the fields of one.
type toolJSON struct {
	Type     string       `json:"type"`
	Function toolFunction `json:"function"`
	toolFunction
}

type toolFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      *bool           `json:"strict"`
}

// offered reads tools and tool_choice. Without tools there is nothing to choose.
func (q *calling) offered() (list []tools.Tool, c tools.Choice, err error) {
	var given []toolJSON
	if !isNull(q.Tools) && json.Unmarshal(q.Tools, &given) != nil {
		return nil, c, bad("tools", "tools: want a list of functions")
	}
	if q.old() {
		for _, f := range q.Functions {
			given = append(given, toolJSON{Type: "function", Function: f})
		}
	}
	for i, g := range given {
		at := fmt.Sprintf("tools[%d]", i)
		if g.Type != "function" {
			return nil, c, bad("tools", "%s.type is %q, want function: the server runs no tools itself", at, g.Type)
		}
		if g.Function.Name == "" && g.Name != "" {
			g.Function = g.toolFunction
		}
		t := tools.Tool{Name: g.Function.Name, Description: g.Function.Description, Strict: or(g.Function.Strict, false)}
		if !isNull(g.Function.Parameters) {
			t.Parameters = g.Function.Parameters
		}
		if err := t.Check(); err != nil {
			return nil, c, bad("tools", "%s.function: %v", at, err)
		}
		list = append(list, t)
	}
	list, c, err = q.allowed(list)
	if c.Mode == tools.None {
		list = nil
	}
	return list, c, err
}

// old reports whether the request has functions and function_call in place of tools and tool_choice. The answer then has function_call.
func (q *calling) old() bool { return len(q.Functions) > 0 && isNothing(q.Tools) }

// allowed is choice, and has only the functions that a tool_choice of the type allowed_tools names.
func (q *calling) allowed(list []tools.Tool) ([]tools.Tool, tools.Choice, error) {
	type some struct {
		Mode  json.RawMessage `json:"mode"`
		Tools []toolJSON      `json:"tools"`
	}
	var given struct {
		Type    string `json:"type"`
		Allowed some   `json:"allowed_tools"`
		some           // in the Responses API
	}
	if json.Unmarshal(q.Choice, &given) != nil || given.Type != "allowed_tools" {
		c, err := q.choice(list)
		return list, c, err
	}
	given.Allowed.Tools = append(given.Allowed.Tools, given.Tools...)
	if isNull(given.Allowed.Mode) {
		given.Allowed.Mode = given.Mode
	}
	var only []tools.Tool
	for _, g := range given.Allowed.Tools {
		name := cmp.Or(g.Function.Name, g.Name)
		i := slices.IndexFunc(list, func(t tools.Tool) bool { return t.Name == name })
		if i < 0 {
			return nil, tools.Choice{}, bad("tool_choice", "tool_choice: %v: %q", tools.ErrNoTool, name)
		}
		only = append(only, list[i])
	}
	c, err := (&calling{Choice: given.Allowed.Mode, Parallel: q.Parallel}).choice(only)
	return only, c, err
}

// choice reads tool_choice and parallel_tool_calls.
func (q *calling) choice(list []tools.Tool) (c tools.Choice, err error) {
	c = tools.Choice{Mode: tools.Auto, Multi: or(q.Parallel, true)}
	choice := q.Choice
	var named struct {
		Type     string       `json:"type"`
		Name     string       `json:"name"` // of function_call, and in the Responses API
		Function toolFunction `json:"function"`
	}
	if q.old() {
		c.Multi, choice, named.Type = false, q.FunctionCall, "function"
	}
	switch {
	case isNull(choice):
	case json.Unmarshal(choice, &c.Mode) == nil:
		if c.Mode == "any" { // as Mistral's clients call it
			c.Mode = tools.Required
		}
		if c.Mode != tools.Auto && c.Mode != tools.None && c.Mode != tools.Required {
			return c, bad("tool_choice", "tool_choice is %q, want auto, none, required, or a function", c.Mode)
		}
	case json.Unmarshal(choice, &named) == nil && named.Type == "function" && named.Name+named.Function.Name != "":
		c.Mode, c.Name = tools.Required, cmp.Or(named.Function.Name, named.Name)
	default:
		return c, bad("tool_choice", `tool_choice: want auto, none, required, or {"type": "function", "function": {"name": NAME}}`)
	}
	if c.Mode != tools.Required {
		return c, nil
	}
	for _, t := range list {
		if c.Name == "" || t.Name == c.Name {
			return c, nil
		}
	}
	if c.Name == "" {
		return c, bad("tool_choice", "tool_choice is required, but there are no tools")
	}
	return c, bad("tool_choice", "tool_choice: %v: %q", tools.ErrNoTool, c.Name)
}

// thoughts reads reasoning_format.
func (q *calling) thoughts() (bool, error) {
	switch q.Reasoning {
	case "", "auto", "deepseek":
		return true, nil
	case "none":
		return false, nil
	}
	return false, bad("reasoning_format", "reasoning_format is %q, want auto, deepseek or none", q.Reasoning)
}

// efforts are the values of reasoning_effort.
var efforts = []string{"", "none", "minimal", "low", "medium", "high", "xhigh"}

// effort returns what the chat template gets of reasoning_effort.
func (q *calling) effort() (vars map[string]any, err error) {
	if !slices.Contains(efforts, q.Effort) {
		return nil, bad("reasoning_effort", "reasoning_effort is %q, want %s", q.Effort, strings.Join(efforts[1:], ", "))
	}
	vars = map[string]any{}
	if q.Effort != "" {
		vars["reasoning_effort"] = q.Effort
	}
	if q.Effort == "none" {
		vars["enable_thinking"] = false
	}
	return vars, nil
}

// callJSON is a call as messages have it; with Index as a part of a stream.
type callJSON struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function functionJSON `json:"function"`
}

type functionJSON struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// calls reads the calls of a message. Templates want arguments to be JSON, which what a model wrote may not be.
func (m *message) calls() (list []llm.Call) {
	for _, c := range m.ToolCalls {
		args := c.Function.Arguments
		switch {
		case args == "":
			args = "{}"
		case !json.Valid([]byte(args)):
			quoted, _ := json.Marshal(args) // a string can always be written
			args = string(quoted)
		}
		list = append(list, llm.Call{ID: c.ID, Name: c.Function.Name, Arguments: args})
	}
	return list
}

// messageOf is an answer as a message. old: a call is a function_call.
func messageOf(a tools.Answer, old bool) *answerMessage {
	m := &answerMessage{Role: "assistant", Content: &a.Content, Reasoning: a.Reasoning}
	for _, c := range a.Calls {
		call := callJSON{ID: c.ID, Type: "function"}
		call.Function.Name, call.Function.Arguments = c.Name, c.Arguments
		m.Calls = append(m.Calls, call)
	}
	if a.Content == "" && len(a.Calls) > 0 {
		m.Content = nil
	}
	if old && len(m.Calls) > 0 {
		m.FunctionCall, m.Calls = &m.Calls[0].Function, nil
	}
	return m
}

// deltaOf is a part of an answer as a stream has it. old: a call is a function_call.
func deltaOf(d tools.Delta, old bool) *content {
	c := &content{}
	switch {
	case d.Call != nil && old:
		c.FunctionCall = &functionJSON{d.Call.Name, d.Call.Arguments}
	case d.Call != nil:
		call := callJSON{Index: &d.Call.Index, ID: d.Call.ID}
		if call.ID != "" {
			call.Type = "function"
		}
		call.Function.Name, call.Function.Arguments = d.Call.Name, d.Call.Arguments
		c.Calls = []callJSON{call}
	case d.Reasoning != "":
		c.Reasoning = d.Reasoning
	default:
		c.Content = &d.Content
	}
	return c
}
