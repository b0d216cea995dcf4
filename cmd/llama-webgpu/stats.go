package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/llama-webgpu/llama-webgpu/internal/cmdline"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

// stats say how a generation went. Times are in seconds.
type stats struct {
	End             string            `json:"end"`
	Seed            uint64            `json:"seed"`
	Device          string            `json:"device"`
	Load            float64           `json:"load_seconds"`        // files, tokenizer, weights
	FirstToken      float64           `json:"first_token_seconds"` // from prompt to first token
	PromptTokens    int               `json:"prompt_tokens"`
	CachedTokens    int               `json:"cached_tokens,omitzero"`            // before those of the prompt, that the model had seen already
	PromptSpeed     float64           `json:"prompt_tokens_per_second,omitzero"` // first token's choice included; 0: too little to measure
	DroppedTokens   int               `json:"dropped_tokens,omitzero"`           // to stay within the context
	GeneratedTokens int               `json:"generated_tokens"`
	Speed           float64           `json:"tokens_per_second,omitzero"` // after the first token; 0: too little to measure
	Memory          map[string]uint64 `json:"gpu_memory_bytes"`           // by purpose
	MainMemory      map[string]uint64 `json:"memory_bytes,omitempty"`     // on the CPU, by purpose
	Pipelines       int               `json:"pipelines"`                  // compiled
	Compile         float64           `json:"compile_seconds"`            // of these, together
	CacheHits       int               `json:"pipeline_cache_hits,omitzero"`
	CacheMisses     int               `json:"pipeline_cache_misses,omitzero"`
}

// stats returns those of a text.
func (i *inference) stats(r *llm.Result, seed uint64) *stats {
	s := &stats{
		End: ending(r.Finish), Seed: seed, Load: i.load, FirstToken: r.Stats.FirstToken.Seconds(),
		PromptTokens: r.Stats.PromptTokens - r.Stats.CachedTokens, CachedTokens: r.Stats.CachedTokens, PromptSpeed: r.Stats.PromptSpeed,
		DroppedTokens: r.Stats.DroppedTokens, GeneratedTokens: r.Stats.GeneratedTokens, Speed: r.Stats.Speed,
	}
	s.device(i.model)
	return s
}

// ending says why a text ended.
func ending(f llm.Finish) string {
	if f == llm.FinishCanceled {
		return "interrupted" // by Ctrl-C
	}
	return string(f)
}

// measurable is the least time that a speed is worked out from.
const measurable = time.Millisecond

// rate is n per second, 0 if that is too little to measure.
func rate(n int, d time.Duration) float64 {
	if d < measurable {
		return 0
	}
	return float64(n) / d.Seconds()
}

// counted writes how many there are of something.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// speed writes a number of tokens per second.
func speed(rate float64) string {
	if rate == 0 {
		return "– tokens/s"
	}
	return fmt.Sprintf("%.1f tokens/s", rate)
}

// device fills in what the device knows.
func (s *stats) device(m *llm.Model) {
	s.Device = m.String()
	if d := m.Device(); d != nil {
		done := d.Stats()
		s.Memory, s.Pipelines, s.Compile = d.Memory(), done.Pipelines, done.CompileTime.Seconds()
		s.CacheHits, s.CacheMisses = done.CacheHits, done.CacheMisses
	} else {
		s.MainMemory = m.Memory()
	}
}

func (s *stats) print(w io.Writer) {
	fmt.Fprintf(w, "\ndevice        %s\n", s.Device)
	fmt.Fprintf(w, "load          %.2f s\n", s.Load)
	if s.FirstToken > 0 {
		fmt.Fprintf(w, "first token   %.2f s\n", s.FirstToken)
	}
	fmt.Fprintf(w, "prompt        %s, %s", counted(s.PromptTokens, "token"), speed(s.PromptSpeed))
	if s.CachedTokens > 0 {
		fmt.Fprintf(w, "; %d before were in the cache", s.CachedTokens)
	}
	if s.DroppedTokens > 0 {
		fmt.Fprintf(w, "; %d dropped to stay within the context", s.DroppedTokens)
	}
	fmt.Fprintf(w, "\ngeneration    %s, %s, ended by %s\n", counted(s.GeneratedTokens, "token"), speed(s.Speed), s.End)
	if s.Memory == nil {
		printMemory(w, "memory", s.MainMemory)
		return
	}
	printMemory(w, "GPU memory", s.Memory)
	fmt.Fprintf(w, "pipelines     %s\n", pipelines(s.Pipelines, s.Compile, s.CacheHits, s.CacheMisses))
}

// printMemory prints a sum of bytes, and what it is for.
func printMemory(w io.Writer, name string, memory map[string]uint64) {
	var all uint64
	for _, n := range memory {
		all += n
	}
	fmt.Fprintf(w, "%-13s %s", name, cmdline.HumanSize(int64(all)))
	sep := ": "
	for _, purpose := range slices.Sorted(maps.Keys(memory)) {
		fmt.Fprintf(w, "%s%s %s", sep, purpose, cmdline.HumanSize(int64(memory[purpose])))
		sep = ", "
	}
	fmt.Fprintln(w)
}

// pipelines writes how long n pipelines took, and how much of them was compiled at an earlier start.
func pipelines(n int, seconds float64, hits, misses int) string {
	if hits == 0 {
		return fmt.Sprintf("%d compiled in %.2f s", n, seconds)
	}
	return fmt.Sprintf("%d in %.2f s, %d of %d parts from the cache", n, seconds, hits, hits+misses)
}
