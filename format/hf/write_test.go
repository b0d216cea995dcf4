//go:build !js

package hf

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWriteFamilies writes the checkpoint of each family again, in one file and in several, and
// compares every tensor of what is read back.
func TestWriteFamilies(t *testing.T) {
	entries, err := os.ReadDir(configs)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			t.Parallel() // most of the time, the disk is waited for
			dir := fixtureOf(t, e.Name())
			c, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			config, err := os.ReadFile(filepath.Join(dir, "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			for _, most := range []int64{0, 20000} {
				out := filepath.Join(t.TempDir(), "out")
				w, err := Write(context.Background(), out, c, config, WriteOptions{Type: "F32", MaxFile: most})
				if err != nil {
					t.Fatal(err)
				}
				if (len(w.Files) > 1) != (most > 0) {
					t.Errorf("files of %d bytes: %v", most, w.Files)
				}
				again, err := Open(out)
				if err != nil {
					t.Fatal(err)
				}
				equalCheckpoints(t, c, again)
				again.Close()
			}
		})
	}
}

func equalCheckpoints(t *testing.T, want, got *Checkpoint) {
	t.Helper()
	a, b := *want.Spec(), *got.Spec()
	b.Family = a.Family // a language model that was part of another is one by itself now
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("the model differs: %s", diff)
	}
	for i, m := range want.Tensors() {
		n := m.Rows() * m.Cols()
		x, y := make([]float32, n), make([]float32, n)
		if err := errors.Join(want.Rows(i, 0, m.Rows(), x), got.Rows(i, 0, m.Rows(), y)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x, y) {
			t.Errorf("%s differs", m.Name)
		}
	}
}

func TestPlainConfig(t *testing.T) {
	for in, want := range map[string]string{
		`{"model_type":"llama","torch_dtype":"bfloat16","x":1.50,"quantization_config":{"a":1}}`: `{
  "model_type": "llama",
  "torch_dtype": "float16",
  "x": 1.50
}
`,
		`{"architectures":["Gemma3ForConditionalGeneration"],"model_type":"gemma3","eos_token_id":[1,2],"vision_config":{},"tie_word_embeddings":false,"text_config":{"model_type":"gemma3_text","tie_word_embeddings":true,"hidden_size":8,"dtype":"bfloat16"}}`: `{
  "model_type": "gemma3_text",
  "tie_word_embeddings": false,
  "hidden_size": 8,
  "dtype": "float16",
  "architectures": [
    "Gemma3ForCausalLM"
  ],
  "eos_token_id": [
    1,
    2
  ]
}
`,
		`{"model_type":"qwen2_vl","hidden_size":8,"vision_config":{"hidden_size":9},"vocab_size":7,"intermediate_size":6,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,"max_position_embeddings":5,"rms_norm_eps":1e-6,"sliding_window":4,"max_window_layers":1,"tie_word_embeddings":true}`: `{
  "model_type": "qwen2",
  "hidden_size": 8,
  "vocab_size": 7,
  "intermediate_size": 6,
  "num_hidden_layers": 1,
  "num_attention_heads": 2,
  "num_key_value_heads": 1,
  "max_position_embeddings": 5,
  "rms_norm_eps": 1e-6,
  "sliding_window": 4,
  "max_window_layers": 1,
  "tie_word_embeddings": true,
  "architectures": [
    "Qwen2ForCausalLM"
  ],
  "hidden_act": "silu",
  "rope_theta": 1000000,
  "use_sliding_window": false
}
`,
		`{"architectures":["GPT2LMHeadModel"],"n_embd":8}`: `{
  "architectures": [
    "GPT2LMHeadModel"
  ],
  "n_embd": 8,
  "model_type": "gpt2"
}
`,
	} {
		got, err := plainConfig([]byte(in), "float16")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	dir := fixtureOf(t, "llama")
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(configOf(configs + "qwen2"))
	if err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "thesis.tex"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	parent := t.TempDir()
	for name, c2 := range map[string]struct {
		ctx    context.Context
		out    string
		config []byte
		o      WriteOptions
		want   string
	}{
		"type":          {config: config, o: WriteOptions{Type: "F64"}, want: `type "F64"`},
		"other model":   {config: other, o: WriteOptions{Type: "F16"}, want: "config.json makes"},
		"no config":     {config: []byte("{"), o: WriteOptions{Type: "F16"}, want: "config.json: "},
		"canceled":      {ctx: canceled, config: config, o: WriteOptions{Type: "F16"}, want: "canceled"},
		"file's name":   {config: config, o: WriteOptions{Type: "F16", Files: map[string][]byte{"../x": nil}}, want: `"../x"`},
		"no checkpoint": {out: full, config: config, o: WriteOptions{Type: "F16", Force: true}, want: "thesis.tex"},
		"exists":        {out: full, config: config, o: WriteOptions{Type: "F16"}, want: "exists"},
	} {
		ctx, out := c2.ctx, c2.out
		if ctx == nil {
			ctx = context.Background()
		}
		if out == "" {
			out = filepath.Join(parent, "out")
		}
		if _, err := Write(ctx, out, c, c2.config, c2.o); err == nil || !strings.Contains(err.Error(), c2.want) {
			t.Errorf("%s: error is %v, want one with %s", name, err, c2.want)
		}
	}
	if left, _ := os.ReadDir(parent); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
