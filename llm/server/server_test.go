package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	openai "github.com/sashabaranov/go-openai"

	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

const tiny = "../../testdata/tiny"

// conversation is a chat template: the model that comes with the source was not trained to chat, but it goes on.
const conversation = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}{{ more }}"

// load loads the model that comes with the source.
func load(ctx context.Context) (*server.Loaded, error) { return loadWith(ctx, conversation) }

// loadWith loads it with a chat template.
func loadWith(ctx context.Context, conversation string) (*server.Loaded, error) {
	return loadLong(ctx, conversation, 512)
}

// loadLong is loadWith for a longer context.
func loadLong(ctx context.Context, conversation string, tokens int) (*server.Loaded, error) {
	files, err := llm.OpenFiles(tiny)
	if err != nil {
		return nil, err
	}
	t, err := files.Template(conversation, nil)
	if err != nil {
		return nil, err
	}
	files.Vocabulary().Template = t
	m, err := files.Load(ctx, llm.Options{Device: llm.CPU, Context: tokens})
	if err != nil {
		return nil, err
	}
	return &server.Loaded{
		Model:    m,
		Template: func(vars map[string]any) (llm.Template, error) { return files.Template(conversation, vars) },
		Close:    func() error { return errors.Join(m.Close(), files.Close()) },
	}, nil
}

// start serves models of these names, all the same one.
func start(t *testing.T, o server.Options, names ...string) (address string, client *openai.Client) {
	t.Helper()
	var models []server.Model
	for _, name := range names {
		models = append(models, server.Model{ID: name, Aliases: []string{"alias-of-" + name}, Print: "fp_" + name, Created: time.Unix(1e9, 0), Load: load})
	}
	if o.Models == nil {
		o.Models = func() []server.Model { return models }
	}
	if o.Queue == 0 {
		o.Queue = 8
	}
	s := server.New(o)
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Close(ctx)
	})
	c := openai.DefaultConfig(o.Key)
	c.BaseURL = h.URL + "/v1"
	return h.URL, openai.NewClientWithConfig(c)
}

func user(text string) []openai.ChatCompletionMessage {
	return []openai.ChatCompletionMessage{{Role: "user", Content: text}}
}

// TestChat has a client made for OpenAI's servers chat, whole and streamed: the same text, also as a text completion.
func TestChat(t *testing.T) {
	_, c := start(t, server.Options{}, "tiny")
	seed := 7
	request := openai.ChatCompletionRequest{Model: "gpt-4o", Messages: user("It was a cold morning"), MaxCompletionTokens: 24, Temperature: .9, Seed: &seed, Stop: []string{"\n"}}
	whole, err := c.CreateChatCompletion(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	text := whole.Choices[0].Message.Content
	if u := whole.Usage; text == "" || whole.Model != "tiny" || whole.SystemFingerprint != "fp_tiny" || u.TotalTokens != u.PromptTokens+u.CompletionTokens || u.CompletionTokens == 0 {
		t.Errorf("%+v", whole)
	}
	if f := whole.Choices[0].FinishReason; f != "length" && f != "stop" {
		t.Errorf("finish_reason %q", f)
	}
	request.Stream, request.StreamOptions = true, &openai.StreamOptions{IncludeUsage: true}
	var got, finish string
	var usage *openai.Usage
	for _, chunk := range streamed(t, c, request) {
		if chunk.Usage != nil {
			usage = chunk.Usage
		}
		for _, choice := range chunk.Choices {
			got += choice.Delta.Content
			finish += string(choice.FinishReason)
		}
	}
	if got != text || finish != string(whole.Choices[0].FinishReason) || usage == nil || usage.CompletionTokens != whole.Usage.CompletionTokens {
		t.Errorf("streamed %q, ended by %q, %+v; whole %q", got, finish, usage, text)
	}
	if usage != nil && (usage.PromptTokensDetails == nil || usage.PromptTokensDetails.CachedTokens != usage.PromptTokens-1) {
		t.Errorf("the second time: %+v", usage.PromptTokensDetails)
	}
	completion, err := c.CreateCompletion(t.Context(), openai.CompletionRequest{Model: "tiny", Prompt: "It was a cold morning", MaxTokens: 24, Temperature: .9, Seed: &seed, Stop: []string{"\n"}, Echo: true})
	if err != nil || completion.Choices[0].Text != "It was a cold morning"+text {
		t.Errorf("as a text: %+v, %v; as a chat %q", completion, err, text)
	}
	several, err := c.CreateChatCompletion(t.Context(), openai.ChatCompletionRequest{Messages: user("It was a cold morning"), MaxCompletionTokens: 8, N: 3, Seed: &seed})
	if err != nil || len(several.Choices) != 3 || several.Choices[0].Message.Content == several.Choices[2].Message.Content {
		t.Errorf("three texts: %+v, %v", several.Choices, err)
	}
}

// TestJSONSchema asks for JSON in the ways that clients do.
func TestJSONSchema(t *testing.T) {
	_, c := start(t, server.Options{}, "tiny")
	schema := json.RawMessage(`{"type":"object","properties":{"age":{"type":"integer","minimum":1,"maximum":99},"name":{"type":"string","maxLength":8}},"required":["age","name"],"additionalProperties":false}`)
	for _, f := range []*openai.ChatCompletionResponseFormat{
		{Type: "json_schema", JSONSchema: &openai.ChatCompletionResponseFormatJSONSchema{Name: "person", Schema: schema, Strict: true}},
		{Type: "json_object"},
	} {
		r, err := c.CreateChatCompletion(t.Context(), openai.ChatCompletionRequest{Messages: user("It was"), MaxCompletionTokens: 120, ResponseFormat: f})
		if err != nil {
			t.Fatal(err)
		}
		choice := r.Choices[0]
		if choice.FinishReason == "length" {
			continue
		}
		var v struct {
			Age  int
			Name *string
		}
		if err := json.Unmarshal([]byte(choice.Message.Content), &v); err != nil || f.JSONSchema != nil && (v.Age < 1 || v.Age > 99 || v.Name == nil) {
			t.Errorf("%s: %s: %v", f.Type, choice.Message.Content, err)
		}
	}
}

// streamed returns the chunks of a stream.
func streamed(t *testing.T, c *openai.Client, request openai.ChatCompletionRequest) (chunks []openai.ChatCompletionStreamResponse) {
	t.Helper()
	stream, err := c.CreateChatCompletionStream(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return chunks
		}
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, chunk)
	}
}

// post sends JSON and returns the status and the answer.
func post(t *testing.T, address, body string, headers ...string) (status int, text string, h http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data), resp.Header
}

// TestMistakes names the field that is wrong.
func TestMistakes(t *testing.T) {
	address, c := start(t, server.Options{}, "tiny")
	messages := `"messages":[{"role":"user","content":"It was"}],"max_tokens":1`
	for body, want := range map[string]string{
		`{`:                              "is not JSON",
		`{"messages":"hello"}`:           `"param":"messages"`,
		`{"messages":[]}`:                "there are no messages",
		`{"messages":[{"content":"x"}]}`: "messages[0] has no role",
		`{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`:                                 `a part of type \"image_url\": only text is supported`,
		`{` + messages + `,"temperature":"hot"}`:                                                          `"param":"temperature"`,
		`{` + messages + `,"temperature":-1}`:                                                             "temperature -1",
		`{` + messages + `,"top_p":2}`:                                                                    `"param":"top_p"`,
		`{` + messages + `,"dry_multiplier":1,"dry_base":0.5}`:                                            `"param":"dry_base"`,
		`{` + messages + `,"n":9999}`:                                                                     `n is 9999, want 1 to 2048`,
		`{` + messages + `,"stop":7}`:                                                                     `"param":"stop"`,
		`{` + messages + `,"best_of":2}`:                                                                  "best_of is not supported",
		`{` + messages + `,"max_completion_tokens":-3}`:                                                   `"param":"max_completion_tokens"`,
		`{` + messages + `,"logit_bias":{"x":1}}`:                                                         `"param":"logit_bias"`,
		`{` + messages + `,"top_logprobs":3}`:                                                             "top_logprobs wants logprobs: true",
		`{` + messages + `,"logprobs":true,"top_logprobs":99}`:                                            `"param":"top_logprobs"`,
		`{` + messages + `,"response_format":{"type":"xml"}}`:                                             `"param":"response_format"`,
		`{` + messages + `,"response_format":{"type":"json_schema","json_schema":{"schema":{"not":{}}}}}`: "#/not: schema: not is not supported",
		`{` + messages + `,"grammar":"root ::= x","json_schema":{}}`:                                      "want one of them",
		`{` + messages + `,"grammar":"root ::= x"}`:                                                       "there is no rule x",
		`{"messages":[{"role":"user","content":"` + strings.Repeat("very long ", 600) + `"}]}`:            `"code":"context_length_exceeded"`,
	} {
		status, text, _ := post(t, address+"/v1/chat/completions", body)
		if status != http.StatusBadRequest || !strings.Contains(text, want) || !strings.Contains(text, `"type":"invalid_request_error"`) {
			t.Errorf("%.120s: %d %s, want %q in it", body, status, text, want)
		}
	}
	status, text, _ := post(t, address+"/v1/chat/completions", `{`+messages+`,"user":"x","unknown":{"a":1},"temperature":null,"tools":[],"logprobs":false,"stream_options":null}`)
	if status != http.StatusOK {
		t.Errorf("fields that are unknown or null: %d %s", status, text)
	}
	if status, text, _ := post(t, address+"/v1/nothing", `{}`); status != http.StatusNotFound || !strings.Contains(text, `"error"`) {
		t.Errorf("no such endpoint: %d %s", status, text)
	}
	var e *openai.APIError
	if _, err := c.CreateChatCompletion(t.Context(), openai.ChatCompletionRequest{}); !errors.As(err, &e) || e.HTTPStatusCode != http.StatusBadRequest || e.Message == "" {
		t.Errorf("a client's error: %v", err)
	}
}

// TestManyPrompts completes more prompts in a request than may wait, as harnesses send them; too many are an error that says how
// many may come.
func TestManyPrompts(t *testing.T) {
	address, _ := start(t, server.Options{Queue: 1}, "tiny")
	body := func(n int, more string) string {
		return `{"prompt": [` + strings.Repeat(`"It was",`, n-1) + `"She said"],"max_tokens":2,"temperature":0` + more + `}`
	}
	status, text, _ := post(t, address+"/v1/completions", body(40, ""))
	var answer struct {
		Choices []struct {
			Index int
			Text  string
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK || len(answer.Choices) != 40 {
		t.Fatalf("%d %s, %v", status, text, err)
	}
	for i, c := range answer.Choices {
		if c.Index != i || i < 39 && c.Text != answer.Choices[0].Text || i == 39 && c.Text == answer.Choices[0].Text {
			t.Errorf("choice %d has index %d and text %q", i, c.Index, c.Text)
		}
	}
	for n, more := range map[int]string{2049: "", 40: `,"n":52`} {
		if status, text, _ := post(t, address+"/v1/completions", body(n, more)); status != http.StatusBadRequest || !strings.Contains(text, "2048") {
			t.Errorf("%d prompts %s: %d %s", n, more, status, text)
		}
	}
}

// TestModels serves several models, of which one fits: a request loads its own, in place of the other.
func TestModels(t *testing.T) {
	address, c := start(t, server.Options{}, "a", "b")
	list, err := c.ListModels(t.Context())
	if err != nil || len(list.Models) != 2 || list.Models[1].ID != "b" {
		t.Errorf("%+v, %v", list, err)
	}
	for _, name := range []string{"a", "b", "alias-of-a"} {
		r, err := c.CreateChatCompletion(t.Context(), openai.ChatCompletionRequest{Model: name, Messages: user("It was"), MaxCompletionTokens: 2})
		if err != nil || !strings.HasSuffix(name, r.Model) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if status, text, _ := post(t, address+"/v1/chat/completions", `{"model":"c","messages":[{"role":"user","content":"x"}]}`); status != http.StatusNotFound || !strings.Contains(text, "model_not_found") {
		t.Errorf("no such model: %d %s", status, text)
	}
}

func TestTokensAndTemplate(t *testing.T) {
	address, _ := start(t, server.Options{}, "tiny")
	_, text, _ := post(t, address+"/tokenize", `{"content":"It was a cold morning"}`)
	var got struct{ Tokens []int32 }
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Tokens) < 4 {
		t.Fatalf("%s: %v", text, err)
	}
	data, _ := json.Marshal(map[string]any{"tokens": got.Tokens})
	if _, text, _ := post(t, address+"/detokenize", string(data)); !strings.Contains(text, `"content":"It was a cold morning"`) {
		t.Errorf("back: %s", text)
	}
	_, text, _ = post(t, address+"/apply-template", `{"messages":[{"role":"user","content":[{"type":"text","text":"It "},{"type":"text","text":"was"}]}],"chat_template_kwargs":{"more":"!"}}`)
	if !strings.Contains(text, `It was!"`) {
		t.Errorf("template: %s", text)
	}
}

// TestAccess checks the key, and pages of other origins.
func TestAccess(t *testing.T) {
	address, c := start(t, server.Options{Key: "secret", CORS: []string{"https://example.org"}}, "tiny")
	if _, err := c.ListModels(t.Context()); err != nil {
		t.Errorf("with the key: %v", err)
	}
	for _, header := range []string{"", "Bearer wrong", "secret2"} {
		status, text, h := post(t, address+"/v1/completions", `{"prompt":"x"}`, "Authorization", header)
		if status != http.StatusUnauthorized || !strings.Contains(text, "invalid_api_key") || h.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %d %s", header, status, text)
		}
	}
	if status, _, h := post(t, address+"/tokenize", `{"content":"x"}`, "Authorization", "Bearer secret", "Origin", "https://example.org"); status != http.StatusOK || h.Get("Access-Control-Allow-Origin") != "https://example.org" {
		t.Errorf("a page that may: %d %v", status, h)
	}
	if status, _, _ := post(t, address+"/tokenize", `{"content":"x"}`, "Authorization", "Bearer secret", "Origin", "https://evil.org"); status != http.StatusForbidden {
		t.Errorf("a page that may not: %d", status)
	}
}

// TestGone frees the sequence of a client that goes away, and lets a full queue say so.
func TestGone(t *testing.T) {
	address, c := start(t, server.Options{Queue: 1}, "tiny")
	ctx, cancel := context.WithCancel(t.Context())
	endless := openai.ChatCompletionRequest{Messages: user("It was"), MaxCompletionTokens: 500, Stream: true}
	stream, err := c.CreateChatCompletionStream(ctx, endless)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	var refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			status, text, h := post(t, address+"/v1/completions", `{"prompt":"It was","max_tokens":2}`)
			mu.Lock()
			defer mu.Unlock()
			if status == http.StatusTooManyRequests && h.Get("Retry-After") != "" && strings.Contains(text, "queue_full") {
				refused++
			} else if status != http.StatusOK {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	cancel()
	_ = stream.Close()
	all.Wait()
	for running(t, address, "requests_running") != "0" {
		time.Sleep(10 * time.Millisecond)
	}
	if status, text, _ := post(t, address+"/v1/completions", `{"prompt":"It was","max_tokens":2}`); status != http.StatusOK {
		t.Errorf("afterwards: %d %s", status, text)
	}
	if got := running(t, address, "requests_refused_total"); got == "" {
		t.Error("no metric of refused requests")
	}
}

// running returns the value of a metric.
func running(t *testing.T, address, name string) string {
	t.Helper()
	resp, err := http.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "llama_webgpu_"+name+"{") {
			return lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:]
		}
	}
	return ""
}

// TestLogprobs asks for probabilities, and forbids the likeliest token.
func TestLogprobs(t *testing.T) {
	address, c := start(t, server.Options{}, "tiny")
	request := openai.ChatCompletionRequest{Messages: user("It was a cold"), MaxCompletionTokens: 4, LogProbs: true, TopLogProbs: 2, TopP: 0.0001}
	first, err := c.CreateChatCompletion(t.Context(), request)
	if err != nil || first.Choices[0].LogProbs == nil {
		t.Fatalf("%+v, %v", first, err)
	}
	list := first.Choices[0].LogProbs.Content
	text := ""
	for _, p := range list {
		text += p.Token
		if p.LogProb > 0 || len(p.TopLogProbs) != 2 || p.TopLogProbs[0].Token != p.Token {
			t.Errorf("%+v", p)
		}
	}
	if len(list) != 4 || text != first.Choices[0].Message.Content {
		t.Errorf("%d tokens, %q; the text is %q", len(list), text, first.Choices[0].Message.Content)
	}
	request.Stream = true
	tokens := 0
	for _, chunk := range streamed(t, c, request) {
		if l := chunk.Choices[0].Logprobs; l != nil {
			tokens += len(l.Content)
		}
	}
	if tokens != 4 {
		t.Errorf("%d probabilities were streamed", tokens)
	}
	_, text, _ = post(t, address+"/tokenize", `{"content":"`+list[0].Token+`"}`)
	var ids struct{ Tokens []int32 }
	if err := json.Unmarshal([]byte(text), &ids); err != nil || len(ids.Tokens) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	request.Stream, request.LogitBias = false, map[string]int{fmt.Sprint(ids.Tokens[0]): -100}
	other, err := c.CreateChatCompletion(t.Context(), request)
	if err != nil || other.Choices[0].LogProbs.Content[0].Token == list[0].Token {
		t.Errorf("forbidden and written: %+v, %v", other.Choices[0].LogProbs, err)
	}
	if _, text, _ := post(t, address+"/v1/completions", `{"prompt":"It was a cold","max_tokens":2,"logprobs":2,"temperature":0}`); !strings.Contains(text, `"token_logprobs":[-`) || !strings.Contains(text, `"text_offset":[0,`) {
		t.Errorf("of a text: %s", text)
	}
}

// TestEchoLogprobs asks for the probabilities of a prompt, as evaluations do: with no text after it, with one, and streamed. What a text was
// given as, it has as a prompt.
func TestEchoLogprobs(t *testing.T) {
	address, _ := start(t, server.Options{}, "tiny")
	type scores struct {
		Tokens   []string
		Logprobs []*float64           `json:"token_logprobs"`
		Top      []map[string]float64 `json:"top_logprobs"`
		Offsets  []int                `json:"text_offset"`
	}
	type answer struct {
		Choices []struct {
			Text     string
			Logprobs *scores
		}
	}
	ask := func(body string) (all answer) {
		t.Helper()
		status, text, _ := post(t, address+"/v1/completions", body)
		if err := json.Unmarshal([]byte(text), &all); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s", body, status, text)
		}
		return all
	}
	const prompt = `"prompt":"It was a cold","temperature":0,"logprobs":1`
	written := ask(`{` + prompt + `,"max_tokens":5}`).Choices[0]
	texts := ask(`{` + prompt + `,"max_tokens":5,"echo":true,"n":2}`)
	for i, c := range texts.Choices {
		l := c.Logprobs
		n := len(l.Tokens) - 5
		if c.Text != "It was a cold"+written.Text || strings.Join(l.Tokens, "") != "<|begin_of_text|>"+c.Text || n < 4 || l.Logprobs[0] != nil || l.Top[0] != nil {
			t.Fatalf("%d: %+v, %+v; written %q", i, c, l, written.Text)
		}
		at := 0
		for k, token := range l.Tokens {
			if l.Offsets[k] != at || k > 0 && (*l.Logprobs[k] > 0 || l.Top[k][token] != *l.Logprobs[k]) {
				t.Errorf("token %d, %q: %v %v %d, want it at %d", k, token, l.Logprobs[k], l.Top[k], l.Offsets[k], at)
			}
			if k > 0 { // the first one is not in the text
				at += len([]rune(token))
			}
		}
		for k, p := range l.Logprobs[n:] {
			if math.Abs(*p-*written.Logprobs.Logprobs[k]) > 1e-3 {
				t.Errorf("generated token %d: %v, without the prompt %v", k, *p, *written.Logprobs.Logprobs[k])
			}
		}
	}
	data, _ := json.Marshal("It was a cold" + written.Text)
	again := ask(`{"prompt":` + string(data) + `,"max_tokens":0,"logprobs":1,"echo":true}`).Choices[0].Logprobs
	want := texts.Choices[0].Logprobs
	if !slices.Equal(again.Tokens, want.Tokens) {
		t.Errorf("as a prompt: %q, as a text %q", again.Tokens, want.Tokens)
	}
	for i := 1; i < len(again.Tokens); i++ {
		if math.Abs(*again.Logprobs[i]-*want.Logprobs[i]) > 1e-3 {
			t.Errorf("token %d: %v as a prompt, %v as a text", i, *again.Logprobs[i], *want.Logprobs[i])
		}
	}
	_, text, _ := post(t, address+"/v1/completions", `{`+prompt+`,"max_tokens":5,"echo":true,"stream":true}`)
	var streamed scores
	for line := range strings.Lines(text) {
		var chunk answer
		if json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &chunk) == nil && len(chunk.Choices) > 0 && chunk.Choices[0].Logprobs != nil {
			streamed.Tokens = append(streamed.Tokens, chunk.Choices[0].Logprobs.Tokens...)
			streamed.Offsets = append(streamed.Offsets, chunk.Choices[0].Logprobs.Offsets...)
		}
	}
	if !slices.Equal(streamed.Tokens, want.Tokens) || !slices.Equal(streamed.Offsets, want.Offsets) {
		t.Errorf("streamed %+v, whole %+v", streamed, want)
	}
}
