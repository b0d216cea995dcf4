package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// promptOfClient is how many tokens of its own the prompt of each client has.
const promptOfClient = 8

// clients measures the server: clients that each stream a text at the same time, over the loopback, with the server's default
// sampling. The speed is that of all generated tokens, from the first request to the end of the last answer.
func (b *benchmark) clients(ctx context.Context) error {
	if len(b.Clients) == 0 {
		return nil
	}
	t, err := b.batches(promptOfClient, most(b.Clients))
	if err != nil {
		return err
	}
	defer t.Close()
	s, err := b.serve(t)
	if err != nil {
		return err
	}
	defer s.close()
	for _, n := range b.Clients {
		r := Speed{Test: "serve" + strconv.Itoa(b.Tokens), Batch: n, Tokens: n * b.Tokens}
		err := b.repeat(r, func() (time.Duration, error) {
			begun := time.Now()
			all, ctx := errgroup.WithContext(ctx)
			for range n {
				all.Go(func() error { return s.stream(ctx, b.Tokens) })
			}
			err := all.Wait()
			return time.Since(begun), err
		})
		if err != nil {
			return fmt.Errorf("%d clients: %w", n, err)
		}
	}
	return nil
}

// served is a model behind HTTP.
type served struct {
	api   *server.Server
	http  http.Server
	url   string
	vocab int
}

// serve puts a server in front of a transformer. The vocabulary is made up: it does not matter what the texts say, and none ends early.
func (b *benchmark) serve(t *transformer.Transformer) (*served, error) {
	words, err := madeVocabulary(t.VocabSize())
	if err != nil {
		return nil, err
	}
	m := llm.New(llm.Parts{Engine: t, Vocabulary: llm.Vocabulary{Tokenizer: words, BOS: -1}, Device: b.dev})
	s := &served{vocab: t.VocabSize()}
	s.api = server.New(server.Options{Queue: m.Sequences(), Models: func() []server.Model {
		return []server.Model{{ID: b.model.name, Load: func(context.Context) (*server.Loaded, error) {
			return &server.Loaded{Model: m, Close: m.Close}, nil
		}}}
	}})
	s.http.Handler = s.api
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.url = "http://" + listener.Addr().String()
	go func() { _ = s.http.Serve(listener) }()
	return s, nil
}

func (s *served) close() {
	_ = s.http.Close()
	s.api.Close(context.Background())
}

// stream asks for a text of n tokens and reads it to its end.
func (s *served) stream(ctx context.Context, n int) error {
	prompt := make([]int32, promptOfClient)
	for i := range prompt {
		prompt[i] = rand.Int32N(int32(s.vocab))
	}
	body, err := json.Marshal(map[string]any{"prompt": prompt, "max_tokens": n, "stream": true, "stream_options": map[string]bool{"include_usage": true}})
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		text, err := io.ReadAll(answer.Body)
		return errors.Join(fmt.Errorf("%s: %s", answer.Status, text), err)
	}
	return readStream(answer.Body, n)
}

// readStream reads events until [DONE], and checks that the text has n tokens.
func readStream(answer io.Reader, n int) error {
	var last struct {
		Usage struct {
			Tokens int `json:"completion_tokens"`
		}
	}
	lines := bufio.NewScanner(answer)
	for lines.Scan() {
		event, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		switch {
		case !ok:
		case string(event) != "[DONE]":
			if err := json.Unmarshal(event, &last); err != nil {
				return err
			}
		case last.Usage.Tokens != n:
			return fmt.Errorf("a text of %d tokens, want %d", last.Usage.Tokens, n)
		default:
			return nil
		}
	}
	return errors.Join(lines.Err(), errors.New("the answer ends before [DONE]"))
}

// madeVocabulary makes a tokenizer of n tokens, each with a text of its own.
func madeVocabulary(n int) (*tokenizer.Tokenizer, error) {
	vocab := make(map[string]int, n)
	for i := range n {
		vocab["t"+strconv.Itoa(i)] = i
	}
	data, err := json.Marshal(map[string]any{
		"model":   map[string]any{"type": "BPE", "vocab": vocab, "merges": []string{}},
		"decoder": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
	})
	if err != nil {
		return nil, err
	}
	return tokenizer.Parse(data)
}
