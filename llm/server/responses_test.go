package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// responseT is what tests look at in a response.
type responseT struct {
	ID, Status string
	Output     []struct {
		ID, Type, Status, Name, Namespace, Arguments string
		CallID                                       string `json:"call_id"`
		Content, Summary                             []struct {
			Type, Text string
			Logprobs   []struct {
				Token string
				Bytes []int
			}
		}
	}
	Incomplete struct{ Reason string } `json:"incomplete_details"`
	Usage      struct {
		Input        int `json:"input_tokens"`
		InputDetails struct {
			Cached int `json:"cached_tokens"`
		} `json:"input_tokens_details"`
		Output        int `json:"output_tokens"`
		OutputDetails struct {
			Reasoning int `json:"reasoning_tokens"`
		} `json:"output_tokens_details"`
	}
}

// text is that of all items.
func (r *responseT) text() (text string) {
	for _, o := range r.Output {
		for _, p := range slices.Concat(o.Summary, o.Content) {
			text += o.Type + ":" + p.Type + ":" + p.Text + "|"
		}
		text += o.Name + o.Arguments
	}
	return text
}

// respond asks for a response.
func respond(t *testing.T, address, body string) (r responseT) {
	t.Helper()
	status, text, _ := post(t, address+"/v1/responses", body)
	if err := json.Unmarshal([]byte(text), &r); err != nil || status != http.StatusOK {
		t.Fatalf("%.200s: %d %s, %v", body, status, text, err)
	}
	return r
}

// events asks for a stream of events. They are numbered, each named as it says, and their parts add up to the last one's response.
func events(t *testing.T, address, body string) (names []string, r responseT) {
	t.Helper()
	_, text, h := post(t, address+"/v1/responses", strings.Replace(body, "{", `{"stream":true,`, 1))
	if h.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s", text)
	}
	added := map[string]string{}
	for i, event := range strings.Split(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		name, data, _ := strings.Cut(event, "\n")
		var e struct {
			Type, Delta, Text, Arguments string
			Item                         string `json:"item_id"`
			Sequence                     int    `json:"sequence_number"`
			Response                     responseT
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(data, "data: ")), &e); err != nil || "event: "+e.Type != name || e.Sequence != i {
			t.Fatalf("%d: %s: %v", i, event, err)
		}
		added[e.Item] += e.Delta
		if strings.HasSuffix(e.Type, "text.done") && e.Text != added[e.Item] || strings.HasSuffix(e.Type, "arguments.done") && e.Arguments != added[e.Item] {
			t.Errorf("%s: the parts are %q", event, added[e.Item])
		}
		if n := len(names); n == 0 || names[n-1] != e.Type {
			names = append(names, e.Type)
		}
		r = e.Response
	}
	return names, r
}

// TestResponses asks for texts by the Responses API, whole and streamed, and goes on where one ended.
func TestResponses(t *testing.T) {
	address, _ := start(t, server.Options{}, "tiny")
	const request = `{"input":"It was a cold morning","instructions":"Be brief. ","max_output_tokens":12,"seed":7,"include":["message.output_text.logprobs"]}`
	whole := respond(t, address, request)
	if o := whole.Output; whole.Status != "incomplete" || whole.Incomplete.Reason != "max_output_tokens" || len(o) != 1 || o[0].Status != "incomplete" || whole.Usage.Output != 12 || len(o[0].Content[0].Logprobs) != 12 {
		t.Fatalf("%+v", whole)
	}
	names, streamed := events(t, address, request)
	want := []string{
		"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added", "response.output_text.delta",
		"response.output_text.done", "response.content_part.done", "response.output_item.done", "response.incomplete",
	}
	if !slices.Equal(names, want) || streamed.text() != whole.text() || streamed.Usage.Output != 12 {
		t.Errorf("streamed %v %q, whole %q", names, streamed.text(), whole.text())
	}
	said := whole.Output[0].Content[0].Text
	follow := respond(t, address, `{"input":" And?","instructions":"Be brief. ","previous_response_id":"`+whole.ID+`","max_output_tokens":6,"seed":1,"store":false}`)
	spelled := respond(t, address, fmt.Sprintf(`{"input":[{"role":"user","content":[{"type":"input_text","text":"It was a cold morning"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":%q}]},{"role":"user","content":" And?"}],"instructions":"Be brief. ","max_output_tokens":6,"seed":1}`, said))
	referred := respond(t, address, `{"input":[{"role":"user","content":"It was a cold morning"},{"type":"item_reference","id":"`+whole.Output[0].ID+`"},{"role":"user","content":" And?"}],"instructions":"Be brief. ","max_output_tokens":6,"seed":1}`)
	if follow.text() != spelled.text() || referred.text() != spelled.text() || follow.Usage.Input != spelled.Usage.Input || follow.Usage.Input <= whole.Usage.Input+whole.Usage.Output {
		t.Errorf("followed %+v, spelled out %+v, referred to %+v", follow, spelled, referred)
	}
	if status, text, _ := post(t, address+"/v1/responses", `{"input":"x","previous_response_id":"`+follow.ID+`"}`); status != http.StatusNotFound || !strings.Contains(text, "previous_response_not_found") {
		t.Errorf("one that was not stored: %d %s", status, text)
	}
	parsed := respond(t, address, `{"input":"It was","max_output_tokens":100,"text":{"format":{"type":"json_schema","name":"x","strict":true,"schema":{"enum":["Graz","Wien"]}}}}`)
	if text := parsed.Output[0].Content[0].Text; parsed.Status != "completed" || text != `"Graz"` && text != `"Wien"` {
		t.Errorf("%+v", parsed)
	}
	pieces := respond(t, address, `{"input":"It was","max_output_tokens":100,"include":["message.output_text.logprobs"],"text":{"format":{"type":"json_schema","name":"x","schema":{"enum":["€ 🚲"]}}}}`).Output[0].Content[0]
	var spoken []byte
	for _, p := range pieces.Logprobs {
		for _, b := range p.Bytes {
			spoken = append(spoken, byte(b))
		}
	}
	if pieces.Text != `"€ 🚲"` || string(spoken) != pieces.Text || len(pieces.Logprobs) < 8 {
		t.Errorf("%q, of tokens %q", pieces.Text, spoken)
	}
	empty := respond(t, address, `{"input":"It was","max_output_tokens":0}`)
	if len(empty.Output) != 1 || empty.Output[0].Type != "message" {
		t.Errorf("no text: %+v", empty)
	}
}

// TestResponsesKept fetches a response, and deletes it.
func TestResponsesKept(t *testing.T) {
	address, _ := start(t, server.Options{}, "tiny")
	r := respond(t, address, `{"input":"It was","max_output_tokens":2}`)
	for _, c := range []struct {
		method string
		status int
		want   string
	}{{"GET", 200, r.Output[0].ID}, {"DELETE", 200, `"deleted":true`}, {"GET", 404, "no longer kept"}, {"DELETE", 404, "no longer kept"}, {"PUT", 405, "want GET or DELETE"}} {
		q, err := http.NewRequestWithContext(t.Context(), c.method, address+"/v1/responses/"+r.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		var text json.RawMessage
		err = json.NewDecoder(resp.Body).Decode(&text)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(text), c.want) {
			t.Errorf("%s: %d %s, %v", c.method, resp.StatusCode, text, err)
		}
	}
}

// TestResponsesTools has functions called, streamed and answered, with thoughts before.
func TestResponsesTools(t *testing.T) {
	address, _ := startWith(t, toolsTemplate)
	const functions = `"tools":[{"type":"function","name":"weather","strict":true,"parameters":{"type":"object","properties":{"city":{"enum":["Graz","Wien"]}},"required":["city"],"additionalProperties":false}},{"type":"function","name":"search"}],"parallel_tool_calls":false,"seed":3,"max_output_tokens":100`
	for _, choice := range []string{`{"type":"function","name":"weather"}`, `{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"weather"}]}`} {
		body := `{"input":"It was","tool_choice":` + choice + `,` + functions + `}`
		whole := respond(t, address, body)
		if o := whole.Output; len(o) != 1 || o[0].Type != "function_call" || o[0].Name != "weather" || o[0].CallID == "" || whole.Status != "completed" || !json.Valid([]byte(o[0].Arguments)) {
			t.Fatalf("%+v", whole)
		}
		names, streamed := events(t, address, body)
		want := []string{
			"response.created", "response.in_progress", "response.output_item.added", "response.function_call_arguments.delta",
			"response.function_call_arguments.done", "response.output_item.done", "response.completed",
		}
		if !slices.Equal(names, want) || streamed.text() != whole.text() {
			t.Errorf("streamed %v %q, whole %q", names, streamed.text(), whole.text())
		}
		answered := respond(t, address, `{"input":[{"type":"function_call_output","call_id":"`+whole.Output[0].CallID+`","output":"wet"}],"previous_response_id":"`+whole.ID+`",`+functions+`,"tool_choice":"none"}`)
		call, _ := json.Marshal(whole.Output[0].Arguments)
		spelled := respond(t, address, `{"input":[{"role":"user","content":"It was"},{"type":"function_call","call_id":"`+whole.Output[0].CallID+`","name":"weather","arguments":`+string(call)+`},{"type":"function_call_output","call_id":"`+whole.Output[0].CallID+`","output":[{"type":"input_text","text":"wet"}]}],`+functions+`,"tool_choice":"none"}`)
		if answered.Output[0].Type != "message" || answered.text() != spelled.text() || answered.Usage.Input != spelled.Usage.Input {
			t.Errorf("answered: %+v, spelled out %+v", answered, spelled)
		}
	}
	spaced := respond(t, address, `{"input":"It was","tools":[{"type":"namespace","name":"agents","tools":[{"type":"function","name":"ask","parameters":{"type":"object","properties":{},"additionalProperties":false}}]}],"tool_choice":"required","parallel_tool_calls":false,"max_output_tokens":100}`)
	if _, text, _ := post(t, address+"/v1/responses", `{"input":"It was","tools":[{"type":"web_search"}],"max_output_tokens":1}`); !strings.Contains(text, `"tools":[]`) {
		t.Errorf("an offer to search: %s", text)
	}
	if o := spaced.Output[0]; o.Name != "ask" || o.Namespace != "agents" {
		t.Errorf("a function in a namespace: %+v", spaced)
	}
	address, _ = startWith(t, thinkingTemplate)
	const think = `{"input":"It was","max_output_tokens":8,"seed":2,"chat_template_kwargs":{"think":true}`
	thoughts := respond(t, address, think+`}`)
	if o := thoughts.Output; len(o) == 0 || o[0].Type != "reasoning" || o[0].Content[0].Type != "reasoning_text" || len(o[0].Summary) != 0 || thoughts.Usage.OutputDetails.Reasoning == 0 {
		t.Errorf("%+v", thoughts)
	}
	names, summed := events(t, address, think+`,"reasoning":{"summary":"auto"}}`)
	if len(summed.Output[0].Content) != 0 || summed.Output[0].Summary[0].Text != thoughts.Output[0].Content[0].Text || !slices.Contains(names, "response.reasoning_summary_text.delta") {
		t.Errorf("as a summary: %v, %+v", names, summed)
	}
}

// TestResponsesMistakes names what is wrong.
func TestResponsesMistakes(t *testing.T) {
	address, _ := start(t, server.Options{}, "tiny")
	for body, want := range map[string]string{
		`{}`:           "there is no input",
		`{"input":7}`:  "want a string, or a list of items",
		`{"input":[]}`: "there are no items",
		`{"input":[{"content":"x"}],"instructions":"y"}`:                             "input[0] has no role",
		`{"input":"x","max_output_tokens":-5}`:                                       "max_output_tokens is -5",
		`{"input":"x","text":{"format":{"type":"json_schema","schema":{"not":{}}}}}`: `"param":"text.format"`,
		`{"input":["x"]}`: "input[0] is a string, want an object",
		`{"input":[{"type":"function_call","arguments":{}}]}`:                                            `"param":"input[0].arguments"`,
		`{"input":[{"type":"computer_call"}]}`:                                                           `input[0]: an item of type \"computer_call\"`,
		`{"input":[{"role":"user","content":[{"type":"input_image"}]}]}`:                                 `input[0].content: a part of type \"input_image\"`,
		`{"input":[{"type":"reasoning","content":7}]}`:                                                   "input[0].content: want",
		`{"input":[{"type":"item_reference","id":"msg_x"}]}`:                                             `there is no item \"msg_x\"`,
		`{"input":"x","background":true}`:                                                                `"param":"background"`,
		`{"input":"x","conversation":"c"}`:                                                               `"param":"conversation"`,
		`{"input":"x","prompt":{"id":"p"}}`:                                                              `"param":"prompt"`,
		`{"input":"x","text":{"format":{"type":"xml"}}}`:                                                 `"param":"text.format"`,
		`{"input":"x","tools":[{"type":"file_search"}]}`:                                                 `tools[0].type is \"file_search\"`,
		`{"input":"x","tools":[{"type":"namespace","name":"a","tools":[{"type":"custom","name":"b"}]}]}`: `tools[0].type is \"custom\"`,
		`{"input":"x","tools":[{"type":"namespace","name":"a","tools":[{"name":"b"}]},{"type":"namespace","name":"c","tools":[{"name":"b"}]}]}`: "two namespaces have",
		`{"input":"x","reasoning":{"effort":"much"}}`:           `reasoning.effort is \"much\"`,
		`{"input":"x","temperature":-1,"stream":true}`:          `"param":"temperature"`,
		`{"input":"` + strings.Repeat("very long ", 600) + `"}`: "context_length_exceeded",
	} {
		if status, text, _ := post(t, address+"/v1/responses", body); status/100 != 4 || !strings.Contains(text, want) || !strings.Contains(text, `"type":"invalid_request_error"`) {
			t.Errorf("%.100s: %d %s, want %q in it", body, status, text, want)
		}
	}
}
