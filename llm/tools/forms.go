package tools

import (
	"slices"
	"strings"
)

// form is a way of writing calls.
type form struct {
	name    string
	signs   []string                                // templates of models that write so have all of these
	openers []string                                // a call, or a list of calls, begins with one of them
	never   string                                  // what is not in a text beside calls that are held to their form, "": the first opener
	end     string                                  // and ends with this, "": with the text
	tokens  []string                                // other special tokens in a call
	body    func(s *scan) bool                      // reads calls after the opener
	bare    func(s *scan) bool                      // reads calls that the text begins with; nil: they have an opener
	write   func(b *builder, t *Tool) (part, error) // the grammar of one call, with opener and end
	sample  func(c callText) string                 // how a call is written
	list    [2]string                               // around all calls, in place of an opener for each
	between string                                  // two calls
	single  bool                                    // there is never more than one call
}

// forms are the ways of writing calls that are known. The first whose signs a template has is that of the model.
var forms = []form{
	{
		name: "gpt-oss", signs: []string{"<|channel|>", "<|message|>"},
		tokens: []string{"<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>"},
		write:  writeHarmony, sample: sampleHarmony, single: true,
	},
	{
		name: "mistral with arguments", signs: []string{"[TOOL_CALLS]", "[ARGS]"}, openers: []string{"[TOOL_CALLS]"},
		tokens: []string{"[ARGS]", "[CALL_ID]"}, body: (*scan).mistral, write: writeMistral, sample: sampleMistral,
	},
	{
		name: "mistral", signs: []string{"[TOOL_CALLS]"}, openers: []string{"[TOOL_CALLS]"}, tokens: []string{"[ARGS]", "[CALL_ID]"},
		body: (*scan).mistral, write: writeJSON("arguments"), sample: sampleJSON("arguments"), list: [2]string{"[TOOL_CALLS][", "]"}, between: ", ",
	},
	{
		name: "gemma 4", signs: []string{"<|tool_call>"}, openers: []string{"<|tool_call>"}, end: "<tool_call|>", tokens: []string{`<|"|>`},
		body: (*scan).gemma, write: writeGemma(`<|"|>`), sample: sampleGemma(`<|"|>`),
	},
	{
		name: "function gemma", signs: []string{"<start_function_call>"}, openers: []string{"<start_function_call>"}, end: "<end_function_call>",
		tokens: []string{"<escape>"}, body: (*scan).gemma, write: writeGemma("<escape>"), sample: sampleGemma("<escape>"),
	},
	{
		name: "qwen coder", signs: []string{"<tool_call>", "<function="}, openers: []string{"<tool_call>", "<function="}, end: "</tool_call>",
		body: (*scan).tagged, write: writeXML, sample: sampleXML, between: "\n",
	},
	{
		name: "granite", signs: []string{"<|tool_call|>"}, openers: []string{"<|tool_call|>"}, end: "<|/tool_call|>",
		body: (*scan).tagged, write: writeJSON("arguments"), sample: sampleJSON("arguments"), list: [2]string{"<|tool_call|>[", "]"}, between: ", ",
	},
	{
		name: "hermes", signs: []string{"<tool_call>"}, openers: []string{"<tool_call>"}, end: "</tool_call>",
		body: (*scan).tagged, write: writeHermes, sample: sampleHermes, between: "\n",
	},
	{
		name: "llama 3", signs: []string{`"parameters": `, "<|start_header_id|>"}, openers: []string{"<|python_tag|>"},
		body: (*scan).python, bare: (*scan).bare, write: writeJSON("parameters"), sample: sampleJSON("parameters"), single: true,
	},
	{
		name: "llama 3 with python", signs: []string{"<|python_tag|>"}, openers: []string{"<|python_tag|>"},
		body: (*scan).python, bare: (*scan).bare, write: writeJSON("parameters"), sample: sampleJSON("parameters"), single: true,
	},
	{
		name: "gemma", signs: []string{"<start_of_turn>"}, openers: []string{"```tool_code", "```tool_call"}, never: "tool_c", end: "```",
		body: (*scan).fenced, write: writeFenced, sample: sampleFenced, between: "\n",
	},
}

// hermes is the form of models that have none of their own: many were trained with it.
func hermes() *form {
	for i := range forms {
		if forms[i].name == "hermes" {
			return &forms[i]
		}
	}
	panic("tools: there is no form hermes")
}

// thought is what is around a model's thoughts.
type thought struct{ open, close string }

// thoughts are those that are known.
var thoughts = []thought{
	{"<think>", "</think>"},
	{"[THINK]", "[/THINK]"},
	{"<|channel>thought", "<channel|>"},
	{"<seed:think>", "</seed:think>"},
}

// Format is how a model writes calls of functions, and thoughts.
type Format struct {
	form  *form
	think *thought // nil: it does not think

	// what the template can write by itself; see Format.Probe
	tools, calls, results bool
}

// Detect recognizes how a model writes from the text of its chat template. A template that says nothing about calls is that of a
// model that is told how to write them.
func Detect(template string) *Format {
	f := &Format{form: hermes()}
	for i := range forms {
		if hasAll(template, forms[i].signs) {
			f.form = &forms[i]
			break
		}
	}
	for i := range thoughts {
		if strings.Contains(template, thoughts[i].close) {
			f.think = &thoughts[i]
			break
		}
	}
	return f
}

func hasAll(text string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// harmony reports whether the whole answer has the form of gpt-oss.
func (f *Format) harmony() bool { return f.form.body == nil }

// Form names the way in which calls are written, for people.
func (f *Format) Form() string { return f.form.name }

// Thinks reports whether the model may think before it answers.
func (f *Format) Thinks() bool { return f.think != nil || f.harmony() }

// Show returns the special tokens that a Parser wants to see in a text: llm.GenerateOptions.Show.
func (f *Format) Show(tools bool) (names []string) {
	if f.think != nil {
		names = append(names, f.think.open, f.think.close, "<|channel>")
	}
	if tools || f.harmony() {
		names = slices.Concat(names, f.form.openers, f.form.tokens)
		if f.form.end != "" {
			names = append(names, f.form.end)
		}
	}
	return names
}

// Opened reports whether a prompt ends within a thought that the template has begun.
func (f *Format) Opened(prompt string) bool {
	return f.think != nil && strings.HasSuffix(strings.TrimRight(prompt, " \n\r\t"), f.think.open)
}
