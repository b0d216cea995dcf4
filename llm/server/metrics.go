package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// gauges are what metrics tells of each loaded model, in the text form of Prometheus. docs/serving.md lists them.
// A text is what vLLM and llama-server call a request: one of the n of a client's request, or one of its prompts.
var gauges = []struct {
	name, kind, help string
	value            func(s llm.SchedulerStats) float64
}{
	{"requests_running", "gauge", "Texts whose prompt is being read, or that are being generated.", func(s llm.SchedulerStats) float64 { return float64(s.Running) }},
	{"requests_waiting", "gauge", "Texts that have not begun: all sequences are taken.", func(s llm.SchedulerStats) float64 { return float64(s.Waiting) }},
	{"requests_total", "counter", "Texts that began and have ended: complete, canceled, or failed.", func(s llm.SchedulerStats) float64 { return float64(s.Ended) }},
	{"requests_refused_total", "counter", "Texts that were answered with 429, because the queue was full.", func(s llm.SchedulerStats) float64 { return float64(s.Refused) }},
	{"prompt_tokens_total", "counter", "Tokens of prompts that have been read, whether computed or cached.", func(s llm.SchedulerStats) float64 { return float64(s.PromptTokens) }},
	{"prompt_tokens_cached_total", "counter", "Of them, those that were not computed, because a cache had them.", func(s llm.SchedulerStats) float64 { return float64(s.CachedTokens) }},
	{"prompt_tokens_shared_total", "counter", "Of the cached ones, those that were copied from another sequence.", func(s llm.SchedulerStats) float64 { return float64(s.SharedTokens) }},
	{"generated_tokens_total", "counter", "Tokens that have been generated, also of texts that have not ended.", func(s llm.SchedulerStats) float64 { return float64(s.GeneratedTokens) }},
	{"decode_steps_total", "counter", "Steps that each computed one token of every text whose prompt had been read.", func(s llm.SchedulerStats) float64 { return float64(s.Steps) }},
	{"decode_step_tokens_total", "counter", "Tokens that decode steps computed; over the steps, the mean batch.", func(s llm.SchedulerStats) float64 { return float64(s.StepTokens) }},
	{"first_token_seconds_sum", "counter", "Seconds from request to first token, of all texts that have had one.", func(s llm.SchedulerStats) float64 { return s.FirstTokenTime.Seconds() }},
	{"first_token_seconds_count", "counter", "Texts that have had a first token.", func(s llm.SchedulerStats) float64 { return float64(s.FirstTokens) }},
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) error {
	running := s.r.running()
	stats := make([]llm.SchedulerStats, len(running))
	for i, l := range running {
		stats[i] = l.scheduler.Stats()
	}
	var b strings.Builder
	for _, g := range gauges {
		fmt.Fprintf(&b, "# HELP llama_webgpu_%s %s\n# TYPE llama_webgpu_%s %s\n", g.name, g.help, g.name, g.kind)
		for i, l := range running {
			fmt.Fprintf(&b, "llama_webgpu_%s{model=%q} %v\n", g.name, l.ID, g.value(stats[i]))
		}
	}
	b.WriteString("# HELP llama_webgpu_memory_bytes Memory that the model takes.\n# TYPE llama_webgpu_memory_bytes gauge\n")
	for _, l := range running {
		fmt.Fprintf(&b, "llama_webgpu_memory_bytes{model=%q} %d\n", l.ID, l.bytes)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(b.String())) // fails only if the client has gone
	return nil
}
