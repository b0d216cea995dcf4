package tools

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// Render writes a conversation by a chat template, up to where the answer begins. tools is its variable of that name, as JSON;
// "": there is none.
type Render func(messages []llm.Message, tools string) (string, error)

// What Probe looks for in what a template makes.
const (
	probeTool   = "probe_tool"
	probeCall   = "probe_call"
	probeResult = "probe_result"
)

// Probe finds out what the template that the format was detected in can write: tools, calls, results. Prompt writes the rest
// into messages of other kinds.
func (f *Format) Probe(render Render) {
	user := llm.Message{Role: "user", Content: "probe"}
	tool := Tool{Name: probeTool, Description: "probe", Parameters: []byte(`{"type": "object", "properties": {}}`)}
	said := func(tools, want string, messages ...llm.Message) bool {
		text, err := render(messages, tools)
		return err == nil && strings.Contains(text, want)
	}
	f.tools = said("["+tool.JSON()+"]", probeTool, user)
	call := llm.Message{Role: "assistant", Calls: []llm.Call{{ID: "probecall", Name: probeCall, Arguments: "{}"}}}
	result := llm.Message{Role: "tool", CallID: "probecall", Name: probeCall, Content: probeResult}
	f.calls = said("", probeCall, user, call) || said("", probeCall, user, call, result)
	f.results = f.calls && said("", probeResult, user, call, result)
}

// callText is a call, for samples.
type callText struct{ name, args string }

// Prompt writes a conversation. What the template cannot write it puts into words: the tools into the system message, calls into
// what the assistant said, in the model's form, and results into messages of the user. Call Probe before.
func (f *Format) Prompt(messages []llm.Message, tools []Tool, render Render) (string, error) {
	messages = f.plain(messages)
	if len(tools) == 0 {
		return render(messages, "")
	}
	if f.tools {
		text, err := render(messages, listed(tools))
		if err == nil {
			return text, nil
		}
		// some templates cannot do without descriptions
		if text, without := render(messages, listed(described(tools))); without == nil {
			return text, nil
		}
		return "", err
	}
	text := f.instructions(tools)
	if len(messages) > 0 && messages[0].Role == "system" {
		text = messages[0].Content + "\n\n" + text
		messages = messages[1:]
	}
	prompt, err := render(append([]llm.Message{{Role: "system", Content: text}}, messages...), "")
	if err == nil && strings.Contains(prompt, tools[0].Name) || len(messages) == 0 || messages[0].Role != "user" {
		return prompt, err
	}
	// the template has no system messages
	messages = append([]llm.Message{{Role: "user", Content: text + "\n\n" + messages[0].Content}}, messages[1:]...)
	return render(messages, "")
}

// Continue returns a prompt that ends within an answer, so that the model goes on with it. A thought that the template has begun
// is closed before; so is that of an answer that has come no further, so that the model answers now. It reports false if the answers of the model have another form than text that follows the prompt.
func (f *Format) Continue(prompt string, answer llm.Message) (string, bool) {
	if f.harmony() {
		return "", false
	}
	opened := f.Opened(prompt)
	if f.think != nil && (opened || answer.Content == "") {
		if !opened {
			prompt += f.think.open + "\n"
		}
		prompt += answer.Reasoning + "\n" + f.think.close + "\n\n"
	}
	return prompt + answer.Content, true
}

// listed is tools as templates want to have them.
func listed(tools []Tool) string {
	all := make([]string, len(tools))
	for i := range tools {
		all[i] = tools[i].JSON()
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// described is tools that all have a description: at least their name.
func described(tools []Tool) []Tool {
	all := slices.Clone(tools)
	for i := range all {
		all[i].Description = cmp.Or(all[i].Description, all[i].Name)
	}
	return all
}

// plain puts calls and results into words where the template has none for them.
func (f *Format) plain(messages []llm.Message) []llm.Message {
	out := make([]llm.Message, 0, len(messages))
	for _, m := range messages {
		if m.Role == "assistant" && len(m.Calls) > 0 && !f.calls {
			if m.Content != "" {
				m.Content += "\n"
			}
			m.Content += f.spelled(m.Calls)
			m.Calls = nil
		}
		if m.Role == "tool" && !f.results {
			text := "<tool_response>\n" + m.Content + "\n</tool_response>"
			if n := len(out); n > 0 && out[n-1].Role == "user" { // results of several calls are one message
				out[n-1].Content += "\n" + text
				continue
			}
			m = llm.Message{Role: "user", Content: text}
		}
		out = append(out, m)
	}
	return out
}

// spelled is calls as the model writes them.
func (f *Format) spelled(calls []llm.Call) string {
	all := make([]string, len(calls))
	for i, c := range calls {
		all[i] = f.form.sample(callText{c.Name, c.Arguments})
	}
	return f.form.list[0] + strings.Join(all, f.form.between) + f.form.list[1]
}

// instructions tell a model that was not trained to call functions how to.
func (f *Format) instructions(tools []Tool) string {
	var b strings.Builder
	b.WriteString("You can call these functions:\n")
	for i := range tools {
		fmt.Fprintf(&b, "%s\n", tools[i].JSON())
	}
	b.WriteString("\nTo call one, answer with its name and its arguments, and nothing else:\n")
	b.WriteString(f.spelled([]llm.Call{{Name: "NAME", Arguments: `{"ARGUMENT": VALUE}`}}))
	b.WriteString("\nYou then get the result. If no function helps, answer in words.")
	return b.String()
}

func sampleJSON(key string) func(c callText) string {
	return func(c callText) string { return `{"name": ` + quote(c.name) + `, "` + key + `": ` + c.args + "}" }
}

func sampleHermes(c callText) string {
	return "<tool_call>\n" + sampleJSON("arguments")(c) + "\n</tool_call>"
}

func sampleFenced(c callText) string {
	return "```tool_code\n" + sampleJSON("arguments")(c) + "\n```"
}

func sampleMistral(c callText) string { return "[TOOL_CALLS]" + c.name + "[ARGS]" + c.args }

func sampleHarmony(c callText) string {
	return "<|channel|>commentary to=functions." + c.name + " <|constrain|>json<|message|>" + c.args + "<|call|>"
}
