package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/llm/server"
)

// inMemory returns the models that are loaded, by what /metrics tells.
func inMemory(t *testing.T, address string) (names []string) {
	t.Helper()
	r, err := http.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if _, rest, ok := strings.Cut(line, `llama_webgpu_memory_bytes{model="`); ok {
			name, bytes, _ := strings.Cut(rest, `"} `)
			if strings.TrimSpace(bytes) == "0" {
				t.Errorf("%s takes no memory", name)
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func wantModels(t *testing.T, address string, want ...string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !slices.Equal(inMemory(t, address), want) {
		if time.Now().After(deadline) {
			t.Fatalf("loaded: %v, want %v", inMemory(t, address), want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func ask(t *testing.T, address, model string) (status int, text string) {
	t.Helper()
	status, text, _ = post(t, address+"/v1/completions", `{"model":"`+model+`","prompt":"It","max_tokens":1}`)
	return status, text
}

// Models stay loaded within a budget of memory; the one that was used longest ago makes room.
func TestMemoryBudget(t *testing.T) {
	alone, _ := start(t, server.Options{}, "a")
	if status, text := ask(t, alone, "a"); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	wantModels(t, alone, "a")

	address, _ := start(t, server.Options{Memory: 1 << 40}, "a", "b", "c")
	for _, model := range []string{"a", "b", "c"} {
		ask(t, address, model)
	}
	wantModels(t, address, "a", "b", "c")

	address, _ = start(t, server.Options{Memory: 1}, "a", "b") // the weights of these have no size, so that each fits alone
	for _, model := range []string{"a", "b", "a"} {
		if status, text := ask(t, address, model); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		wantModels(t, address, model)
	}

	address, _ = start(t, server.Options{Memory: 1, Models: func() []server.Model { return []server.Model{{ID: "large", Bytes: 5 << 20, Load: load}} }})
	if status, text := ask(t, address, "large"); status != http.StatusServiceUnavailable || !strings.Contains(text, "take 5 MB") {
		t.Errorf("a model that is too large: %d %s", status, text)
	}
}

// Of models that do not fit together, each is loaded in its turn for those who ask at the same time.
func TestModelsInTurn(t *testing.T) {
	address, _ := start(t, server.Options{Queue: 32}, "a", "b", "c")
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			if status, text := ask(t, address, string(rune('a'+i%3))); status != http.StatusOK {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	all.Wait()
	if names := inMemory(t, address); len(names) != 1 {
		t.Errorf("loaded: %v", names)
	}
}

// A model that nobody uses is unloaded after a while, and loaded again when somebody does.
func TestKeepAlive(t *testing.T) {
	address, _ := start(t, server.Options{Keep: 50 * time.Millisecond}, "a")
	for range 2 {
		if status, text := ask(t, address, "a"); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		wantModels(t, address)
	}
}

// A model whose GPU was lost is loaded anew by the next request; the text that ran into the loss ends with the reason.
func TestModelIsLost(t *testing.T) {
	var loads, closed atomic.Int32
	var lost atomic.Bool
	address, _ := start(t, server.Options{Models: func() []server.Model {
		return []server.Model{{ID: "a", Print: "fp_a", Load: func(ctx context.Context) (*server.Loaded, error) {
			in, err := load(ctx)
			if err != nil {
				return nil, err
			}
			loads.Add(1)
			lost.Store(false)
			in.Failed = func() error {
				if lost.Load() {
					return errors.New("GPU device lost")
				}
				return nil
			}
			whole := in.Close
			in.Close = func() error {
				closed.Add(1)
				return whole()
			}
			return in, nil
		}}}
	}})
	for want := int32(1); want < 4; want++ {
		for range 2 {
			if status, text := ask(t, address, "a"); status != http.StatusOK || loads.Load() != want {
				t.Fatalf("%d %s after %d loads, want %d", status, text, loads.Load(), want)
			}
		}
		lost.Store(true)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for closed.Load() != 2 {
		if time.Now().After(deadline) {
			t.Fatalf("%d closed, want those two that were lost", closed.Load())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
