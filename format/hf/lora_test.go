package hf

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// singles decodes float32s.
func singles(data []byte) []float32 {
	var list []float32
	for b := range slices.Chunk(data, 4) {
		list = append(list, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return list
}

// mergedNames are the tensors that an adapter of a fixture changes, with the rows of the stored matrix
// that they are, and whether that is stored by columns.
var mergedNames = map[string]map[string]struct {
	stored      string
	first, last int
	transposed  bool
}{
	"llama": {
		"model.layers.0.self_attn.q_proj.weight": {"model.layers.0.self_attn.q_proj.weight", 0, 32, false},
		"model.layers.1.self_attn.q_proj.weight": {"model.layers.1.self_attn.q_proj.weight", 0, 32, false},
		"model.layers.2.self_attn.v_proj.weight": {"model.layers.2.self_attn.v_proj.weight", 0, 16, false},
		"model.layers.1.mlp.gate_proj.weight":    {"model.layers.1.mlp.gate_proj.weight", 0, 48, false},
		"model.layers.2.mlp.down_proj.weight":    {"model.layers.2.mlp.down_proj.weight", 0, 32, false},
	},
	"phi3": {
		"model.layers.1.self_attn.qkv_proj.weight[32:48]": {"model.layers.1.self_attn.qkv_proj.weight", 32, 48, false},
		"model.layers.2.mlp.gate_up_proj.weight[48:96]":   {"model.layers.2.mlp.gate_up_proj.weight", 48, 96, false},
		"model.layers.0.self_attn.o_proj.weight":          {"model.layers.0.self_attn.o_proj.weight", 0, 32, false},
	},
	"gpt2": {
		"transformer.h.1.attn.c_attn.weight[64:96]": {"transformer.h.1.attn.c_attn.weight", 64, 96, true},
		"transformer.h.2.mlp.c_proj.weight":         {"transformer.h.2.mlp.c_proj.weight", 0, 32, true},
	},
}

// The merged matrices are those of PEFT. Both compute W + s·(B·A) in float32, but sum at most 7 products
// in another order: each of 7 sums, the scaling and the last sum may be off by 2⁻²⁴ of what it adds up,
// on both sides.
func TestMerge(t *testing.T) {
	for family, names := range mergedNames {
		c := mustOpen(t, fixtureOf(t, family))
		dir := quantized + "lora_" + family
		if err := c.Merge(dir, 1); err != nil {
			t.Fatal(err)
		}
		golden := unpack(t, filepath.Join(dir, "merged.safetensors"))
		plain := mustOpen(t, fixtureOf(t, family))
		for name, at := range names {
			d := golden[at.stored]
			want := singles(d.data)
			if at.transposed {
				want = transpose(want, d.Shape[0], d.Shape[1])
			}
			have, before := valuesOf(t, c, name), valuesOf(t, plain, name)
			want = want[at.first*len(have)/(at.last-at.first):][:len(have)]
			changed := false
			for i := range have {
				size := math.Abs(float64(before[i])) + 8*math.Abs(float64(have[i]-before[i])) + 1
				if diff := math.Abs(float64(have[i]) - float64(want[i])); diff > 2*9*size/(1<<24) {
					t.Fatalf("%s: element %d is %g, want %g", name, i, have[i], want[i])
				}
				changed = changed || have[i] != before[i]
			}
			if !changed {
				t.Errorf("%s: nothing was merged", name)
			}
		}
		if name := c.Tensors()[0].Name; !slices.Equal(valuesOf(t, c, name), valuesOf(t, plain, name)) {
			t.Errorf("%s: %s has changed", family, name)
		}
		files, notes := c.Files(), c.Notes()
		if filepath.Base(files[len(files)-1].Path) != adapterWeights || filepath.Base(files[len(files)-2].Path) != adapterConfig {
			t.Errorf("files %v", files)
		}
		if !strings.Contains(notes[len(notes)-1], "merged: LoRA adapter lora_"+family+", scale 1, into ") {
			t.Errorf("notes %q", notes)
		}
	}
}

// Rows are the same however many are asked for at a time; adapters and scales add up; what is merged is
// neither raw nor ready.
func TestMergeTwice(t *testing.T) {
	const name = "model.layers.0.self_attn.q_proj.weight"
	dir := quantized + "lora_llama"
	once, twice, none := mustOpen(t, fixtureOf(t, "llama")), mustOpen(t, fixtureOf(t, "llama")), mustOpen(t, fixtureOf(t, "llama"))
	for _, x := range []struct {
		c     *Checkpoint
		scale float64
	}{{once, .5}, {twice, 1.5}, {twice, -1}, {none, 0}} {
		if err := x.c.Merge(dir, x.scale); err != nil {
			t.Fatal(err)
		}
	}
	a, b := valuesOf(t, once, name), valuesOf(t, twice, name)
	base := valuesOf(t, mustOpen(t, fixtureOf(t, "llama")), name)
	if !slices.Equal(valuesOf(t, none, name), base) {
		t.Error("scale 0 changes weights")
	}
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-6 || a[i] == base[i] {
			t.Fatalf("element %d is %g with half, %g with 1.5−1, %g without", i, a[i], b[i], base[i])
		}
	}
	i := indexOf(t, once, name)
	row := make([]float32, 32)
	for r := range 32 {
		if err := once.Rows(i, r, 1, row); err != nil || !slices.Equal(row, a[r*32:(r+1)*32]) {
			t.Fatalf("row %d differs, %v", r, err)
		}
	}
	if _, raw := once.Raw(i); raw {
		t.Error("merged weights are raw")
	}
	gptq := mustOpen(t, quantized+"gptq")
	i = indexOf(t, gptq, name)
	gptq.bound[i].changes = once.bound[i].changes
	if ok, why := gptq.Ready(i, 4, 64); ok || !strings.Contains(why, "adapter") {
		t.Errorf("ready: %v, %q", ok, why)
	}
}

// An adapter of a model inside another one is found under the names of the checkpoint.
func TestMergeFindsRenamed(t *testing.T) {
	dir := copyOf(t, "gpt2")
	path := filepath.Join(dir, "model.safetensors")
	all := map[string]*tensorData{}
	for name, d := range unpack(t, path) {
		all[strings.TrimPrefix(name, "transformer.")] = d
	}
	pack(t, path, all)
	if err := mustOpen(t, dir).Merge(quantized+"lora_gpt2", 1); err != nil {
		t.Error(err)
	}
}

func TestMergeRefuses(t *testing.T) {
	config := func(key string, value any) func(*testing.T, string) {
		return func(t *testing.T, dir string) { edit(t, filepath.Join(dir, adapterConfig), set(key, value)) }
	}
	const qA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
	tensors := func(change func(map[string]*tensorData)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, adapterWeights)
			all := unpack(t, path)
			change(all)
			pack(t, path, all)
		}
	}
	add := func(name string) func(*testing.T, string) {
		return tensors(func(m map[string]*tensorData) {
			m[name] = &tensorData{DType: "F32", Shape: []int{1}, data: make([]byte, 4)}
		})
	}
	for _, c := range []struct {
		name string
		do   func(*testing.T, string)
		want string
	}{
		{"no directory", func(_ *testing.T, dir string) { os.RemoveAll(dir) }, "no such file"},
		{"config is a list", func(t *testing.T, dir string) { write(t, filepath.Join(dir, adapterConfig), []byte("[]")) }, "want an object"},
		{"another method", config("peft_type", "IA3"), `"IA3" is not supported; supported: LORA`},
		{"DoRA", config("use_dora", true), "there is no \"model.layers.0.mlp.down_proj.lora_magnitude_vector\", although the adapter is DoRA"},
		{"whole modules", config("modules_to_save", []string{"lm_head"}), `modules_to_save names "lm_head", but no tensor of it is there`},
		{"alpha of null", config("lora_alpha", nil), `key "lora_alpha": want a number, have null`},
		{"token of null", config("trainable_token_indices", []any{3, nil}), `key "trainable_token_indices": want an array of whole numbers, have [3,null]`},
		{"token of null in one of several", config("trainable_token_indices", map[string]any{"embed_tokens": []any{nil}}), `key "trainable_token_indices.embed_tokens": want an array of whole numbers, have [null]`},
		{"tokens", config("trainable_token_indices", []int{3}), "there are trainable_token_indices, but no trained tokens"},
		{"biases", config("bias", "some"), `key "bias": "some" is not supported`},
		{"prompt tuning", config("peft_type", "PREFIX_TUNING"), "changes no weights: it cannot be merged"},
		{"PiSSA", config("init_lora_weights", "pissa"), "changes the weights of the base model"},
		{"rank is text", config("r", "4"), `key "r": want a whole number`},
		{"rank 0", config("r", 0), `key "r": want a number from 1`},
		{"another rank", config("r", 5), "shape [4 32], but rank and base model make it [5 32]"},
		{"pattern is no expression", config("rank_pattern", map[string]any{"(": 1}), `key "rank_pattern": error parsing regexp`},
		{"pattern is no number", config("alpha_pattern", map[string]any{"q": "1"}), `key "alpha_pattern.q": want a number`},
		{"pattern of null", config("alpha_pattern", map[string]any{"q": nil}), `key "alpha_pattern.q": want a number, have null`},
		{"unknown key", config("use_magic", true), "keys that are not supported: use_magic"},
		{"an adapter of MLX", func(_ *testing.T, dir string) {
			os.Rename(filepath.Join(dir, adapterWeights), filepath.Join(dir, "adapters.safetensors"))
		}, "is an adapter of mlx_lm; supported: those of PEFT. Merge it with: mlx_lm.fuse"},
		{"pickled", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, adapterWeights))
			write(t, filepath.Join(dir, "adapter_model.bin"), []byte("PK"))
		}, "adapter_model.bin is a file of PyTorch. Save it as safetensors"},
		{"no weights", func(_ *testing.T, dir string) { os.Remove(filepath.Join(dir, adapterWeights)) }, "no adapter_model.safetensors is there: want the directory that PEFT's save_pretrained wrote"},
		{"empty weights", func(t *testing.T, dir string) { write(t, filepath.Join(dir, adapterWeights), safefile("{}", nil)) }, "there is no tensor in it"},
		{"truncated", func(t *testing.T, dir string) {
			path := filepath.Join(dir, adapterWeights)
			write(t, path, read(t, path)[:5000])
		}, "truncated"},
		{"no pair", tensors(func(m map[string]*tensorData) { delete(m, strings.Replace(qA, "_A", "_B", 1)) }), "lora_A.weight\": there is no"},
		{"no first half", tensors(func(m map[string]*tensorData) { delete(m, qA) }), "lora_B.weight\": there is no"},
		{"no such module", tensors(func(m map[string]*tensorData) {
			for _, half := range []string{"_A", "_B"} {
				name := strings.Replace(qA, "_A", half, 1)
				d := *m[name]
				m[strings.Replace(name, "q_proj", "x_proj", 1)] = &d
			}
		}), `the checkpoint has no matrix "model.layers.0.self_attn.x_proj.weight"`},
		{"a pair for a module of two names", tensors(func(m map[string]*tensorData) {
			for _, half := range []string{"_A", "_B"} {
				name := strings.Replace(qA, "_A", half, 1)
				d := *m[name]
				m[strings.Replace(name, "model.model.", "model.", 1)] = &d
			}
		}), `a second pair for matrix "model.layers.0.self_attn.q_proj.weight"`},
		{"integers", tensors(func(m map[string]*tensorData) { m[qA].DType = "I32" }), "unsupported dtype I32"},
		{"shape of the pair", tensors(func(m map[string]*tensorData) {
			d := m[strings.Replace(qA, "_A", "_B", 1)]
			d.Shape = []int{d.Shape[1], d.Shape[0]}
		}), "its pair has shape [4 32], want [32 4]"},
		{"DoRA tensor", add("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector"), "does not say that the adapter is DoRA (use_dora)"},
		{"embedding", add("base_model.model.model.embed_tokens.lora_embedding_A"), "there is no \"base_model.model.model.embed_tokens.lora_embedding_B\""},
		{"whole tensor", add("base_model.model.lm_head.weight"), "shape [1], but the base model has [96 32]"},
		{"norm", tensors(func(m map[string]*tensorData) {
			m["base_model.model.model.norm.weight"] = &tensorData{DType: "F32", Shape: []int{32}, data: make([]byte, 128)}
		}), "a whole tensor that adapter_config.json does not speak of"},
		{"another base", tensors(func(m map[string]*tensorData) {
			m["base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight"] = &tensorData{DType: "F32", Shape: []int{32, 32}, data: make([]byte, 4096)}
		}), `it differs from the checkpoint's "model.layers.0.self_attn.q_proj.weight"`},
		{"resized", tensors(func(m map[string]*tensorData) {
			m["base_model.model.model.embed_tokens.weight"] = &tensorData{DType: "F16", Shape: []int{98, 32}, data: make([]byte, 98*64)}
		}), "shape [98 32], but the base model has [96 32]: the vocabulary was resized"},
		{"bias without one", add("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias"), "the checkpoint has no bias"},
		{"classifier", add("base_model.model.score.weight"), "the head of a classifier or reward model"},
		{"other name", add("model.layers.0.self_attn.q_proj.lora_C.weight"), "unexpected; a LoRA pair is named"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(quantized+"lora_llama")); err != nil {
				t.Fatal(err)
			}
			c.do(t, dir)
			open := mustOpen(t, fixtureOf(t, "llama"))
			err := open.Merge(dir, 1)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if len(open.adapters) > 0 || hasNote(open, "merged") {
				t.Error("something is merged")
			}
		})
	}
	if err := mustOpen(t, fixtureOf(t, "llama")).Merge(quantized+"lora_llama", math.Inf(1)); err == nil {
		t.Error("an infinite scale is taken")
	}
}

// Whatever the configuration of an adapter says, it is an adapter or an error.
func FuzzAdapter(f *testing.F) {
	for _, name := range []string{"llama", "phi3", "gpt2"} {
		f.Add(read(f, quantized+"lora_"+name+"/"+adapterConfig))
	}
	f.Add([]byte(`{"peft_type":"LORA","r":1,"rank_pattern":{"a|b":2}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAdapter(data)
		if (a == nil) == (err == nil) {
			t.Errorf("%v, %v", a, err)
		}
		if err == nil && !(a.rank >= 1) {
			t.Errorf("rank %v", a.rank)
		}
	})
}
