package convert

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
)

// TestMemory converts a checkpoint whose embedding has 1 GB (a hole in a sparse file) and watches
// what the process has in memory of its own: mapped files are page cache.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 1 GB")
	}
	const limit = 300 << 20
	dir := sparse(t, 1<<19, 1024)
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var files []string
	for _, f := range c.Files() {
		files = append(files, f.Path)
	}
	debug.FreeOSMemory()
	stop := watch(t)
	r, err := Run(context.Background(), Source{Weights: c, Files: files, BOS: -1}, filepath.Join(t.TempDir(), "out"), Options{Format: "int2", Method: "rtn"})
	peak := stop()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d MB in, %d MB out, at most %d MB resident of its own", r.In>>20, r.Out>>20, peak>>20)
	if r.In < 1<<30 || peak == 0 || peak > limit {
		t.Errorf("at most %d bytes were resident for %d: want at most %d", peak, r.In, limit)
	}
}

// sparse makes a checkpoint of one layer whose weights are a hole.
func sparse(t *testing.T, vocab, hidden int) string {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf(`{"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_act":"silu","vocab_size":%d,"hidden_size":%d,
		"intermediate_size":64,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":32,
		"max_position_embeddings":128,"rms_norm_eps":1e-5,"rope_theta":10000,"tie_word_embeddings":true}`, vocab, hidden)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	at := 0
	add := func(name string, shape ...int) {
		n := 2
		for _, d := range shape {
			n *= d
		}
		fmt.Fprintf(&head, `%q:{"dtype":"F16","shape":%s,"data_offsets":[%d,%d]},`, name, strings.ReplaceAll(fmt.Sprint(shape), " ", ","), at, at+n)
		at += n
	}
	layer := "model.layers.0."
	add("model.embed_tokens.weight", vocab, hidden)
	add(layer+"input_layernorm.weight", hidden)
	add(layer+"self_attn.q_proj.weight", 64, hidden)
	add(layer+"self_attn.k_proj.weight", 32, hidden)
	add(layer+"self_attn.v_proj.weight", 32, hidden)
	add(layer+"self_attn.o_proj.weight", hidden, 64)
	add(layer+"post_attention_layernorm.weight", hidden)
	add(layer+"mlp.gate_proj.weight", 64, hidden)
	add(layer+"mlp.up_proj.weight", 64, hidden)
	add(layer+"mlp.down_proj.weight", hidden, 64)
	add("model.norm.weight", hidden)
	text := "{" + strings.TrimSuffix(head.String(), ",") + "}"
	text += strings.Repeat(" ", -len(text)&7)
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(8 + len(text) + at)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// watch samples RssAnon until the function that it returns is called, which returns the greatest.
func watch(t *testing.T) func() int64 {
	done := make(chan struct{})
	var group sync.WaitGroup
	var peak int64
	group.Go(func() {
		for {
			peak = max(peak, anonymous(t))
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	return func() int64 {
		close(done)
		group.Wait()
		return peak
	}
}

// anonymous returns the resident bytes of the process that no file backs.
func anonymous(t *testing.T) int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Error(err)
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if kB, ok := strings.CutPrefix(lines.Text(), "RssAnon:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kB), " kB"), 10, 64)
			if err != nil {
				t.Error(err)
			}
			return n << 10
		}
	}
	return 0
}
