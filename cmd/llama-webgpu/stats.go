package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// stats say how a generation went. Times are in seconds.
type stats struct {
	End             string            `json:"end"`
	Seed            uint64            `json:"seed"`
	Device          string            `json:"device"`
	Load            float64           `json:"load_seconds"`        // files, tokenizer, weights
	FirstToken      float64           `json:"first_token_seconds"` // from prompt to first token
	PromptTokens    int               `json:"prompt_tokens"`
	PromptSpeed     float64           `json:"prompt_tokens_per_second"` // first token's choice included
	GeneratedTokens int               `json:"generated_tokens"`
	Speed           float64           `json:"tokens_per_second"` // after the first token
	Memory          map[string]uint64 `json:"gpu_memory_bytes"`  // by purpose
	Pipelines       int               `json:"pipelines"`         // compiled
	Compile         float64           `json:"compile_seconds"`   // of these, together
}

// measure fills in counts and times: generated tokens, of which the first came at first.
func (s *stats) measure(prompt, generated int, begun, first, end time.Time) {
	s.PromptTokens, s.GeneratedTokens = prompt, generated
	if generated == 0 {
		return
	}
	s.FirstToken = first.Sub(begun).Seconds()
	s.PromptSpeed = rate(prompt, first.Sub(begun))
	s.Speed = rate(generated-1, end.Sub(first))
}

// rate is n per second, 0 if no time has passed.
func rate(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// device fills in what the device knows.
func (s *stats) device(e *engine) {
	s.Device = e.String()
	if e.dev == nil {
		return
	}
	d := e.dev.Stats()
	s.Memory, s.Pipelines, s.Compile = e.dev.Memory(), d.Pipelines, d.CompileTime.Seconds()
}

func (s *stats) print(w io.Writer) {
	fmt.Fprintf(w, "\ndevice        %s\n", s.Device)
	fmt.Fprintf(w, "load          %.2f s\n", s.Load)
	fmt.Fprintf(w, "first token   %.2f s\n", s.FirstToken)
	fmt.Fprintf(w, "prompt        %d tokens, %.1f tokens/s\n", s.PromptTokens, s.PromptSpeed)
	fmt.Fprintf(w, "generation    %d tokens, %.1f tokens/s, ended by %s\n", s.GeneratedTokens, s.Speed, s.End)
	if s.Memory == nil {
		return
	}
	var all uint64
	for _, n := range s.Memory {
		all += n
	}
	fmt.Fprintf(w, "GPU memory    %s", humanSize(int64(all)))
	sep := ": "
	for _, purpose := range slices.Sorted(maps.Keys(s.Memory)) {
		fmt.Fprintf(w, "%s%s %s", sep, purpose, humanSize(int64(s.Memory[purpose])))
		sep = ", "
	}
	fmt.Fprintf(w, "\npipelines     %d compiled in %.2f s\n", s.Pipelines, s.Compile)
}
