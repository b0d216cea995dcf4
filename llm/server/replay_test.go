package server_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// TestReplay sends what clients were seen to send that nobody had made the server for.
func TestReplay(t *testing.T) {
	address, _ := start(t, server.Options{}, "tiny")
	const cold = `"messages":[{"role":"user","content":"It was"}],"max_tokens":2,"temperature":0`
	for _, c := range []struct{ path, body, want string }{ // 200, and this in the answer
		{"/v1/chat/completions", `{` + cold + `,"max_completion_tokens":null,"top_p":null,"stop":null,"n":null,"logprobs":null,"top_logprobs":null,"response_format":null,"stream":null,"stream_options":null,"tools":null,"tool_choice":null,"parallel_tool_calls":null,"reasoning_effort":null,"seed":null,"logit_bias":null,"presence_penalty":null,"frequency_penalty":null,"user":null,"store":null,"metadata":null,"prediction":null,"modalities":null,"service_tier":null,"functions":null,"function_call":null,"structured_outputs":null}`, `"completion_tokens":2`},
		{"/v1/chat/completions", `{` + cold + `,"service_tier":"auto","store":false,"metadata":{},"prediction":{"type":"content","content":"x"},"modalities":["text"],"reasoning_effort":"low","user":"u","parallel_tool_calls":false,"response_format":{"type":"text"},"tools":[],"tool_choice":"auto","stop":[]}`, `"completion_tokens":2`},
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":"It was"}],"max_tokens":2.0,"n":1.0,"seed":7e0,"top_k":-1,"repetition_penalty":1.1,"best_of":1}`, `"completion_tokens":2`},
		{"/v1/chat/completions", `{` + cold + `,"stop":"","user":"x"}`, `"completion_tokens":2`},
		{"/v1/chat/completions", `{` + cold + `,"stop":["",null]}`, `"completion_tokens":2`},
		{"/v1/chat/completions", "\ufeff{" + cold + "}\r\n", `"completion_tokens":2`},
		{"/chat/completions", `{` + cold + `}`, `"completion_tokens":2`},
		{"/v1/chat/completions/", `{` + cold + `}`, `"completion_tokens":2`},
		{"/v1/completions", `{"prompt":[[5,6,7],[8]],"max_tokens":1,"n":2}`, `"prompt_tokens":4,"completion_tokens":4,`},
		{"/v1/completions", `{"prompt":"It was","max_tokens":3,"ignore_eos":true,"min_tokens":3}`, `"completion_tokens":3`},
		{"/v1/completions", `{"prompt":"It was","max_tokens":40,"structured_outputs":{"choice":["yes","no"]}}`, `"finish_reason":"stop"`},
		{"/v1/completions", `{"prompt":"It was","max_tokens":40,"structured_outputs":{"json":{"enum":["yes"]},"whitespace_pattern":""}}`, `"text":"\"yes\""`},
		{"/v1/completions", `{"prompt":"It was","max_tokens":40,"guided_regex":"a{3}|b{3}"}`, `"finish_reason":"stop"`},
		{"/v1/completions", `{"prompt":"It was","max_tokens":40,"guided_grammar":"root ::= \"xyz\""}`, `"text":"xyz"`},
		{"/v1/completions", `{"prompt":"It was","max_tokens":40,"guided_json":"{\"const\":7}"}`, `"text":"7"`},
		{"/v1/embeddings", `{"input":[[5,6],[7]],"encoding_format":null,"dimensions":null,"user":null}`, `"prompt_tokens":3`},
		{"/apply-template", `{"messages":[{"role":"developer","content":"A"},{"role":"user","content":[{"type":"input_text","text":"B"},{"type":"text","text":"C"}],"name":null,"tool_calls":null},{"role":"assistant","content":[{"type":"refusal","refusal":"D"}],"tool_calls":[]},{"role":"user","content":"E"}]}`, `ABCDE"`},
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":"It was"}],"max_tokens":100,"parallel_tool_calls":false,"tool_choice":"any","tools":[{"type":"function","function":{"name":"a","description":null,"strict":null,"parameters":{"type":"object","properties":{},"additionalProperties":false}}}]}`, `"finish_reason":"tool_calls"`},
		{"/tokenize", `{"content":"It was","with_pieces":true}`, `"piece":"It"`},
	} {
		if status, text, _ := post(t, address+c.path, c.body); status != http.StatusOK || !strings.Contains(text, c.want) {
			t.Errorf("%s %.300s: %d %.300s, want %s in it", c.path, c.body, status, text, c.want)
		}
	}
	long := strings.Repeat("very long ", 600)
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/v1/chat/completions", ``, 400, "has no body"},
		{"/v1/chat/completions", `[]`, 400, "the request is a list, want an object"},
		{"/v1/chat/completions", `{` + cold + `,"temperature":"0.5"}`, 400, "temperature is a string, want a number"},
		{"/v1/chat/completions", `{` + cold + `,"n":1.5}`, 400, "n is a number 1.5, want an integer"},
		{"/v1/chat/completions", `{` + cold + `,"n":"1"}`, 400, "n is a string, want an integer"},
		{"/v1/chat/completions", `{` + cold + `,"stream":"false"}`, 400, "stream is a string, want a boolean"},
		{"/v1/chat/completions", `{` + cold + `,"response_format":"json"}`, 400, `"param":"response_format"`},
		{"/v1/chat/completions", `{` + cold + `,"tools":"x","reasoning_effort":7}`, 400, `"param":"reasoning_effort"`},
		{"/v1/chat/completions", `{"messages":["It was"]}`, 400, "messages is a string, want an object"},
		{"/v1/chat/completions", `{"messages":[{"role":7}]}`, 400, `"param":"messages.role"`},
		{"/v1/chat/completions", `{` + cold + `,"modalities":["text","audio"]}`, 400, `"param":"modalities"`},
		{"/v1/chat/completions", `{` + cold + `,"structured_outputs":{"structural_tag":"x"}}`, 400, `"param":"structured_outputs.structural_tag"`},
		{"/v1/chat/completions", `{` + cold + `,"best_of":2}`, 400, `"code":null`},
		{"/v1/v1/chat/completions", `{}`, 404, "adds it once more"},
		{"/v1/nothing", `{}`, 404, "no POST /v1/nothing:"},
		{"/api/chat", `{}`, 404, "not Ollama's API"},
		{"/v1/messages", `{}`, 404, "not Anthropic's API"},
		{"/v1/chat/completions", `{` + cold + `,"top_p":2}`, 400, `"message":"top_p 2: want`},
		{"/health", `{}`, 405, "want GET"},
		{"/detokenize", `{"tokens":[1,-2]}`, 400, "token -2"},
		{"/v1/completions", `{"prompt":"` + long + `"}`, 400, `"param":"prompt"`},
		{"/v1/embeddings", `{"input":"` + long + `"}`, 400, `"param":"input"`},
		{"/tokenize", `{}`, 400, `"param":"content"`},
	} {
		status, text, _ := post(t, address+c.path, c.body)
		var e struct {
			Error struct{ Message, Type string }
		}
		if err := json.Unmarshal([]byte(text), &e); status != c.status || !strings.Contains(text, c.want) || err != nil || e.Error.Message == "" || e.Error.Type == "" {
			t.Errorf("%s %.300s: %d %.300s, want %d, and %s in it", c.path, c.body, status, text, c.status, c.want)
		}
	}
}

// TestReplayHTTP sends requests as HTTP allows, but few clients do.
func TestReplayHTTP(t *testing.T) {
	address, _ := start(t, server.Options{Key: "secret", CORS: []string{"https://example.org"}}, "tiny")
	const body = `{"messages":[{"role":"user","content":"It was"}],"max_tokens":2}`
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, body)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var bomb bytes.Buffer
	z = gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 33<<20))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	const chat, key = "/v1/chat/completions", "Bearer secret"
	for _, c := range []struct {
		method, path, body string
		headers            []string
		status             int
		header, want       string // of the answer
	}{
		{"POST", chat, body, []string{"Authorization", "bearer secret", "Content-Type", "text/plain"}, 200, "Content-Type", "application/json"},
		{"POST", chat, body, []string{"Api-Key", "secret"}, 200, "", ""},
		{"POST", chat, body, []string{"Authorization", "Basic secret"}, 401, "Www-Authenticate", "Bearer"},
		{"POST", chat, packed.String(), []string{"Authorization", key, "Content-Encoding", "gzip"}, 200, "", ""},
		{"POST", chat, body, []string{"Authorization", key, "Content-Encoding", "gzip"}, 400, "", ""},
		{"POST", chat, body, []string{"Authorization", key, "Content-Encoding", "br"}, 415, "", ""},
		{"POST", chat, bomb.String(), []string{"Authorization", key, "Content-Encoding", "gzip"}, 413, "", ""},
		{"HEAD", "/v1/models", "", []string{"Authorization", key}, 200, "", ""},
		{"GET", "/v1/models/", "", []string{"Authorization", key}, 200, "", ""},
		{"GET", "/models/tiny", "", []string{"Authorization", key}, 200, "", ""},
		{"GET", chat, "", []string{"Authorization", key}, 405, "Allow", "POST"},
		{"DELETE", "/v1/models/tiny", "", []string{"Authorization", key}, 405, "Allow", "GET"},
		{"OPTIONS", chat, "", []string{"Origin", "https://example.org", "Access-Control-Request-Headers", "authorization,x-stainless-os"}, 204, "Access-Control-Allow-Headers", "authorization,x-stainless-os"},
		{"OPTIONS", chat, "", []string{"Origin", "https://example.org", "Access-Control-Request-Private-Network", "true"}, 204, "Access-Control-Allow-Private-Network", "true"},
		{"OPTIONS", chat, "", []string{"Origin", "https://evil.org", "Access-Control-Request-Headers", "authorization"}, 403, "Access-Control-Allow-Headers", ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, address+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(c.headers); i += 2 {
			r.Header.Set(c.headers[i], c.headers[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.status || resp.Header.Get(c.header) != c.want {
			t.Errorf("%s %s, %v: %d %v %.200s, want %d, %s %q", c.method, c.path, c.headers, resp.StatusCode, resp.Header, text, c.status, c.header, c.want)
		}
	}
}

// TestFunctions calls functions as clients did before there were tools, whole and streamed, and answers them.
func TestFunctions(t *testing.T) {
	address, _ := startWith(t, toolsTemplate)
	const functions = `"functions":[{"name":"weather","parameters":{"type":"object","properties":{"city":{"enum":["Graz","Wien"]}},"required":["city"],"additionalProperties":false}}],"function_call":{"name":"weather"},"seed":3,"max_tokens":100`
	type call struct{ Name, Arguments string }
	var whole struct {
		Choices []struct {
			Message struct {
				Content *string
				Call    call `json:"function_call"`
			}
			Finish string `json:"finish_reason"`
		}
	}
	_, text, _ := post(t, address+"/v1/chat/completions", `{"messages":[{"role":"user","content":"It was"}],`+functions+`}`)
	if err := json.Unmarshal([]byte(text), &whole); err != nil || len(whole.Choices) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	one := whole.Choices[0]
	if c := one.Message.Call; one.Finish != "function_call" || one.Message.Content != nil || c.Name != "weather" || !strings.Contains(c.Arguments, `"city"`) || strings.Contains(text, "tool_calls") {
		t.Errorf("%s", text)
	}
	_, text, _ = post(t, address+"/v1/chat/completions", `{"stream":true,"messages":[{"role":"user","content":"It was"}],`+functions+`}`)
	var got call
	for line := range strings.Lines(text) {
		var chunk struct {
			Choices []struct {
				Delta struct {
					Call call `json:"function_call"`
				}
			}
		}
		if json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &chunk) == nil && len(chunk.Choices) == 1 {
			got.Name += chunk.Choices[0].Delta.Call.Name
			got.Arguments += chunk.Choices[0].Delta.Call.Arguments
		}
	}
	if got != one.Message.Call || !strings.Contains(text, `"finish_reason":"function_call"`) {
		t.Errorf("streamed %+v, whole %+v: %s", got, one.Message.Call, text)
	}
	_, text, _ = post(t, address+"/apply-template", `{"messages":[{"role":"user","content":"It was"},{"role":"assistant","content":null,"function_call":{"name":"weather","arguments":"{}"}},{"role":"function","name":"weather","content":"wet"}]}`)
	if !strings.Contains(text, `\"weather\"`) || !strings.Contains(text, "wet") || strings.Contains(text, "function: ") {
		t.Errorf("answered: %s", text)
	}
}
