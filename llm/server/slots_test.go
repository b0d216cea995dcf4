package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// continuing asks for a text, greedily, and returns it with the number of tokens that the cache had.
func continuing(t *testing.T, address, prompt string) (text string, cached int) {
	t.Helper()
	status, body, _ := post(t, address+"/v1/completions", `{"prompt":"`+prompt+`","max_tokens":12,"temperature":0}`)
	var a struct {
		Choices []struct{ Text string }
		Usage   struct {
			Details struct {
				Cached int `json:"cached_tokens"`
			} `json:"prompt_tokens_details"`
		}
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, body, err)
	}
	return a.Choices[0].Text, a.Usage.Details.Cached
}

// TestSlots saves what a server has computed and goes on with it in another one: the text is that of the server that simply
// goes on.
func TestSlots(t *testing.T) {
	dir := t.TempDir()
	first, _ := start(t, server.Options{Slots: dir}, "tiny")
	second, _ := start(t, server.Options{Slots: dir}, "tiny")
	prompt := strings.Repeat("He had been there before, and it was a cold morning. ", 6)
	more, _ := continuing(t, first, prompt)
	status, text, _ := post(t, first+"/slots/0?action=save", `{"filename":"morning.bin"}`)
	var saved struct {
		Filename string `json:"filename"`
		Tokens   int    `json:"n_saved"`
		Bytes    int64  `json:"n_written"`
	}
	info, err := os.Stat(filepath.Join(dir, "morning.bin"))
	if err := json.Unmarshal([]byte(text), &saved); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	if err != nil || saved.Filename != "morning.bin" || saved.Tokens < 80 || saved.Bytes != info.Size() {
		t.Errorf("%s: %v", text, err)
	}
	prompt += more
	want, _ := continuing(t, first, prompt)
	status, text, _ = post(t, second+"/slots/0?action=restore", `{"filename":"morning.bin"}`)
	if status != http.StatusOK || !strings.Contains(text, `"n_restored":`) {
		t.Fatalf("%d %s", status, text)
	}
	if _, list := get(t, second+"/slots"); !strings.Contains(list, `"id":0,"model":"tiny","n_ctx":512,"n_tokens":`) || !strings.Contains(list, `"is_processing":false`) {
		t.Errorf("slots: %s", list)
	}
	if got, cached := continuing(t, second, prompt); got != want || cached < saved.Tokens-1 {
		t.Errorf("restored %q with %d tokens cached, want %q with %d", got, cached, want, saved.Tokens)
	}
	status, text, _ = post(t, second+"/slots/0?action=erase", "")
	var erased struct {
		Tokens int `json:"n_erased"`
	}
	if err := json.Unmarshal([]byte(text), &erased); err != nil || status != http.StatusOK || erased.Tokens <= saved.Tokens {
		t.Errorf("%d %s, want more than %d tokens", status, text, saved.Tokens)
	}
	if _, cached := continuing(t, second, prompt); cached != 0 {
		t.Errorf("erased, and %d tokens were cached", cached)
	}
}

// TestSlotMistakes refuses what it should, and says why.
func TestSlotMistakes(t *testing.T) {
	dir := t.TempDir()
	address, _ := start(t, server.Options{Slots: dir}, "tiny")
	without, _ := start(t, server.Options{}, "tiny")
	short, _ := start(t, server.Options{Slots: dir, Models: func() []server.Model {
		return []server.Model{{ID: "short", Load: func(ctx context.Context) (*server.Loaded, error) { return loadLong(ctx, conversation, 100) }}}
	}})
	if status, text, _ := post(t, address+"/slots/0?action=save", `{"filename":"empty"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	if err := os.WriteFile(filepath.Join(dir, "note"), []byte("a note"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	lost, _ := start(t, server.Options{Slots: gone}, "tiny")
	for _, c := range []struct {
		address, path, body string
		status              int
		want                string
	}{
		{without, "0?action=save", `{"filename":"a"}`, 501, "--slot-save-path"},
		{without, "0?action=restore", `{"filename":"a"}`, 501, "--slot-save-path"},
		{address, "1?action=save", `{"filename":"a"}`, 400, "slot 1: there are 1"},
		{address, "x?action=save", `{"filename":"a"}`, 400, `slot \"x\": want a number`},
		{address, "0?action=load", `{"filename":"a"}`, 400, `action \"load\": want save, restore or erase`},
		{address, "0?action=save", `{}`, 400, `filename \"\": want`},
		{address, "0?action=save", `{"filename":"../a"}`, 400, `filename \"../a\": want`},
		{address, "0?action=save", `{"filename":"a/b"}`, 400, "want"},
		{address, "0?action=save", `{"filename":".hidden"}`, 400, "want"},
		{address, "0?action=restore", `{"filename":".empty.partial"}`, 400, "want"},
		{address, "0?action=restore", `{"filename":"nothing"}`, 404, "nothing was saved there"},
		{address, "0?action=restore", `{"filename":"note"}`, 400, "note: saved sequence: it does not begin as one"},
		{address, "0?action=save", `{"filename":"folder"}`, 400, "folder: saved sequence: it is no regular file"},
		{address, "0?action=restore", `{"filename":"folder"}`, 400, "folder: saved sequence: it is no regular file"},
		{lost, "0?action=save", `{"filename":"a"}`, 500, `filename \"a\": open: no such file`},
		{short, "0?action=restore", `{"filename":"empty"}`, 400, `empty: saved sequence: it was saved with context \"512\", here it is \"100\"`},
	} {
		status, text, _ := post(t, c.address+"/slots/"+c.path, c.body)
		if status != c.status || !strings.Contains(text, c.want) || strings.Contains(text, dir) || strings.Contains(text, gone) {
			t.Errorf("%s %s: %d %s, want %d %s", c.path, c.body, status, text, c.status, c.want)
		}
	}
}

// get asks for a page and returns the status and the answer.
func get(t *testing.T, address string) (status int, text string) {
	t.Helper()
	r, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(data)
}
