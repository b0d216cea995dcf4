package main

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/format/gguf/gguftest"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// makeGGUF FILE f16|q8_0|q4_0 makes a GGUF file of $TINY, as llama.cpp does.
func makeGGUF(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: gguf FILE TYPE")
	}
	dir := ts.Getenv("TINY")
	ck, err := hf.Open(dir)
	ts.Check(err)
	defer ck.Close()
	f := &gguftest.File{Values: append(tinyMetadata(), tinyVocabulary(ts, dir)...)}
	for i, t := range ck.Tensors() {
		rows := make([]float32, t.Rows()*t.Cols())
		ts.Check(ck.Rows(i, 0, t.Rows(), rows))
		x := gguftest.Tensor{Name: tinyName(t), Shape: t.Shape}
		switch {
		case len(t.Shape) == 1:
			x.Data = floats32(rows)
		case args[1] == "f16":
			x.Type, x.Data = 1, floats16(inPairs(t, rows))
		case args[1] == "q8_0":
			x.Type, x.Data = 8, q8(inPairs(t, rows))
		case args[1] == "q4_0":
			x.Type, x.Data = 2, q4(inPairs(t, rows))
		default:
			ts.Fatalf("type %s", args[1])
		}
		f.Tensors = append(f.Tensors, x)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), f.Bytes(), 0o666))
}

func tinyMetadata() []gguftest.Value {
	return []gguftest.Value{
		{Key: "general.architecture", Value: "llama"},
		{Key: "general.file_type", Value: uint32(7)},
		{Key: "llama.block_count", Value: uint32(6)},
		{Key: "llama.context_length", Value: uint32(1024)},
		{Key: "llama.embedding_length", Value: uint32(256)},
		{Key: "llama.feed_forward_length", Value: uint32(768)},
		{Key: "llama.attention.head_count", Value: uint32(4)},
		{Key: "llama.attention.head_count_kv", Value: uint32(2)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
		{Key: "llama.rope.freq_base", Value: float32(10000)},
		{Key: "llama.rope.dimension_count", Value: uint32(64)},
	}
}

func tinyVocabulary(ts *testscript.TestScript, dir string) []gguftest.Value {
	text, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	ts.Check(err)
	var t struct {
		Model struct {
			Vocab  map[string]int
			Merges [][2]string
		}
	}
	ts.Check(json.Unmarshal(text, &t))
	tokens, types, merges := make([]string, len(t.Model.Vocab)), make([]int32, len(t.Model.Vocab)), []string{}
	for token, id := range t.Model.Vocab {
		tokens[id], types[id] = token, 1
	}
	types[0], types[1] = 3, 3
	for _, m := range t.Model.Merges {
		merges = append(merges, m[0]+" "+m[1])
	}
	return []gguftest.Value{
		{Key: "tokenizer.ggml.model", Value: "gpt2"},
		{Key: "tokenizer.ggml.pre", Value: "llama-bpe"},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.merges", Value: merges},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(0)},
		{Key: "tokenizer.ggml.eos_token_id", Value: uint32(1)},
		{Key: "tokenizer.chat_template", Value: "{% for m in messages %}{{ m.content }}{% endfor %}"},
	}
}

func tinyName(t model.Tensor) string {
	names := map[model.Role]string{
		model.RoleEmbed: "token_embd", model.RoleFinalNorm: "output_norm", model.RoleAttnNorm: "attn_norm", model.RoleQ: "attn_q",
		model.RoleK: "attn_k", model.RoleV: "attn_v", model.RoleO: "attn_output", model.RoleMLPNorm: "ffn_norm", model.RoleGate: "ffn_gate",
		model.RoleUp: "ffn_up", model.RoleDown: "ffn_down",
	}
	if t.Layer == model.NoLayer {
		return names[t.Role] + ".weight"
	}
	return strings.Join([]string{"blk", strconv.Itoa(t.Layer), names[t.Role], "weight"}, ".")
}

// inPairs puts the rows of queries and keys into the order that GGUF files have for a Llama.
func inPairs(t model.Tensor, rows []float32) []float32 {
	const head = 64
	if t.Role != model.RoleQ && t.Role != model.RoleK {
		return rows
	}
	var out []float32
	for first := 0; first < t.Rows(); first += head {
		for j := range head {
			row := first + j/2 + j%2*head/2
			out = append(out, rows[row*t.Cols():(row+1)*t.Cols()]...)
		}
	}
	return out
}

func floats32(values []float32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func floats16(values []float32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, float16.Fromfloat32(v).Bits())
	}
	return b
}

// largest returns the value of a block that is farthest from 0.
func largest(block []float32) (most float32) {
	for _, v := range block {
		if math.Abs(float64(v)) > math.Abs(float64(most)) {
			most = v
		}
	}
	return most
}

func q8(values []float32) (b []byte) {
	for ; len(values) > 0; values = values[32:] {
		d := float16.Fromfloat32(float32(math.Abs(float64(largest(values[:32])))) / 127)
		b = binary.LittleEndian.AppendUint16(b, d.Bits())
		for _, v := range values[:32] {
			b = append(b, byte(int8(math.Round(float64(v/d.Float32())))))
		}
	}
	return b
}

func q4(values []float32) (b []byte) {
	for ; len(values) > 0; values = values[32:] {
		d := float16.Fromfloat32(largest(values[:32]) / -8)
		b = binary.LittleEndian.AppendUint16(b, d.Bits())
		code := func(v float32) byte { return byte(min(15, math.Floor(float64(v/d.Float32())+8.5))) }
		for i := range 16 {
			b = append(b, code(values[i])|code(values[16+i])<<4)
		}
	}
	return b
}
