package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// config is a shape in which a software driver spends its time on products, not on dispatching.
const config = `{
	"model_type": "llama", "hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 4,
	"num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 8192, "max_position_embeddings": 4096,
	"rms_norm_eps": 1e-05, "tie_word_embeddings": true
}
`

// workload is a command that both programs understand, whatever their revision.
type workload struct {
	name string
	args []string
	json bool // it prints what bench --json prints; else the time of the process is measured
}

func workloads(model, shape string) []workload {
	bench := func(what ...string) []string {
		return append([]string{
			"bench", "--json", "--repetitions", "1", "-n", "24", "--prompt", "64", "--prompt", "200",
			"--context", "0", "--context", "700", "--batch", "1", "--batch", "4",
		}, what...)
	}
	return []workload{
		{"tiny int4", bench("--model", model), true},
		{"4×1024 int4", bench("--shape", shape), true},
		{"4×1024 int8", bench("--shape", shape, "--format", "int8"), true},
		{"start, 1 token", []string{"infer", "--model", model, "--prompt", "It was", "-n", "1", "--temperature", "0"}, false},
	}
}

// report is what all revisions of bench print.
type report struct {
	Results []struct {
		Test    string  `json:"test"`
		Context int     `json:"context"`
		Batch   int     `json:"batch"`
		Speed   float64 `json:"tokens_per_second"`
	} `json:"results"`
}

// measure runs the workload once and adds what it finds to a side: 0 before, 1 after.
func (w workload) measure(ctx context.Context, program string, side int, all *samples) error {
	abs, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, abs, w.args...)
	c.Stderr = os.Stderr
	c.Env = append(os.Environ(), "LLAMA_WEBGPU_TUNING=off")
	begun := time.Now()
	out, err := c.Output()
	took := time.Since(begun)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", program, w.name, err)
	}
	if !w.json {
		all.add(w.name+", per second", side, 1/took.Seconds())
		return nil
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		return fmt.Errorf("%s: %s: %w", program, w.name, err)
	}
	for _, x := range r.Results {
		all.add(fmt.Sprintf("%s, %s context %d batch %d", w.name, x.Test, x.Context, x.Batch), side, x.Speed)
	}
	return nil
}
