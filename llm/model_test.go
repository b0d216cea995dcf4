package llm_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

const tiny = "../testdata/tiny"

// tinyBundle makes a bundle of the tiny model, with a chat template, once for all tests.
var tinyBundle = sync.OnceValues(func() (string, error) {
	ck, err := hf.Open(tiny)
	if err != nil {
		return "", err
	}
	defer ck.Close()
	vocab, _, err := ck.Tokenizer()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "llm")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "tiny")
	_, err = convert.Run(context.Background(), convert.Source{
		Weights: ck, Tokenizer: vocab, BOS: ck.Tokens().BOS, EOS: ck.Tokens().EOS,
		ChatTemplate: "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:",
	}, out, convert.Options{Format: "f16"})
	return out, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := tinyBundle(); err == nil {
		os.RemoveAll(filepath.Dir(dir))
	}
	os.Exit(code)
}

// open opens the tiny bundle and makes a session.
func open(t *testing.T, o llm.Options) (*llm.Model, *llm.Session) {
	t.Helper()
	dir, err := tinyBundle()
	if err != nil {
		t.Fatal(err)
	}
	m, err := llm.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return m, s
}

// text reads a text to its end.
func text(t *testing.T, pieces func(func(llm.Piece, error) bool)) *llm.Result {
	t.Helper()
	var all strings.Builder
	var last *llm.Result
	for p, err := range pieces {
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(p.Text)
		last = p.Result
	}
	if last == nil || all.String() != last.Text {
		t.Fatalf("streamed %q, the result is %+v", all.String(), last)
	}
	return last
}

// TestGolden generates what another implementation does, on the GPU and on the CPU.
func TestGolden(t *testing.T) {
	var golden struct {
		Prompt    string  `json:"prompt"`
		PromptIDs []int32 `json:"prompt_ids"`
		GreedyIDs []int32 `json:"greedy_ids"`
	}
	data, err := os.ReadFile(filepath.Join(tiny, "golden.json"))
	if err == nil {
		err = json.Unmarshal(data, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := golden.GreedyIDs[len(golden.PromptIDs):]
	for _, device := range []llm.Device{llm.GPU, llm.CPU} {
		m, s := open(t, llm.Options{Device: device, Tuning: "off"})
		r := text(t, s.Generate(t.Context(), golden.Prompt, llm.GenerateOptions{MaxTokens: len(want)}))
		if !slices.Equal(r.Prompt, golden.PromptIDs) || !slices.Equal(r.Tokens, want) || r.Finish != llm.FinishLength {
			t.Errorf("%s: %v, %s\nwant %v", m, r.Tokens, r.Finish, want)
		}
		if st := r.Stats; st.PromptTokens != len(golden.PromptIDs) || st.GeneratedTokens != len(want) || st.FirstToken <= 0 || st.Duration <= st.FirstToken {
			t.Errorf("%s: %+v", m, st)
		}
		// The same text, up to a stop sequence; nothing of the prompt but its last token is computed.
		whole := r.Text
		stop := strings.Fields(whole)[4]
		r = text(t, s.Generate(t.Context(), golden.Prompt, llm.GenerateOptions{MaxTokens: len(want), Stop: []string{"nowhere", stop}}))
		if wantText, _, _ := strings.Cut(whole, stop); r.Text != wantText || r.Finish != llm.FinishStop || r.Stop != stop {
			t.Errorf("%s: %q, %s, %q: want %q", m, r.Text, r.Finish, r.Stop, wantText)
		}
		if cached := r.Stats.CachedTokens; cached != len(golden.PromptIDs)-1 {
			t.Errorf("%s: %d tokens cached", m, cached)
		}
	}
}

// TestChat has a conversation of two turns: the second computes what is new, and its answer is that of a session that
// knows nothing.
func TestChat(t *testing.T) {
	m, s := open(t, llm.Options{Sequences: 2, Tuning: "off"})
	messages := []llm.Message{{Role: "user", Content: "It was a cold morning."}}
	o := llm.GenerateOptions{MaxTokens: 6}
	answer := text(t, s.Chat(t.Context(), messages, o))
	messages = append(messages, llm.Message{Role: "assistant", Content: answer.Text}, llm.Message{Role: "user", Content: "And then?"})
	second := text(t, s.Chat(t.Context(), messages, o))
	if second.Stats.CachedTokens < len(answer.Prompt) {
		t.Errorf("%d tokens cached, the first turn had %d", second.Stats.CachedTokens, len(answer.Prompt))
	}
	other, err := m.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if alone := text(t, other.Chat(t.Context(), messages, o)); alone.Text != second.Text || alone.Stats.CachedTokens != 0 {
		t.Errorf("%q, in a new session %q", second.Text, alone.Text)
	}
}

// TestOpenErrors: what cannot be opened is named, with what to do, and can be told apart.
func TestOpenErrors(t *testing.T) {
	dir, err := tinyBundle()
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.CopyFS(damaged, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(damaged, "model.wgpu"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), 300); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		dir  string
		o    llm.Options
		is   error
		want string
	}{
		"nothing":      {t.Context(), "nowhere", llm.Options{}, nil, "nowhere"},
		"a checkpoint": {t.Context(), tiny, llm.Options{}, nil, "is a checkpoint"},
		"damage":       {t.Context(), damaged, llm.Options{}, bundle.ErrCorrupt, "model.wgpu"},
		"damage, CPU":  {t.Context(), damaged, llm.Options{Device: llm.CPU}, bundle.ErrCorrupt, "model.wgpu"},
		"a device":     {t.Context(), dir, llm.Options{Device: "tpu"}, nil, `device "tpu": want gpu, cpu or auto`},
		"an adapter":   {t.Context(), dir, llm.Options{GPU: gpu.Select{Adapter: "no such card"}}, nil, "no such card"},
		"sequences":    {t.Context(), dir, llm.Options{Device: llm.CPU, Sequences: 2}, nil, "the CPU engine has one"},
		"canceled":     {canceled, dir, llm.Options{}, context.Canceled, ""},
	} {
		m, err := llm.Open(c.ctx, c.dir, c.o)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err == nil {
			m.Close()
		}
	}
}
