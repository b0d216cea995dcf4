package server_test

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	openai "github.com/sashabaranov/go-openai"

	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// toolsTemplate is a template that has calls as Qwen's models write them, thinkingTemplate one that has thoughts as well.
const (
	toolsTemplate = `{{ bos_token }}{% if tools %}Tools: {% for t in tools %}{{ t | tojson }}{% endfor %}{% endif %}
{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}
</tool_call>{% endfor %};{% endfor %}assistant: `
	thinkingTemplate = toolsTemplate + "{% if think %}<think>{% endif %}{# </think> #}"
)

// startWith serves the model that comes with the source with another chat template.
func startWith(t *testing.T, template string) (address string, client *openai.Client) {
	t.Helper()
	load := func(ctx context.Context) (*server.Loaded, error) { return loadWith(ctx, template) }
	return start(t, server.Options{Models: func() []server.Model { return []server.Model{{ID: "tiny", Load: load}} }})
}

var weather = openai.Tool{Type: "function", Function: &openai.FunctionDefinition{
	Name: "weather", Parameters: json.RawMessage(`{"type":"object","properties":{"city":{"enum":["Graz","Wien"]},"days":{"type":"integer","minimum":1,"maximum":9}},"required":["city","days"],"additionalProperties":false}`),
}}

var search = openai.Tool{Type: "function", Function: &openai.FunctionDefinition{Name: "search", Parameters: json.RawMessage(`{"type":"object","properties":{"deep":{"type":"boolean"}},"required":["deep"],"additionalProperties":false}`)}}

// checkCall checks a call of one of the two functions.
func checkCall(t *testing.T, c openai.ToolCall) {
	t.Helper()
	var args struct {
		City string
		Days int
		Deep *bool
	}
	err := json.Unmarshal([]byte(c.Function.Arguments), &args)
	ok := c.Function.Name == "weather" && slices.Contains([]string{"Graz", "Wien"}, args.City) && args.Days > 0 || c.Function.Name == "search" && args.Deep != nil
	if err != nil || !ok || c.ID == "" || c.Type != "function" {
		t.Errorf("%+v: %v", c, err)
	}
}

// TestTools has a client ask for calls, whole and streamed, and answer them, with templates that have tools and such that have not.
func TestTools(t *testing.T) {
	for name, template := range map[string]string{"with tools": toolsTemplate, "without": conversation} {
		_, c := startWith(t, template)
		seed := 3
		request := openai.ChatCompletionRequest{
			Messages: user("It was"), MaxCompletionTokens: 150, Seed: &seed, Tools: []openai.Tool{weather, search}, ToolChoice: "required", ParallelToolCalls: false,
		}
		whole, err := c.CreateChatCompletion(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		m := whole.Choices[0].Message
		if len(m.ToolCalls) != 1 || m.Content != "" || whole.Choices[0].FinishReason != "tool_calls" {
			t.Fatalf("%s: %+v", name, whole.Choices[0])
		}
		checkCall(t, m.ToolCalls[0])
		calls, finish := streamedCalls(t, c, request)
		if len(calls) != 1 || calls[0].Function != m.ToolCalls[0].Function || finish != "tool_calls" {
			t.Errorf("%s: streamed %+v, ended by %q; whole %+v", name, calls, finish, m.ToolCalls)
		}
		request.ToolChoice = openai.ToolChoice{Type: "function", Function: openai.ToolFunction{Name: "search"}}
		request.Messages = append(request.Messages, m, openai.ChatCompletionMessage{Role: "tool", ToolCallID: m.ToolCalls[0].ID, Content: "wet"})
		named, err := c.CreateChatCompletion(t.Context(), request)
		if err != nil || len(named.Choices[0].Message.ToolCalls) != 1 || named.Choices[0].Message.ToolCalls[0].Function.Name != "search" {
			t.Errorf("%s: %+v, %v", name, named.Choices, err)
		}
		request.ToolChoice, request.ParallelToolCalls, request.MaxCompletionTokens, request.Messages = "required", true, 100, user("It was")
		several, err := c.CreateChatCompletion(t.Context(), request)
		if err != nil || len(several.Choices[0].Message.ToolCalls) == 0 {
			t.Fatalf("%s: %+v, %v", name, several.Choices, err)
		}
		if f := several.Choices[0].FinishReason; f != "tool_calls" && f != "length" {
			t.Errorf("%s: several calls ended by %s", name, f)
		}
		request.ToolChoice, request.MaxCompletionTokens = "none", 8
		none, err := c.CreateChatCompletion(t.Context(), request)
		if err != nil || none.Choices[0].Message.Content == "" || none.Choices[0].FinishReason != "length" || len(none.Choices[0].Message.ToolCalls) != 0 {
			t.Errorf("%s: none: %+v, %v", name, none.Choices, err)
		}
	}
}

// streamedCalls puts calls together as they are streamed.
func streamedCalls(t *testing.T, c *openai.Client, request openai.ChatCompletionRequest) (calls []openai.ToolCall, finish string) {
	t.Helper()
	parts := 0
	for _, chunk := range streamed(t, c, request) {
		for _, d := range chunk.Choices[0].Delta.ToolCalls {
			switch {
			case d.Index == nil:
				t.Fatalf("no index: %+v", d)
			case *d.Index == len(calls):
				calls = append(calls, d)
			default:
				calls[*d.Index].Function.Arguments += d.Function.Arguments
			}
			parts++
		}
		finish += string(chunk.Choices[0].FinishReason)
	}
	if parts < 3 {
		t.Errorf("the call came in %d parts", parts)
	}
	return calls, finish
}

// TestStrictTools lets the model choose, and holds it to what it has chosen.
func TestStrictTools(t *testing.T) {
	_, c := startWith(t, thinkingTemplate)
	strict := weather
	function := *weather.Function
	function.Strict = true
	strict.Function = &function
	seed := 1
	r, err := c.CreateChatCompletion(t.Context(), openai.ChatCompletionRequest{
		Messages: user("It was"), MaxCompletionTokens: 100, Seed: &seed, Tools: []openai.Tool{strict},
		ResponseFormat: &openai.ChatCompletionResponseFormat{Type: "json_schema", JSONSchema: &openai.ChatCompletionResponseFormatJSONSchema{Name: "x", Schema: json.RawMessage(`{"enum":["yes"]}`)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := r.Choices[0].Message
	if m.Content != `"yes"` && len(m.ToolCalls) == 0 && m.ReasoningContent == "" {
		t.Errorf("%+v", r.Choices[0])
	}
	for _, call := range m.ToolCalls {
		checkCall(t, call)
	}
}

// TestReasoning takes a thought that the template has begun out of the answer, unless it is to stay.
func TestReasoning(t *testing.T) {
	address, c := startWith(t, thinkingTemplate)
	request := openai.ChatCompletionRequest{
		Messages: user("It was"), MaxCompletionTokens: 12, Temperature: .5, Stop: []string{"\n\n"},
		ChatTemplateKwargs: map[string]any{"think": true},
	}
	r, err := c.CreateChatCompletion(t.Context(), request)
	if err != nil || r.Choices[0].Message.ReasoningContent == "" || r.Choices[0].Message.Content != "" {
		t.Errorf("a thought: %+v, %v", r.Choices, err)
	}
	thought, text := "", ""
	for _, chunk := range streamed(t, c, request) {
		thought += chunk.Choices[0].Delta.ReasoningContent
		text += chunk.Choices[0].Delta.Content
	}
	if thought == "" || text != "" {
		t.Errorf("streamed: %q, and %q", thought, text)
	}
	body := `{"messages":[{"role":"user","content":"It was"}],"max_tokens":12,"seed":1,"chat_template_kwargs":{"think":true},"reasoning_format":"none"}`
	if _, text, _ := post(t, address+"/v1/chat/completions", body); strings.Contains(text, "reasoning_content") || strings.Contains(text, `"content":""`) {
		t.Errorf("reasoning_format none: %s", text)
	}
	// JSON that is asked for comes after the thought
	schema := `{"messages":[{"role":"user","content":"It was"}],"max_tokens":12,"seed":1,"chat_template_kwargs":{"think":true},"json_schema":{"enum":["yes"]}}`
	if _, text, _ := post(t, address+"/v1/chat/completions", schema); !strings.Contains(text, `"reasoning_content"`) {
		t.Errorf("JSON after a thought: %s", text)
	}
}

// TestToolMistakes names the field that is wrong.
func TestToolMistakes(t *testing.T) {
	address, _ := start(t, server.Options{}, "tiny")
	for body, want := range map[string]string{
		`"tools":{"a":1}`:                `"param":"tools"`,
		`"tools":[{"type":"retrieval"}]`: "tools[0].type is",
		`"tools":[{"type":"function"}]`:  "tools[0].function: the name",
		`"tools":[{"type":"function","function":{"name":"a","parameters":[]}}]`: "parameters: want a JSON schema",
		`"tool_choice":"required"`:  "there are no tools",
		`"tool_choice":"sometimes"`: `"param":"tool_choice"`,
		`"tool_choice":7`:           `"param":"tool_choice"`,
		`"tool_choice":{"type":"function","function":{"name":"b"}},` + oneTool: "no such function",
		`"reasoning_format":"loud"`: `"param":"reasoning_format"`,
		`"reasoning_effort":"much"`: `"param":"reasoning_effort"`,
		`"tool_choice":"required",` + strings.Replace(oneTool, `{}`, `{"not":{}}`, 1): "function a: #/not: schema: not is not supported",
	} {
		status, text, _ := post(t, address+"/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"max_tokens":1,`+body+`}`)
		if status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %q in it", body, status, text, want)
		}
	}
}

// TestReasoningEffort shows what the template gets of it.
func TestReasoningEffort(t *testing.T) {
	address, _ := startWith(t, `{{ reasoning_effort or "as it likes" }}{% if enable_thinking is defined and not enable_thinking %}, no thoughts{% endif %}`)
	for fields, want := range map[string]string{
		``:                           "as it likes",
		`"reasoning_effort":"low",`:  "low",
		`"reasoning_effort":"none",`: "none, no thoughts",
		`"reasoning_effort":"none","chat_template_kwargs":{"enable_thinking":true},`: "none",
	} {
		_, text, _ := post(t, address+"/apply-template", `{`+fields+`"messages":[{"role":"user","content":"x"}]}`)
		if text != `{"prompt":"`+want+`"}`+"\n" && text != `{"prompt":"`+want+`"}` {
			t.Errorf("%s: %s, want %s", fields, text, want)
		}
	}
}

// TestContinue has a model go on with an answer: together both are what it says at once.
func TestContinue(t *testing.T) {
	address, c := startWith(t, conversation)
	request := openai.ChatCompletionRequest{Messages: user("It was a cold morning"), MaxCompletionTokens: 8, Temperature: math.SmallestNonzeroFloat32}
	whole, err := c.CreateChatCompletion(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	text := whole.Choices[0].Message.Content
	begun := text[:strings.LastIndex(text, " ")]
	quoted, _ := json.Marshal(begun) // a string can always be written
	body := `{"messages":[{"role":"user","content":"It was a cold morning"},{"role":"assistant","content":` + string(quoted) + `}],"continue_final_message":true,"temperature":0,"max_tokens":8}`
	_, answer, _ := post(t, address+"/v1/chat/completions", body)
	var rest openai.ChatCompletionResponse
	if err := json.Unmarshal([]byte(answer), &rest); err != nil || len(rest.Choices) != 1 || !strings.HasPrefix(begun+rest.Choices[0].Message.Content, text) {
		t.Errorf("%q goes on with %s, %v; at once it is %q", begun, answer, err, text)
	}
	for _, last := range []string{`{"role":"user","content":"x"}`, `{"role":"assistant","content":""}`, `{"role":"assistant","content":"x","tool_calls":[{"function":{"name":"f"}}]}`} {
		status, text, _ := post(t, address+"/v1/chat/completions", `{"messages":[`+last+`],"continue_final_message":true}`)
		if status != http.StatusBadRequest || !strings.Contains(text, "continue_final_message") {
			t.Errorf("%s: %d %s", last, status, text)
		}
	}
}

const oneTool = `"tools":[{"type":"function","function":{"name":"a","parameters":{}}}]`

// TestToolPrompt shows what the model reads.
func TestToolPrompt(t *testing.T) {
	body := `{"messages":[{"role":"user","content":"Rain?"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"a","arguments":"{\"b\": 1}"}}]},{"role":"tool","tool_call_id":"c1","content":"wet"}],` + oneTool + `}`
	for template, want := range map[string]string{
		toolsTemplate: "assistant: <tool_call>\n{\"name\": \"a\", \"arguments\": {\"b\": 1}}\n</tool_call>;tool: wet;assistant: ",
		conversation:  "Rain?<tool_call>\n{\"name\": \"a\", \"arguments\": {\"b\": 1}}\n</tool_call><tool_response>\nwet\n</tool_response>",
	} {
		address, _ := startWith(t, template)
		_, text, _ := post(t, address+"/apply-template", body)
		var got struct{ Prompt string }
		if err := json.Unmarshal([]byte(text), &got); err != nil || !strings.HasSuffix(got.Prompt, want) || !strings.Contains(got.Prompt, `{"type": "function", "function": {"name": "a", "parameters": {}}}`) {
			t.Errorf("%s, %v, want at its end %s", got.Prompt, err, want)
		}
	}
}
