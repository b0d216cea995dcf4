package hf

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// supportedFamilies is the list that errors end with.
var supportedFamilies = strings.Join(slices.Sorted(maps.Keys(families)), ", ")

// damage is one thing that may be wrong with a checkpoint, and what the error must say.
type damage struct {
	name   string
	family string // the fixture that is damaged
	do     func(t *testing.T, dir string)
	want   string
}

// inConfig damages a key of config.json.
func inConfig(name, family, key string, value any, want string) damage {
	return damage{name, family, func(t *testing.T, dir string) { edit(t, configOf(dir), set(key, value)) }, want}
}

// inFile replaces model.safetensors.
func inFile(name string, file []byte, want string) damage {
	return damage{name, "mistral", func(t *testing.T, dir string) {
		write(t, filepath.Join(dir, "model.safetensors"), file)
	}, want}
}

// inTensors changes the tensors of model.safetensors.
func inTensors(name, family string, change func(map[string]*tensorData), want string) damage {
	return damage{name, family, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "model.safetensors")
		all := unpack(t, path)
		change(all)
		pack(t, path, all)
	}, want}
}

// inIndex changes the weight_map of the sharded fixture.
func inIndex(name string, change func(weights map[string]any), want string) damage {
	return damage{name, "llama", func(t *testing.T, dir string) {
		edit(t, filepath.Join(dir, indexFile), func(m map[string]any) { change(m["weight_map"].(map[string]any)) })
	}, want}
}

// weightless removes all safetensors.
func weightless(dir string) {
	for _, name := range weightsIn(dir) {
		os.Remove(filepath.Join(dir, name))
	}
}

const (
	qProj   = "model.layers.1.self_attn.q_proj.weight"
	oneHalf = `{"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}}`
)

var damages = []damage{
	{"no directory", "llama", func(t *testing.T, dir string) { os.RemoveAll(dir) }, "no such file or directory"},
	{"config is no JSON", "llama", func(t *testing.T, dir string) { write(t, configOf(dir), []byte("{")) }, "config.json: "},
	{"config is null", "llama", func(t *testing.T, dir string) { write(t, configOf(dir), []byte("null")) }, "want an object"},
	{"config is empty", "llama", func(t *testing.T, dir string) { write(t, configOf(dir), nil) }, "config.json: is empty"},
	{"byte order mark", "llama", func(t *testing.T, dir string) {
		write(t, configOf(dir), append([]byte("\xef\xbb\xbf"), read(t, configOf(dir))...))
	}, "config.json: begins with a byte order mark"},
	{"text after config", "llama", func(t *testing.T, dir string) {
		write(t, configOf(dir), append(read(t, configOf(dir)), " {}"...))
	}, "config.json: "},
	inConfig("unknown family", "llama", "model_type", "walk", `unsupported model_type "walk"; supported: `+supportedFamilies),
	inConfig("a part is missing", "llama", "model_type", "mamba", `model_type "mamba" is not supported: it needs state space layers whose elements fade each at a rate of their own (Mamba 1), which llama-webgpu does not compute; supported: `+supportedFamilies),
	{"no family", "llama", func(t *testing.T, dir string) {
		edit(t, configOf(dir), func(m map[string]any) { delete(m, "model_type"); m["architectures"] = []string{"MambaForCausalLM"} })
	}, "model_type is missing: this is no config.json of transformers; supported: " + supportedFamilies},
	inConfig("unknown activation", "llama", "hidden_act", "swiglu7", `key "hidden_act": activation "swiglu7" is not supported; supported: gelu`),
	inConfig("not causal", "qwen2", "is_causal", false, `key "is_causal": only causal attention is supported`),
	inConfig("not causal, by null", "gpt2", "is_causal", nil, `key "is_causal": only causal attention is supported`),
	inConfig("encoder", "llama", "is_encoder_decoder", true, `key "is_encoder_decoder": models with an encoder are not supported`),
	inConfig("configurations of layers", "mistral", "per_layer_config", map[string]any{"1": map[string]any{"head_dim": 4}}, `key "per_layer_config": `),
	inConfig("layers of another kind", "llama", "layer_types", []string{"full_attention", "attention", "sliding_attention"}, `layer 2: this family has only layers of full attention, not of "sliding_attention"`),
	inConfig("other layers", "llama", "layer_types", []string{"full_attention"}, "1 entries for 3 layers"),
	inConfig("model in a model", "llama", "text_config", map[string]any{"hidden_size": 4}, `key "text_config": this family has no model inside the model`),
	inConfig("model in a language model", "gemma4_moe", "text_config", map[string]any{"text_config": map[string]any{"hidden_size": 4}}, `key "text_config.text_config": this family has no model inside the model`),
	inConfig("rotations by an old key", "gemma4", "rope_scaling", map[string]any{"rope_type": "linear", "factor": 8}, `key "rope_scaling": this family has its rotations in rope_parameters`),
	inConfig("two lists of layers", "nemotron_h", "layer_types", []string{"full_attention"}, `key "layer_types": not the same as layers_block_type`),
	inConfig("a share that heads do not have", "orion", "hidden_size", 33, `key "head_dim": missing, and hidden_size, 33, is no multiple of the 4 attention heads`),
	{"around a model", "llama", func(t *testing.T, dir string) {
		edit(t, configOf(dir), func(m map[string]any) {
			m["model_type"], m["text_config"] = "llava", map[string]any{"model_type": "llama"}
		})
	}, `model_type "llava" is not supported: it wraps a language model (text_config: llama)`},
	inConfig("weights elsewhere", "llama", "transformers_weights", "consolidated.safetensors", `weights in "consolidated.safetensors" are not found`),
	inConfig("no head", "mistral", "architectures", []string{"MistralModel"}, "MistralModel makes no logits of the next token"),
	inConfig("draft for another model", "mistral", "architectures", []string{"LlamaForCausalLMEagle3"}, "LlamaForCausalLMEagle3 makes no logits of the next token by itself"),
	inConfig("another head", "mistral", "architectures", []string{"MistralForSequenceClassification"}, "write MistralForCausalLM here"),
	inConfig("size of heads", "gpt_neox", "head_dim", 4, `key "head_dim": 4: heads of this family have 8 elements`),
	inConfig("heads and width", "gpt2", "num_attention_heads", 5, "32 is no multiple of the 5 attention heads"),
	inConfig("infinite", "llama", "rms_norm_eps", map[string]any{"__float__": "Infinity"}, `key "rms_norm_eps": want a number, have Infinity`),
	inConfig("several rotations", "llama", "rope_parameters", map[string]any{"full_attention": map[string]any{"rope_theta": 1e4}}, `key "rope_parameters.full_attention": this family has one RoPE`),
	inConfig("one rotation", "gemma3", "rope_parameters", map[string]any{"rope_theta": 1e4}, `key "rope_parameters.rope_theta": want the parameters under full_attention`),
	inConfig("unknown rope type", "llama", "rope_parameters", map[string]any{"rope_type": "spiral", "rope_theta": 1e4}, `unsupported rope type "spiral"; supported: default, dynamic, linear, llama3, longrope, yarn`),
	inConfig("rope without factor", "llama", "rope_parameters", map[string]any{"rope_type": "linear"}, `key "rope_parameters.factor": want a number above 0`),
	inConfig("rope theta below 0", "llama", "rope_parameters", map[string]any{"rope_theta": -1}, `"rope_parameters.rope_theta": want a number above 0`),
	inConfig("scaling that transformers does not apply", "cohere2_moe", "rope_scaling", map[string]any{"type": "linear", "factor": 2.0}, `key "rope_scaling": transformers does not apply it in this family; write rope_parameters`),
	inConfig("partial rotation", "llama", "partial_rotary_factor", 0.5, "this family rotates whole heads"),
	inConfig("longrope factors", "phi3_longrope", "rope_parameters", map[string]any{"rope_type": "longrope", "short_factor": []int{1}, "long_factor": []int{1}}, "short_factor has 1 and long_factor 1 numbers, want 4"),
	inConfig("quantized", "llama", "quantization_config", map[string]any{"bits": 4}, `quantization_config: quant_method "" is not supported; supported: fp8, `),
	inConfig("hidden size is text", "llama", "hidden_size", "32", `key "hidden_size": want a whole number, have "32"`),
	inConfig("hidden size has a fraction", "llama", "hidden_size", 32.5, `key "hidden_size": want a whole number`),
	inConfig("epsilon below 0", "llama", "rms_norm_eps", -1, `key "rms_norm_eps": want a number from 0 to 1, have -1`),
	inConfig("hidden size of 0", "llama", "hidden_size", 0, `key "hidden_size": want a number from 1 to`),
	inConfig("hidden size missing", "llama", "hidden_size", nil, `key "hidden_size": missing`),
	inConfig("a million layers", "llama", "num_hidden_layers", 1000000, `key "num_hidden_layers": 1000000 are too many`),
	inConfig("heads and groups", "llama", "num_key_value_heads", 3, "4 heads are not a multiple of 3"),
	inConfig("bool is a number", "llama", "attention_bias", 1, `key "attention_bias": want true or false, have 1`),
	inConfig("layer types too few", "gemma2", "layer_types", []string{"full_attention"}, "1 entries for 3 layers"),
	inConfig("unknown layer type", "gemma2", "layer_types", []string{"full_attention", "linear_attention", "full_attention"}, `layer 1: "linear_attention" is unknown`),
	inConfig("bidirectional", "gemma3", "use_bidirectional_attention", true, "only causal attention is supported"),
	inConfig("cross attention", "gpt2", "add_cross_attention", true, "cross attention is not supported"),
	inConfig("top-k of experts", "mixtral", "num_experts_per_tok", 5, "top_k: 5 of 4 experts"),
	inConfig("no_rope_layers too few", "smollm3", "no_rope_layers", []int{1}, "1 entries for 4 layers"),

	{"no weights", "mistral", func(t *testing.T, dir string) { weightless(dir) }, "neither model.safetensors nor model.safetensors.index.json is there"},
	{"only pickled weights", "mistral", func(t *testing.T, dir string) {
		weightless(dir)
		write(t, filepath.Join(dir, "pytorch_model.bin"), []byte("PK"))
	}, "has weights of PyTorch (pytorch_model.bin): only safetensors are read. Convert it with Python: from transformers import"},
	{"other weights", "mistral", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, singleFile)) }, "weights are read from golden.safetensors)"},
	{"index and a shard missing", "llama", func(t *testing.T, dir string) {
		os.Remove(filepath.Join(dir, indexFile))
		os.Remove(filepath.Join(dir, "model-00003-of-00003.safetensors"))
	}, "1 of 3 files that belong together are missing: model-00003-of-00003.safetensors"},
	{"two models", "mistral", func(t *testing.T, dir string) {
		os.Rename(filepath.Join(dir, singleFile), filepath.Join(dir, "model.fp16.safetensors"))
		write(t, filepath.Join(dir, "model.fp32.safetensors"), nil)
	}, "but golden.safetensors, model.fp16.safetensors, model.fp32.safetensors: rename the one with the model to model.safetensors"},
	{"link to nothing", "mistral", func(t *testing.T, dir string) {
		weightless(dir)
		if err := os.Symlink("../blobs/0123", filepath.Join(dir, singleFile)); err != nil {
			t.Skip(err)
		}
	}, "model.safetensors: a link to a file that is not there"},
	{"missing shard", "llama", func(t *testing.T, dir string) {
		os.Remove(filepath.Join(dir, "model-00002-of-00003.safetensors"))
	}, "1 of 3 files that model.safetensors.index.json names are missing: model-00002-of-00003.safetensors"},
	{"weights are a directory", "mistral", func(t *testing.T, dir string) {
		os.Remove(filepath.Join(dir, "model.safetensors"))
		os.Mkdir(filepath.Join(dir, "model.safetensors"), 0o755)
	}, "not a regular file"},
	{"index is no JSON", "llama", func(t *testing.T, dir string) { write(t, filepath.Join(dir, indexFile), []byte("{")) }, indexFile + ": "},
	{"index is empty", "llama", func(t *testing.T, dir string) { write(t, filepath.Join(dir, indexFile), []byte(`{"metadata":{}}`)) }, "weight_map is missing or empty"},
	inIndex("index leaves the directory", func(w map[string]any) { w[qProj] = "../model.safetensors" }, `"../model.safetensors" is not the name of a file beside the index`),
	inIndex("index has a tensor more", func(w map[string]any) { w["model.more"] = "model-00001-of-00003.safetensors" }, `tensor "model.more": the index says it is here, but it is not`),

	inFile("empty file", nil, "is cut off: it has 0 bytes"),
	inFile("seven bytes", make([]byte, 7), "is cut off: it has 7 bytes"),
	inFile("no header", make([]byte, 64), "header does not begin with {"),
	inFile("text", []byte("hello, this is no safetensors file"), "is this a safetensors file?"),
	inFile("page", []byte("<html><body>Not Found</body></html>"), "model.safetensors: is a page of a website, not the file itself"),
	inFile("GGUF", []byte("GGUF\x03\x00\x00\x00"), "model.safetensors: is a GGUF file under another name"),
	inFile("pickled", []byte("PK\x03\x04\x00\x00\x00\x00"), "model.safetensors: is an archive or a file of PyTorch under another name"),
	{"config is a page", "llama", func(t *testing.T, dir string) { write(t, configOf(dir), []byte("<!DOCTYPE html>")) }, "config.json: is a page of a website"},
	inFile("LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 1\n"), "model.safetensors: is a Git LFS pointer, not the file itself: fetch it with git lfs pull"),
	inFile("header longer than the file", safefile(oneHalf, nil)[:30], "truncated: the header needs bytes 8–"),
	inFile("huge header", append([]byte{0, 0, 0, 8, 0, 0, 0, 0}, make([]byte, 100)...), "header of 134217728 bytes: at most 100000000 are read"),
	inFile("null header", safefile("null", nil), "header does not begin with {"),
	inFile("header is cut", safefile(oneHalf[:40], nil), "header: "),
	inFile("text after the header", safefile(oneHalf+"{}", make([]byte, 8)), "header: there is something after the object"),
	inFile("duplicate tensor", safefile(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"a":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}}`, make([]byte, 8)), `duplicate object member name "a"`),
	inFile("name is no UTF-8", safefile("{\"\xff\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]}}", make([]byte, 8)), "invalid UTF-8"),
	inFile("name is empty", safefile(strings.Replace(oneHalf, `"a"`, `""`, 1), make([]byte, 8)), "name of 0 bytes"),
	inFile("name too long", safefile(strings.Replace(oneHalf, `"a"`, `"`+strings.Repeat("n", 2000)+`"`, 1), make([]byte, 8)), "name of 2000 bytes"),
	inFile("entry is a number", safefile(`{"a":1}`, nil), `tensor "a": want an object`),
	inFile("metadata is a list", safefile(`{"__metadata__":[]}`, nil), "__metadata__: want an object"),
	inFile("metadata holds a number", safefile(`{"__metadata__":{"a":1}}`, nil), "__metadata__: "),
	inFile("unknown key in entry", safefile(strings.Replace(oneHalf, `"shape"`, `"x":1,"shape"`, 1), make([]byte, 8)), `tensor "a": unknown key "x"`),
	inFile("entry without shape", safefile(`{"a":{"dtype":"F16","data_offsets":[0,8]}}`, make([]byte, 8)), "want dtype, shape and data_offsets"),
	inFile("unknown dtype", safefile(strings.Replace(oneHalf, "F16", "F5", 1), make([]byte, 8)), `unsupported dtype "F5"; supported: BF16, F16, F32, F64, F8_E4M3, F8_E5M2`),
	inFile("negative dimension", safefile(strings.Replace(oneHalf, "[4]", "[-4]", 1), make([]byte, 8)), "-4 is no whole number"),
	inFile("dimension with a point", safefile(strings.Replace(oneHalf, "[4]", "[4.0]", 1), make([]byte, 8)), "4.0 is no whole number"),
	inFile("dimension is huge", safefile(strings.Replace(oneHalf, "[4]", "[18446744073709551616]", 1), make([]byte, 8)), "is no whole number"),
	inFile("shape overflows", safefile(strings.Replace(oneHalf, "[4]", "[4294967296,4294967296,4]", 1), make([]byte, 8)), "overflows"),
	inFile("rank of 100", safefile(strings.Replace(oneHalf, "[4]", "["+strings.Repeat("1,", 99)+"4]", 1), make([]byte, 8)), "100 dimensions, at most 8"),
	inFile("one offset", safefile(strings.Replace(oneHalf, "[0,8]", "[0]", 1), make([]byte, 8)), "data_offsets: want 2 numbers, have 1"),
	inFile("offsets backwards", safefile(strings.Replace(oneHalf, "[0,8]", "[8,0]", 1), make([]byte, 8)), "run backwards"),
	inFile("size is not the shape's", safefile(strings.Replace(oneHalf, "[4]", "[3]", 1), make([]byte, 8)), "F16 [3] needs 6 bytes, data_offsets give 8"),
	inFile("truncated data", safefile(oneHalf, make([]byte, 6)), "truncated: needs bytes"),
	inFile("bytes at the end", safefile(oneHalf, make([]byte, 9)), "1 bytes after the last tensor belong to no tensor"),
	inFile("hole", safefile(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[1],"data_offsets":[6,8]}} `, make([]byte, 8)), `tensor "b": bytes 4–6 before it belong to no tensor`),
	inFile("overlap", safefile(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[3],"data_offsets":[2,8]}} `, make([]byte, 8)), `tensor "b": bytes 2–8 overlap`),

	inTensors("missing tensor", "mistral", func(m map[string]*tensorData) { delete(m, qProj) }, `tensor "`+qProj+`" is missing`),
	inTensors("missing head", "mistral", func(m map[string]*tensorData) { delete(m, "lm_head.weight") }, `tensor "lm_head.weight" is missing; config.json has tie_word_embeddings false`),
	inTensors("missing expert", "mixtral", func(m map[string]*tensorData) { delete(m, "model.layers.1.block_sparse_moe.experts.3.w2.weight") }, "experts.3.w2.weight\" is missing"),
	inTensors("extra tensor", "mistral", func(m map[string]*tensorData) {
		m["model.layers.7.more"] = &tensorData{DType: "F16", Shape: []int{1}, data: make([]byte, 2)}
	}, `tensor "model.layers.7.more": unexpected`),
	inTensors("bias that config does not know", "mistral", func(m map[string]*tensorData) {
		m["model.layers.0.self_attn.q_proj.bias"] = &tensorData{DType: "F16", Shape: []int{1}, data: make([]byte, 2)}
	}, "q_proj.bias\": unexpected"),
	inTensors("wrong shape", "mistral", func(m map[string]*tensorData) { m[qProj].Shape = []int{32, 64} }, `tensor "`+qProj+`": shape [32 64], but config.json makes it [64 32]`),
	inTensors("wrong shape of a fused one", "phi3", func(m map[string]*tensorData) { m["model.layers.0.self_attn.qkv_proj.weight"].Shape = []int{32, 64} }, "shape [32 64], but config.json makes it [64 32]"),
	inTensors("integers", "mistral", func(m map[string]*tensorData) { m[qProj].DType = "I16" }, `tensor "`+qProj+`": unsupported dtype I16; supported: BF16, F16, F32, F64`),
	inTensors("expert of another dtype", "mixtral", func(m map[string]*tensorData) {
		m["model.layers.0.block_sparse_moe.experts.2.w1.weight"].DType = "BF16"
	}, "dtype BF16, but other experts are F16"),
	{"tensor in two shards", "llama", func(t *testing.T, dir string) {
		from := unpack(t, filepath.Join(dir, "model-00001-of-00003.safetensors"))
		path := filepath.Join(dir, "model-00003-of-00003.safetensors")
		to := unpack(t, path)
		for name, d := range from {
			to[name] = d
		}
		pack(t, path, to)
	}, "model-00003-of-00003.safetensors: tensor"},
}

func TestDamage(t *testing.T) {
	if len(damages) < 80 {
		t.Errorf("%d kinds of damage", len(damages))
	}
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			dir := copyOf(t, d.family)
			d.do(t, dir)
			c, err := Open(dir)
			if err == nil {
				c.Close()
				t.Fatalf("opened, want an error with %q", d.want)
			}
			if !strings.Contains(err.Error(), d.want) {
				t.Errorf("error %q, want one with %q", err, d.want)
			}
		})
	}
}
