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
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// clients measures the server: clients that each stream a text at the same time, over the loopback, with the server's default
// sampling. The speed is that of all generated tokens, from the first request to the end of the last answer.
func (b *benchmark) clients(ctx context.Context) error {
	if len(b.Clients) == 0 {
		return nil
	}
	const chunk = 0 // as the server has them
	t, err := b.batches(slices.Max(b.ClientPrompt[:]), most(b.Clients), chunk)
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
		var waits []Waits
		r := Speed{Test: "serve" + strconv.Itoa(b.Tokens), Batch: n, Tokens: n * b.Tokens}
		err := b.repeat(r, func() (time.Duration, error) {
			begun := time.Now()
			w, err := s.streams(ctx, n, b.ClientPrompt, b.Tokens)
			waits = append(waits, w)
			return time.Since(begun), err
		})
		if err != nil {
			return fmt.Errorf("%d clients: %w", n, err)
		}
		b.report.Waits = append(b.report.Waits, meanWaits(waits[len(waits)-b.Repetitions:])) // those after the warm-up)
	}
	return nil
}

// Waits are how long clients of the server wait who come at once, in seconds.
type Waits struct {
	Clients int     `json:"clients"`
	Prompts [2]int  `json:"prompt_tokens"`         // of the shortest and of the longest prompt
	First   float64 `json:"first_token_seconds"`   // of a client, on average
	Last    float64 `json:"all_begun_seconds"`     // until the last one has a first token
	Pause   float64 `json:"longest_pause_seconds"` // between two pieces of a text
}

// meanWaits averages those of several repetitions.
func meanWaits(all []Waits) Waits {
	mean := all[0]
	mean.First, mean.Last, mean.Pause = 0, 0, 0
	for _, w := range all {
		n := float64(len(all))
		mean.First, mean.Last, mean.Pause = mean.First+w.First/n, mean.Last+w.Last/n, mean.Pause+w.Pause/n
	}
	return mean
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
	words, err := MadeTokenizer(t.VocabSize())
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

// streams has clients stream texts of so many tokens, after prompts of lengths that are spread evenly between two.
func (s *served) streams(ctx context.Context, clients int, prompts [2]int, tokens int) (Waits, error) {
	all, ctx := errgroup.WithContext(ctx)
	streams := make([]stream, clients)
	for i := range streams {
		length := prompts[0] + (prompts[1]-prompts[0])*i/max(1, clients-1)
		all.Go(func() error { return s.stream(ctx, length, tokens, &streams[i]) })
	}
	err := all.Wait()
	w := Waits{Clients: clients, Prompts: prompts}
	for i := range streams {
		first := streams[i].first.Seconds()
		w.First += first / float64(clients)
		w.Last, w.Pause = max(w.Last, first), max(w.Pause, streams[i].pause.Seconds())
	}
	return w, err
}

// stream is what a client sees of a text: when its first piece came after the request, and the longest time between two pieces.
type stream struct{ first, pause time.Duration }

// stream asks for a text of n tokens after a prompt of a length, and reads it to its end.
func (s *served) stream(ctx context.Context, length, n int, seen *stream) error {
	prompt := make([]int32, length)
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
	begun := time.Now()
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		text, err := io.ReadAll(answer.Body)
		return errors.Join(fmt.Errorf("%s: %s", answer.Status, text), err)
	}
	return seen.read(answer.Body, begun, n)
}

// read reads events until [DONE], and checks that the text has n tokens.
func (s *stream) read(answer io.Reader, begun time.Time, n int) error {
	var last struct {
		Usage struct {
			Tokens int `json:"completion_tokens"`
		}
	}
	var before []byte // the event before
	came := begun
	for lines := bufio.NewScanner(answer); lines.Scan(); {
		event, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		now := time.Now()
		switch wait := now.Sub(came); {
		case before == nil:
			s.first = wait
		default:
			s.pause = max(s.pause, wait)
		}
		came = now
		if string(event) != "[DONE]" {
			before = append(before[:0], event...)
			continue
		}
		if err := json.Unmarshal(before, &last); err != nil {
			return err
		}
		if last.Usage.Tokens != n {
			return fmt.Errorf("a text of %d tokens, want %d", last.Usage.Tokens, n)
		}
		return nil
	}
	return errors.New("the answer ends before [DONE]")
}

// MadeTokenizer makes a tokenizer of n tokens, each with a text of its own.
func MadeTokenizer(n int) (*tokenizer.Tokenizer, error) {
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
