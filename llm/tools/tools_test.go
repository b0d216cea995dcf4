package tools

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer/chat"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

// weather and search are functions that tests offer.
var offered = []Tool{
	{Name: "weather", Description: "How the weather is.", Parameters: []byte(`{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1,"maximum":9},"metric":{"type":"boolean"}},"required":["city"],"additionalProperties":false}`)},
	{Name: "search", Parameters: []byte(`{"type":"object","properties":{"words":{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":3}},"required":["words"],"additionalProperties":false}`)},
}

// templateOf is a text by which Detect recognizes a form.
func templateOf(name string) string {
	for _, f := range forms {
		if f.name == name {
			return strings.Join(f.signs, " ")
		}
	}
	panic("no form " + name)
}

// parsing makes IDs that can be compared.
func parsing(tools []Tool) Parsing {
	n := 0
	return Parsing{Tools: tools, Thoughts: true, ID: func() string { n++; return fmt.Sprint("id", n) }}
}

func call(id, name, args string) llm.Call { return llm.Call{ID: id, Name: name, Arguments: args} }

// answers are what models of each form write.
var answers = []struct {
	form, text string
	want       Answer
}{
	{"hermes", "Just text, with { and <tool.  ", Answer{Content: "Just text, with { and <tool.  "}},
	{"hermes", "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Graz\"}}\n</tool_call>", Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz"}`)}}},
	{"hermes", "Let me see.\n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Graz\"}}\n</tool_call>\n<tool_call>\n{\"arguments\": {\"words\": [\"a\", \"}\"]}, \"name\": \"search\"}\n</tool_call>\n", Answer{Content: "Let me see.", Calls: []llm.Call{call("id1", "weather", `{"city": "Graz"}`), call("id2", "search", `{"words": ["a", "}"]}`)}}},
	{"hermes", `<tool_call>{"name": "other", "arguments": "{\"a\": \"\\\"\"}"}</tool_call> Done.`, Answer{Content: "Done.", Calls: []llm.Call{call("id1", "other", `{"a": "\""}`)}}},
	{"hermes", "<tool_call>\n{\"name\": \"weather\"}\n", Answer{Calls: []llm.Call{call("id1", "weather", `{}`)}}},
	{"hermes", "<tool_call>\nI would call it so.\n</tool_call>", Answer{Content: "<tool_call>\nI would call it so.\n</tool_call>"}},
	{"hermes", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": Graz}}</tool_call>", Answer{Calls: []llm.Call{call("id1", "weather", `{"city": Graz}}`)}}},
	{"hermes", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Gr", Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Gr`)}}},
	{"hermes", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"two\nlines\"}}</tool_call>", Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "two\nlines"}`)}}},
	{"hermes", "<tool_call>\n<function=weather>\n<parameter=city>\nGraz\n</parameter>\n</function>\n</tool_call>", Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz"}`)}}},
	{"hermes", "<tool_call>\n{\"name\": \"weather\", \"arguments\": {}}\n</tool", Answer{Calls: []llm.Call{call("id1", "weather", `{}`)}}},
	{"hermes", "<tool_call>\n{\"name\": \"weather\", \"arguments\": {}}\n</p", Answer{Content: "</p", Calls: []llm.Call{call("id1", "weather", `{}`)}}},
	{"qwen coder", "Look:\n<tool_call>\n<function=weather>\n<parameter=city>\n12\n</parameter>\n<parameter=days>\n3\n</parameter>\n<parameter=more>\na \"b\"\nc\n</parameter>\n</function>\n</tool_call>", Answer{Content: "Look:", Calls: []llm.Call{call("id1", "weather", `{"city": "12", "days": 3, "more": "a \"b\"\nc"}`)}}},
	{"qwen coder", "<function=weather></function></tool_call>", Answer{Calls: []llm.Call{call("id1", "weather", `{}`)}}},
	{"mistral", `[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Graz"}, "id": "abcdefghi"}, {"name": "search", "arguments": {"words": ["x"]}}]`, Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz"}`), call("id2", "search", `{"words": ["x"]}`)}}},
	{"mistral", `[TOOL_CALLS][{"id": "abcdefghi", "name": "weather", "arguments": {}}]`, Answer{Calls: []llm.Call{call("abcdefghi", "weather", `{}`)}}},
	{"mistral with arguments", `Well: [TOOL_CALLS]weather[ARGS]{"city": "Graz"}[TOOL_CALLS]search[CALL_ID]abcdefghi[ARGS]{"words": []}`, Answer{Content: "Well:", Calls: []llm.Call{call("id1", "weather", `{"city": "Graz"}`), call("abcdefghi", "search", `{"words": []}`)}}},
	{"mistral", `[TOOL_CALLS]weather{"city": "Graz"}`, Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz"}`)}}},
	{"llama 3", `{"name": "weather", "parameters": {"city": "Graz", "days": 2}}`, Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz", "days": 2}`)}}},
	{"llama 3", ` {"type": "function", "name": "weather", "parameters": {"city": "Graz"}}; {"name": "search", "parameters": {"words": ["a"]}}`, Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz"}`), call("id2", "search", `{"words": ["a"]}`)}}},
	{"llama 3", `{"name": "Ada", "age": 36}`, Answer{Content: `{"name": "Ada", "age": 36}`}},
	{"llama 3", `{"name": "weather", "age": 36}`, Answer{Content: `{"name": "weather", "age": 36}`}},
	{"llama 3", `{"city": "Graz"}`, Answer{Content: `{"city": "Graz"}`}},
	{"llama 3", "[weather(city='Gr\\'az', days=3), search(words=[\"a\", 'b'])]", Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Gr'az", "days": 3}`), call("id2", "search", `{"words": ["a", "b"]}`)}}},
	{"llama 3", "[1, 2]", Answer{Content: "[1, 2]"}},
	{"llama 3", "Say {\"name\": \"weather\", \"parameters\": {}}", Answer{Content: "Say {\"name\": \"weather\", \"parameters\": {}}"}},
	{"llama 3 with python", `<|python_tag|>{"name": "weather", "parameters": {"city": "Graz"}}`, Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz"}`)}}},
	{"llama 3 with python", `<|python_tag|>brave_search.call(query="rain in Graz")`, Answer{Calls: []llm.Call{call("id1", "brave_search", `{"query": "rain in Graz"}`)}}},
	{"llama 3 with python", "<|python_tag|>print(1)", Answer{Content: "<|python_tag|>print(1)"}},
	{"gemma", "```tool_code\nweather(city=\"Graz\", metric=True)\n```", Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz", "metric": true}`)}}},
	{"gemma", "I'll ask.\n```tool_code\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Graz\"}}\n```\n", Answer{Content: "I'll ask.", Calls: []llm.Call{call("id1", "weather", `{"city": "Graz"}`)}}},
	{"gemma", "```tool_code\n[weather('Graz', 3), search(words=(None, {'a': -1.5}))]\n```", Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz", "days": 3}`), call("id2", "search", `{"words": [null, {"a": -1.5}]}`)}}},
	{"gemma", "```python\nweather()\n```", Answer{Content: "```python\nweather()\n```"}},
	{"function gemma", "<start_function_call>call:weather{city:<escape>Graz, \"x\"<escape>,days:3,metric:true}<end_function_call><start_function_call>call:search{words:[<escape>a<escape>,<escape>b<escape>]}<end_function_call>", Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz, \"x\"", "days": 3, "metric": true}`), call("id2", "search", `{"words": ["a", "b"]}`)}}},
	{"gemma 4", `<|tool_call>call:weather{city:<|"|>Graz<|"|>,deep:{"a":[1,{b:null}]}}<tool_call|>`, Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz", "deep": {"a": [1, {"b": null}]}}`)}}},
	{"gemma 4", `<|tool_call>call:weather{city:`, Answer{Content: `<|tool_call>call:weather{city:`}},
	{"granite", `<|tool_call|>[{"name": "weather", "arguments": {"city": "Graz"}}]`, Answer{Calls: []llm.Call{call("id1", "weather", `{"city": "Graz"}`)}}},
	{"gpt-oss", "<|channel|>analysis<|message|>Need the weather.<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"city\":\"Graz\"}<|call|>", Answer{Reasoning: "Need the weather.", Calls: []llm.Call{call("id1", "weather", `{"city":"Graz"}`)}}},
	{"gpt-oss", "<|channel|>commentary<|message|>I'll look.<|end|><|start|>assistant to=functions.search<|channel|>commentary json<|message|>{\"words\":[]}", Answer{Content: "I'll look.", Calls: []llm.Call{call("id1", "search", `{"words":[]}`)}}},
	{"gpt-oss", "<|channel|>analysis<|message|> a\n b \n<|end|><|start|>assistant<|channel|>final<|message|>Yes. {\"x\": 1}<|return|>", Answer{Reasoning: "a\n b", Content: "Yes. {\"x\": 1}"}},
	{"gpt-oss", "No channel.", Answer{Content: "No channel."}},
	{"gpt-oss", "<|channel|>final<|message|>Half<|start|>assist", Answer{Content: "Half"}},
}

// TestParse takes answers of all forms apart, whole and cut into pieces anywhere.
func TestParse(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range answers {
		seen[a.form] = true
		f := Detect(templateOf(a.form))
		if f.Form() != a.form {
			t.Fatalf("%s is taken for %s", a.form, f.Form())
		}
		if diff := cmp.Diff(a.want, f.Parse(a.text, parsing(offered))); diff != "" {
			t.Errorf("%s: %s (-want +got)\n%s", a.form, a.text, diff)
			continue
		}
		for at := range len(a.text) {
			cut(t, f, a.want, parsing(offered), a.text[:at], a.text[at:])
		}
		cut(t, f, a.want, parsing(offered), strings.Split(a.text, "")...)
		p := f.Parser(parsing(offered)) // nobody wants the rest
		p.Write(a.text[:len(a.text)*2/3])
		p.Close()
		if rest := append(p.Write("x"), p.End()...); rest != nil {
			t.Errorf("%s: after Close came %+v", a.form, rest)
		}
	}
	for _, f := range forms {
		if !seen[f.name] {
			t.Errorf("no answer of form %s", f.name)
		}
	}
}

// cut compares what a text comes to in pieces.
func cut(t *testing.T, f *Format, want Answer, o Parsing, pieces ...string) {
	t.Helper()
	p := f.Parser(o)
	var got Answer
	for _, piece := range pieces {
		got.Add(p.Write(piece))
	}
	got.Add(p.End())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in pieces %q (-want +got)\n%s", pieces, diff)
	}
}

// TestThoughts takes thoughts out of answers, those that the prompt has begun too.
func TestThoughts(t *testing.T) {
	f := Detect("… <think> … </think> … <tool_call>")
	call := "<tool_call>{\"name\": \"weather\", \"arguments\": {}}</tool_call>"
	for _, c := range []struct {
		text   string
		opened bool
		want   Answer
	}{
		{"<think>\nHm.\n\nSo.\n</think>\n\nYes.\n", false, Answer{Reasoning: "Hm.\n\nSo.", Content: "Yes.\n"}},
		{"\nHm, <think>?</think>Yes.", true, Answer{Reasoning: "Hm, <think>?", Content: "Yes."}},
		{"<think>\nHm.</think>Yes.", true, Answer{Reasoning: "Hm.", Content: "Yes."}},
		{"No thought, <think>no</think>.", false, Answer{Content: "No thought, <think>no</think>."}},
		{"<think>\n\n</think>\n\n" + call, false, Answer{Calls: []llm.Call{{ID: "id1", Name: "weather", Arguments: "{}"}}}},
		{"<think>Call " + call + "?</think>" + call, false, Answer{Reasoning: "Call " + call + "?", Calls: []llm.Call{{ID: "id1", Name: "weather", Arguments: "{}"}}}},
		{"<think>Never end", false, Answer{Reasoning: "Never end"}},
		{"  <thin", false, Answer{Content: "  <thin"}},
		{"", true, Answer{}},
	} {
		o := func() Parsing {
			o := parsing(offered)
			o.Opened = c.opened
			return o
		}
		if diff := cmp.Diff(c.want, f.Parse(c.text, o())); diff != "" {
			t.Errorf("%q (-want +got)\n%s", c.text, diff)
		}
		for at := range len(c.text) {
			cut(t, f, c.want, o(), c.text[:at], c.text[at:])
		}
	}
	o := parsing(nil)
	o.Thoughts = false
	if got := f.Parse("<think>x</think> "+call, o); got.Content != "<think>x</think> "+call || got.Reasoning != "" || got.Calls != nil {
		t.Errorf("nothing is looked for: %+v", got)
	}
	for prompt, want := range map[string]bool{"<|im_start|>assistant\n<think>\n": true, "<think>\n\n</think>\n\n": false, "": false} {
		if f.Opened(prompt) != want {
			t.Errorf("%q: opened is %t", prompt, !want)
		}
	}
	answer := llm.Message{Role: "assistant", Content: "Yes, ", Reasoning: "Hm."}
	for prompt, want := range map[string]string{"assistant: ": "assistant: Yes, ", "assistant: <think>\n": "assistant: <think>\nHm.\n</think>\n\nYes, "} {
		if got, ok := f.Continue(prompt, answer); got != want || !ok {
			t.Errorf("%q, continued, is %q, %t", prompt, got, ok)
		}
		thought := llm.Message{Role: "assistant", Reasoning: "Hm."}
		if got, ok := f.Continue(prompt, thought); got != "assistant: <think>\nHm.\n</think>\n\n" || !ok {
			t.Errorf("%q, continued after a thought, is %q, %t", prompt, got, ok)
		}
	}
	if _, ok := Detect("<|channel|><|message|>").Continue("", answer); ok {
		t.Error("an answer in channels is continued as text")
	}
	if Detect("nothing").Thinks() || !f.Thinks() {
		t.Error("Thinks")
	}
}

// TestSamples writes calls as messages would have them, and reads them again.
func TestSamples(t *testing.T) {
	args := `{"city": "Graz \"süd\"", "days": 3, "metric": true}`
	for i := range forms {
		f := &Format{form: &forms[i]}
		calls := []llm.Call{{ID: "id1", Name: "weather", Arguments: args}, {ID: "id2", Name: "search", Arguments: `{"words": ["a", "b"]}`}}
		if forms[i].single {
			calls = calls[:1]
		}
		if got := f.Parse(f.spelled(calls), parsing(offered)); got.Content != "" || cmp.Diff(calls, got.Calls) != "" {
			t.Errorf("%s: %s\n%s", forms[i].name, f.spelled(calls), cmp.Diff(Answer{Calls: calls}, got))
		}
	}
}

// TestPrompt writes conversations by templates that have calls, and by such that have not.
func TestPrompt(t *testing.T) {
	messages := []llm.Message{
		{Role: "system", Content: "Be nice."},
		{Role: "user", Content: "Rain?"},
		{Role: "assistant", Calls: []llm.Call{{ID: "abcdefghi", Name: "weather", Arguments: `{"city": "Graz"}`}, {ID: "abcdefghj", Name: "search", Arguments: `{}`}}},
		{Role: "tool", CallID: "abcdefghi", Content: "wet"},
		{Role: "tool", CallID: "abcdefghj", Content: "nothing"},
	}
	full := func(messages []llm.Message, tools string) (string, error) {
		data, err := json.Marshal(messages)
		return string(data) + tools, err
	}
	words := func(messages []llm.Message, _ string) (string, error) {
		text := ""
		for _, m := range messages {
			if m.Role == "tool" || m.Role == "system" && strings.Contains(text, "system") {
				return "", fmt.Errorf("no role %s", m.Role)
			}
			text += m.Role + "(" + m.Content + ")"
		}
		return text, nil
	}
	silent := func(messages []llm.Message, tools string) (string, error) { // without system messages
		if messages[0].Role == "system" {
			return "", fmt.Errorf("no system messages")
		}
		return words(messages, tools)
	}
	f := Detect("<tool_call>")
	f.Probe(full)
	if text, err := f.Prompt(messages, offered, full); err != nil || !strings.HasSuffix(text, "["+offered[0].JSON()+", "+offered[1].JSON()+"]") || !strings.Contains(text, `"CallID":"abcdefghi"`) {
		t.Errorf("a template with tools: %s, %v", text, err)
	}
	f.Probe(words)
	text, err := f.Prompt(messages, offered, words)
	for _, part := range []string{
		"system(Be nice.\n\nYou can call", offered[1].JSON(), "<tool_call>\n{\"name\": \"NAME\", \"arguments\": {\"ARGUMENT\": VALUE}}\n</tool_call>", "user(Rain?)",
		"assistant(<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Graz\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"search\", \"arguments\": {}}\n</tool_call>)",
		"user(<tool_response>\nwet\n</tool_response>\n<tool_response>\nnothing\n</tool_response>)",
	} {
		if err != nil || !strings.Contains(text, part) {
			t.Errorf("a template without: %s, %v, want in it %s", text, err, part)
		}
	}
	f.Probe(silent)
	if text, err := f.Prompt(messages[1:2], offered, silent); err != nil || !strings.HasPrefix(text, "user(You can call") || !strings.HasSuffix(text, "Rain?)") {
		t.Errorf("a template without system messages: %s, %v", text, err)
	}
	if text, err := f.Prompt(messages[1:2], nil, silent); err != nil || text != "user(Rain?)" {
		t.Errorf("no tools: %s, %v", text, err)
	}
}

// TestTemplates recognizes the forms of real templates' like.
func TestTemplates(t *testing.T) {
	for name, want := range map[string]string{
		"qwen25": "hermes", "llama31": "llama 3", "mistral03": "mistral", "gemma3": "gemma", "chatml": "hermes", "smollm3": "hermes",
	} {
		text, err := os.ReadFile("../../format/tokenizer/chat/testdata/templates/" + name + ".jinja")
		if err != nil {
			t.Fatal(err)
		}
		f := Detect(string(text))
		if f.Form() != want || f.Thinks() != (name == "smollm3") {
			t.Errorf("%s: %s, thinks %t", name, f.Form(), f.Thinks())
		}
	}
}

// TestRealTemplates writes a conversation with a call and its result by templates of many families: whatever they can do
// themselves, the model reads all of it.
func TestRealTemplates(t *testing.T) {
	messages := []llm.Message{
		{Role: "user", Content: "Rain?"},
		{Role: "assistant", Calls: []llm.Call{{ID: "abcdefghi", Name: "weather", Arguments: `{"city": "Graz"}`}}},
		{Role: "tool", CallID: "abcdefghi", Name: "weather", Content: "wet"},
	}
	files, err := filepath.Glob("../../format/tokenizer/chat/testdata/templates/*.jinja")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		render := func(messages []llm.Message, offered string) (string, error) {
			vars := map[string]any{}
			if offered != "" {
				vars["tools"] = json.RawMessage(offered)
			}
			c, err := chat.New(string(source), map[string]string{"bos_token": "<s>", "eos_token": "</s>"}, vars)
			if err != nil {
				return "", err
			}
			var list []chat.Message
			for _, m := range messages {
				one := chat.Message{Role: m.Role, Content: m.Content, Reasoning: m.Reasoning, CallID: m.CallID, Name: m.Name}
				for _, c := range m.Calls {
					one.Calls = append(one.Calls, chat.Call{ID: c.ID, Name: c.Name, Arguments: json.RawMessage(c.Arguments)})
				}
				list = append(list, one)
			}
			return c.Render(list, true)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".jinja")
		if name == "macros" { // made of odd parts, for the interpreter
			continue
		}
		f := Detect(string(source))
		f.Probe(render)
		text, err := f.Prompt(messages, offered, render)
		for _, part := range []string{"search", "Rain?", "weather", "Graz", "wet"} {
			if err != nil || !strings.Contains(text, part) {
				t.Errorf("%s (%s; tools %t, calls %t, results %t): %v\n%s\nwant in it %s", name, f.Form(), f.tools, f.calls, f.results, err, text, part)
				break
			}
		}
	}
}

func TestCheck(t *testing.T) {
	for _, bad := range []Tool{{}, {Name: "a b"}, {Name: strings.Repeat("x", 65)}, {Name: "x", Parameters: []byte("[]")}, {Name: "x", Parameters: []byte("{")}} {
		if bad.Check() == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	for i := range offered {
		if err := offered[i].Check(); err != nil {
			t.Error(err)
		}
	}
}

// FuzzParser looks for texts that come to something else when they come in pieces, or lose text where nothing is looked for.
func FuzzParser(f *testing.F) {
	for _, a := range answers {
		for i := range forms {
			f.Add(uint8(i), uint64(len(a.text)), a.text)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, seed uint64, text string) {
		format := Detect(templateOf(forms[int(which)%len(forms)].name) + " <think> </think>")
		o := func() Parsing {
			o := parsing(offered)
			o.Opened = seed%3 == 0
			return o
		}
		whole := format.Parse(text, o())
		random := rand.New(rand.NewPCG(seed, 1))
		var pieces []string
		for rest := text; rest != ""; {
			n := 1 + random.IntN(min(len(rest), 9))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		cut(t, format, whole, o(), pieces...)
		if plain := format.Parse(text, Parsing{}); !format.harmony() && plain.Content != text {
			t.Errorf("%q became %q", text, plain.Content)
		}
	})
}
