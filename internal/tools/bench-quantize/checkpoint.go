//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

const config = `{
	"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu",
	"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
	"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131072,
	"rms_norm_eps": 1e-05, "rope_theta": 500000.0, "tie_word_embeddings": true, "torch_dtype": "float16"
}
`

type tensor struct {
	name  string
	shape []int
}

// tensors lists those of Llama-3.2-1B.
func tensors() []tensor {
	list := []tensor{{"model.embed_tokens.weight", []int{128256, 2048}}}
	for l := range 16 {
		add := func(name string, shape ...int) {
			list = append(list, tensor{fmt.Sprintf("model.layers.%d.%s.weight", l, name), shape})
		}
		add("input_layernorm", 2048)
		add("mlp.down_proj", 2048, 8192)
		add("mlp.gate_proj", 8192, 2048)
		add("mlp.up_proj", 8192, 2048)
		add("post_attention_layernorm", 2048)
		add("self_attn.k_proj", 512, 2048)
		add("self_attn.o_proj", 2048, 2048)
		add("self_attn.q_proj", 2048, 2048)
		add("self_attn.v_proj", 512, 2048)
	}
	return append(list, tensor{"model.norm.weight", []int{2048}})
}

// checkpoint makes the checkpoint in dir, unless it is there, and returns the bytes of its weights
// file.
func checkpoint(dir string) (int64, error) {
	path := filepath.Join(dir, "model.safetensors")
	if info, err := os.Stat(path); err == nil {
		return info.Size(), nil
	}
	fmt.Fprintf(os.Stderr, "making a checkpoint of random weights in %s …\n", dir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o666); err != nil {
		return 0, err
	}
	size, err := weights(path + ".new")
	if err != nil {
		return 0, err
	}
	return size, os.Rename(path+".new", path)
}

// weights writes normal numbers of deviation .02 in float16, norms of 1.
func weights(path string) (size int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	list := tensors()
	head, end := header(list)
	w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(head)))) // Flush reports what fails
	w.WriteString(head)
	values := normal()
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, t := range list {
		row := make([]byte, 2*t.shape[len(t.shape)-1])
		rows := 1
		if len(t.shape) == 2 {
			rows = t.shape[0]
		}
		for range rows {
			fill(row, len(t.shape), rnd, values)
			w.Write(row)
		}
	}
	return int64(8+len(head)) + end, errors.Join(w.Flush(), f.Sync())
}

func fill(row []byte, dims int, rnd *rand.Rand, values []uint16) {
	const one = 0x3c00
	for i := 0; i < len(row); i += 8 {
		r := rnd.Uint64()
		for k := i; k < i+8; k += 2 {
			v := values[r&0xffff]
			if dims == 1 {
				v = one
			}
			binary.LittleEndian.PutUint16(row[k:], v)
			r >>= 16
		}
	}
}

// header returns the JSON of a safetensors file, and the bytes of the tensors after it.
func header(list []tensor) (string, int64) {
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	entries, at := map[string]entry{}, int64(0)
	for _, t := range list {
		size := int64(2)
		for _, d := range t.shape {
			size *= int64(d)
		}
		entries[t.name] = entry{"F16", t.shape, [2]int64{at, at + size}}
		at += size
	}
	text, err := json.Marshal(entries)
	if err != nil {
		panic(err) // of strings and numbers
	}
	return string(text) + strings.Repeat(" ", -len(text)&7), at
}

// normal returns 65536 float16s as a normal distribution of deviation .02 has them.
func normal() []uint16 {
	values := make([]uint16, 1<<16)
	for i := range values {
		p := (float64(i) + .5) / (1 << 16)
		values[i] = half(.02 * math.Sqrt2 * math.Erfinv(2*p-1))
	}
	return values
}

// half rounds x, of magnitude below 1 and not subnormal, to float16.
func half(x float64) uint16 {
	b := math.Float32bits(float32(x))
	sign := uint16(b >> 16 & 0x8000)
	if b &= 0x7fffffff; b < 0x38800000 {
		return sign | uint16(math.RoundToEven(math.Abs(x)*(1<<24)))
	}
	return sign | uint16((b-0x38000000+0xfff+b>>13&1)>>13)
}
