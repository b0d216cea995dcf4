package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/llm"
	"github.com/llama-webgpu/llama-webgpu/llm/bench"
	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// BenchmarkSteps has clients stream texts from an engine whose steps take a millisecond each and nothing of the processor. What it reports
// is how long the engine waits from one step of all clients to the next, and what a token allocates: of server and client
// together, which run in one process.
func BenchmarkSteps(b *testing.B) {
	for _, clients := range []int{1, 4, 16, 32} {
		b.Run(strconv.Itoa(clients), func(b *testing.B) { benchmarkSteps(b, clients) })
	}
}

func benchmarkSteps(b *testing.B, clients int) {
	const vocab, tokens = 32 << 10, 128
	e := &paced{fed: make([]int, clients), vocab: vocab, most: clients}
	t, err := bench.MadeTokenizer(vocab)
	if err != nil {
		b.Fatal(err)
	}
	m := llm.New(llm.Parts{Engine: e, Vocabulary: llm.Vocabulary{Tokenizer: t, BOS: -1}})
	s := server.New(server.Options{Queue: clients, Models: func() []server.Model {
		return []server.Model{{ID: "paced", Load: func(context.Context) (*server.Loaded, error) {
			return &server.Loaded{Model: m, Close: m.Close}, nil
		}}}
	}})
	h := httptest.NewServer(s)
	b.Cleanup(func() {
		h.Close()
		s.Close(context.Background())
	})
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		var all sync.WaitGroup
		for c := range clients {
			all.Go(func() {
				body := fmt.Appendf(nil, `{"prompt": [%d, 1, 2], "max_tokens": %d, "stream": true}`, c, tokens)
				answer, err := http.Post(h.URL+"/v1/completions", "application/json", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				defer answer.Body.Close()
				text, err := io.ReadAll(answer.Body)
				if n := bytes.Count(text, []byte("\n\ndata: ")); n < tokens || err != nil {
					b.Errorf("%d events, %v", n, err)
				}
			})
		}
		all.Wait()
	}
	b.ReportMetric(float64(e.between.Microseconds())/float64(e.steps), "µs/step")
	b.ReportMetric(0, "ns/op")
}

// paced is an engine that computes nothing: all its tokens have the same candidates, as many as a device finds.
type paced struct {
	fed      []int // tokens, by sequence
	selected int
	vocab    int
	most     int // sequences

	ended   time.Time     // of the last step of all sequences
	between time.Duration // from there to the next
	steps   int
}

func (e *paced) VocabSize() int                                { return e.vocab }
func (e *paced) Sequences() int                                { return e.most }
func (e *paced) Select(s int) error                            { e.selected = s; return nil }
func (e *paced) Position() int                                 { return e.fed[e.selected] }
func (e *paced) Room() int                                     { return 1 << 20 }
func (e *paced) CanRewind(int) bool                            { return true }
func (e *paced) Rewind(position int) error                     { e.fed[e.selected] = position; return nil }
func (e *paced) Recurrent() bool                               { return false }
func (e *paced) Keep() error                                   { return nil }
func (e *paced) Shift(int, int) (bool, error)                  { return false, nil }
func (e *paced) Reset()                                        { e.fed[e.selected] = 0 }
func (e *paced) Prefill(context.Context, []int32) (int, error) { return 0, nil }

func (e *paced) Forward(context.Context, []int32, int, func(int, []float32) error) error {
	return errNoLogits
}

func (e *paced) Hidden(context.Context, []int32, int, func(int, []float32) error) error {
	return errNoLogits
}

func (e *paced) Top(_ context.Context, tokens []int32) ([]sample.Candidate, float64, error) {
	e.fed[e.selected] += len(tokens)
	e.ended = time.Time{}
	list, sum := candidates()
	return list, sum, nil
}

func (e *paced) Logits(context.Context) ([]float32, error) { return nil, errNoLogits }

func (e *paced) TopOf(_ context.Context, sequences []int, _ []int32, each func(int, []sample.Candidate, float64) error) error {
	if now := time.Now(); len(sequences) == e.most && !e.ended.IsZero() {
		e.between += now.Sub(e.ended)
		e.steps++
	}
	time.Sleep(time.Millisecond)
	e.ended = time.Time{}
	if len(sequences) == e.most {
		e.ended = time.Now()
	}
	for i, s := range sequences {
		e.fed[s]++
		list, sum := candidates()
		if err := each(i, list, sum); err != nil {
			return err
		}
	}
	return nil
}

func (e *paced) LogitsOf(context.Context, int) ([]float32, error) { return nil, errNoLogits }

var errNoLogits = errors.New("this engine has no logits")

// candidates are the largest of logits that are spread as those of a model are.
var candidates = sync.OnceValues(func() ([]sample.Candidate, float64) {
	r := rand.New(rand.NewPCG(1, 2))
	var list []sample.Candidate
	sum := 0.0
	for i := range 256 {
		logit := 12 - 3*math.Log(float64(i+1)) + r.Float64()
		list = append(list, sample.Candidate{ID: int32(i * 100), Logit: float32(logit)})
		sum += math.Exp(logit)
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list, math.Log(sum)
})
