// Command load puts a server under the load of many clients that do not behave, and prints how long they wait:
//
//	go run ./internal/tools/load -program build/llama-webgpu -model build/demo -clients 64 -sequences 16 -time 5m
//
// It starts serve by itself. Clients stream texts of different lengths; some leave in the middle, and others open connections whose
// headers never end. It fails if an answer is an error that is not the 429 of a full queue, if the server's memory grows, or if the server
// does not answer in the end.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.program, "program", "build/llama-webgpu", "llama-webgpu")
	flag.StringVar(&o.model, "model", "build/demo", "bundle to serve")
	flag.StringVar(&o.device, "device", "gpu", "gpu or cpu")
	flag.IntVar(&o.clients, "clients", 64, "clients")
	flag.IntVar(&o.sequences, "sequences", 16, "texts at once")
	flag.IntVar(&o.queue, "queue", 32, "texts that may wait")
	flag.IntVar(&o.unfinished, "unfinished", 1000, "connections that never finish their headers")
	flag.IntVar(&o.common, "common", 0, "words that all prompts begin with, as with a system prompt")
	flag.DurationVar(&o.time, "time", 5*time.Minute, "how long")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

type options struct {
	program, model, device                string
	clients, sequences, queue, unfinished int
	common                                int
	time                                  time.Duration
}

// run starts a server, loads it, and judges.
func (o *options) run() error {
	s, err := o.start()
	if err != nil {
		return err
	}
	defer s.stop()
	l := &load{options: o, server: s}
	if err := l.one(context.Background(), 8); err != nil { // which loads the model
		return fmt.Errorf("the first text: %w", err)
	}
	l.first, l.each, l.texts = nil, nil, 0
	ctx, cancel := context.WithTimeout(context.Background(), o.time)
	defer cancel()
	open := l.openUnfinished(ctx)
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	var clients sync.WaitGroup
	for i := range o.clients {
		clients.Go(func() { l.client(ctx, rand.New(rand.NewPCG(uint64(i), 1))) })
	}
	l.watch(ctx)
	clients.Wait()
	return l.judge()
}

// server is the program under load.
type server struct {
	cmd     *exec.Cmd
	address string
}

// start starts serve on a free port and waits for its address.
func (o *options) start() (*server, error) {
	cmd := exec.Command(o.program, "serve", o.model, "--port", "0", "--parallel", fmt.Sprint(o.sequences), "--queue", fmt.Sprint(o.queue), "--max-seq-len", "512", "--device", o.device, "--no-reference")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, at, ok := strings.Cut(lines.Text(), "API for OpenAI clients: "); ok {
			s.address = at
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return s, nil
		}
	}
	s.stop()
	return nil, errors.New("serve did not say where its API is")
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait()
}

// memory returns the server's resident memory, in MB; 0 where the system does not say.
func (s *server) memory() float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	var kb float64
	_, _ = fmt.Sscan(rest, &kb)
	return kb / 1e3
}

// tokens prints how much of the prompts was computed, as the server's metrics have it.
func (s *server) tokens(w io.Writer) error {
	r, err := http.Get(strings.TrimSuffix(s.address, "/v1") + "/metrics")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	counts := map[string]float64{}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "{"); ok {
			var n float64
			_, _ = fmt.Sscan(value[strings.LastIndexByte(value, ' ')+1:], &n) // what is no number counts as 0, and is seen
			counts[strings.TrimPrefix(name, "llama_webgpu_")] = n
		}
	}
	_, err = fmt.Fprintf(w, "prompts: %.0f tokens, %.0f of them cached; of these, %.0f were copied from other texts\n",
		counts["prompt_tokens_total"], counts["prompt_tokens_cached_total"], counts["prompt_tokens_shared_total"])
	return err
}

// load is what the clients have seen.
type load struct {
	*options
	server *server

	mu                   sync.Mutex
	first, each          []time.Duration // to the first token, and between two
	texts, left, refused int
	failed               []error
	memory               []float64 // MB, every second
}

// client asks for one text after the other.
func (l *load) client(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		text, cancel := context.WithCancel(ctx)
		leaves := rng.IntN(8) == 0
		if leaves {
			time.AfterFunc(time.Duration(rng.IntN(2000))*time.Millisecond, cancel)
		}
		err := l.one(text, 1+rng.IntN(64))
		gone := text.Err() != nil
		cancel()
		var status *statusError
		l.mu.Lock()
		switch {
		case gone:
			l.left++
		case errors.As(err, &status) && status.code == http.StatusTooManyRequests:
			l.refused++
		case err != nil:
			l.failed = append(l.failed, err)
		}
		l.mu.Unlock()
		if err != nil {
			time.Sleep(time.Duration(100+rng.IntN(400)) * time.Millisecond)
		}
	}
}

type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d %s", e.code, e.text) }

// prompts are of different lengths; many begin alike.
var prompts = []string{"It was a cold morning", "It was a cold morning of the early spring, and we sat after breakfast", "She said", strings.Repeat("He had been there before. ", 12)}

// one streams a text.
func (l *load) one(ctx context.Context, tokens int) error {
	prompt := strings.Repeat("morning ", l.common) + prompts[rand.IntN(len(prompts))]
	body, err := json.Marshal(map[string]any{"prompt": prompt, "max_tokens": tokens, "stream": true, "logit_bias": map[string]int{}})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.server.address+"/completions", strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	begun := time.Now()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return &statusError{resp.StatusCode, string(text)}
	}
	last, done := time.Time{}, false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		now := time.Now()
		l.mu.Lock()
		if last.IsZero() {
			l.first = append(l.first, now.Sub(begun))
		} else {
			l.each = append(l.each, now.Sub(last))
		}
		l.mu.Unlock()
		last, done = now, data == "[DONE]"
	}
	if !done && ctx.Err() == nil {
		return errors.New("a stream ended without [DONE]")
	}
	l.mu.Lock()
	l.texts++
	l.mu.Unlock()
	return nil
}

// openUnfinished opens connections that never finish their headers.
func (l *load) openUnfinished(ctx context.Context) (open []net.Conn) {
	host := strings.TrimSuffix(strings.TrimPrefix(l.server.address, "http://"), "/v1")
	for range l.unfinished {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
		if err != nil {
			return open
		}
		_, _ = fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: %s\r\nX-Slow: ", host)
		open = append(open, c)
	}
	return open
}

// watch notes the server's memory, and says every half minute what it is at.
func (l *load) watch(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
		}
		mb := l.server.memory()
		l.mu.Lock()
		l.memory = append(l.memory, mb)
		if n%30 == 0 {
			fmt.Fprintf(os.Stderr, "%d s: %d texts, %d refused, %d left, %d failed, %.0f MB\n", n, l.texts, l.refused, l.left, len(l.failed), mb)
		}
		l.mu.Unlock()
	}
}

// grown is how many times its memory a server may take at the end, compared with what it took after a quarter of the time.
const grown = 1.2

// judge prints the table and returns what was wrong.
func (l *load) judge() error {
	l.mu.Lock()
	l.first, l.each = slices.Sorted(slices.Values(l.first)), slices.Sorted(slices.Values(l.each))
	l.mu.Unlock()
	fmt.Printf("%d clients, %d sequences, %v: %d texts, %d refused by a full queue, %d left by their client, %d failed\n",
		l.clients, l.sequences, l.time, l.texts, l.refused, l.left, len(l.failed))
	fmt.Printf("| | p50 | p99 |\n|---|---|---|\n| first token | %v | %v |\n| each token | %v | %v |\n", at(l.first, 50), at(l.first, 99), at(l.each, 50), at(l.each, 99))
	errs := []error{l.server.tokens(os.Stdout)}
	if n := len(l.memory); n >= 8 {
		early, late := slices.Max(l.memory[n/8:n/4+1]), slices.Max(l.memory[n-n/4:])
		fmt.Printf("memory: %.0f MB after a quarter of the time, %.0f MB in the last\n", early, late)
		if late > early*grown {
			errs = append(errs, fmt.Errorf("the server's memory grew from %.0f to %.0f MB", early, late))
		}
	}
	errs = append(errs, l.failed[:min(5, len(l.failed))]...)
	if err := l.one(context.Background(), 4); err != nil {
		errs = append(errs, fmt.Errorf("afterwards: %w", err))
	}
	if l.texts == 0 {
		errs = append(errs, errors.New("not one text was completed"))
	}
	return errors.Join(errs...)
}

// at is a percentile of sorted times.
func at(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100].Round(100 * time.Microsecond)
}
