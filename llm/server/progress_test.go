package server_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// TestProgress asks how much of a long prompt has been read: some of it before the first piece of the text.
func TestProgress(t *testing.T) {
	load := func(ctx context.Context) (*server.Loaded, error) { return loadLong(ctx, conversation, 2048) }
	address, _ := start(t, server.Options{Models: func() []server.Model { return []server.Model{{ID: "tiny", Load: load}} }})
	ask := func(begin, more string) string {
		t.Helper()
		body := `{"stream": true, "max_tokens": 2, "messages": [{"role": "user", "content": "` + begin + strings.Repeat("It was a cold morning. ", 240) + `"}]` + more + `}`
		_, text, _ := post(t, address+"/v1/chat/completions", body)
		return text
	}
	if text := ask("One. ", ""); strings.Contains(text, "prompt_progress") || !strings.Contains(text, "[DONE]") {
		t.Errorf("nobody asked: %s", text)
	}
	text := ask("Two. ", `, "return_progress": true, "seed": 1`)
	if !regexp.MustCompile(`"prompt_progress":\{"total":\d{4},"processed":102[45],"time_ms":\d+\}`).MatchString(text) {
		t.Errorf("no progress: %s", text)
	}
}
