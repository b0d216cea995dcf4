package hf

import (
	"fmt"
	"math"
	"slices"
)

// ggufElsewhere are architectures of llama.cpp that are read from Hugging Face's files alone: how their tensors lie in GGUF
// files is not known here. The values are the families.
var ggufElsewhere = map[string]string{
	"apertus": "apertus", "baichuan": "baichuan", "bailingmoe": "bailing_moe", "bailingmoe2": "bailing_moe_v2",
	"bloom": "bloom", "chatglm": "chatglm or glm", "cohere2": "cohere2", "cohere2moe": "cohere2_moe",
	"deepseek": "deepseek", "deepseek32": "deepseek_v32",
	"falcon": "falcon", "glm-dsa": "glm_moe_dsa", "gptj": "gptj", "granite_swa": "granite_swa or granitemoe_swa",
	"hunyuan-dense": "hunyuan_v1_dense", "hunyuan-moe": "hunyuan_v1_moe", "hy_v3": "hy_v3", "internlm2": "internlm2", "jais2": "jais2",
	"mamba2": "mamba2", "mellum": "mellum", "minicpm": "minicpm", "minicpm3": "minicpm3", "mistral3": "ministral3 or mistral3", "mpt": "mpt",
	"nemotron_h": "nemotron_h", "nemotron_h_moe": "nemotron_h", "olmo": "olmo", "orion": "orion", "phi2": "phi",
	"phimoe": "phimoe", "qwen": "qwen", "qwen2moe": "qwen2_moe",
	"qwen3vl": "qwen3_vl", "qwen3vlmoe": "qwen3_vl_moe", "stablelm": "stablelm",
	"starcoder": "gpt_bigcode",
}

// ggufPlain is the configuration of a family that takes nothing but the usual sizes.
func ggufPlain(modelType string) func(*ggufModel, settings) string {
	return func(m *ggufModel, c settings) string {
		m.rms(c)
		m.headDim(c)
		m.wholeHeads(c)
		if modelType != "qwen2" && (m.has("blk.0.attn_q.bias") || m.has("blk.0.attn_qkv.bias")) { // qwen2 has biases always
			c["attention_bias"] = true
		}
		if m.has("blk.0.ffn_down.bias") {
			c["mlp_bias"] = true
		}
		return modelType
	}
}

// wholeHeads refuses a RoPE that rotates a part of each head.
func (m *ggufModel) wholeHeads(c settings) {
	dim, _ := asInt(c["head_dim"])
	if n := m.size("rope.dimension_count", dim); n != dim {
		m.keep(fmt.Errorf("metadata %q: %d of %d elements of a head: this architecture rotates whole heads", m.key("rope.dimension_count"), n, dim))
	}
}

func ggufLlama(m *ggufModel, c settings) string {
	ggufPlain("llama")(m, c)
	if m.size("expert_count", 0) == 0 {
		return "llama"
	}
	c["sliding_window"] = nil
	m.count(c, "num_local_experts", "expert_count", true)
	m.count(c, "num_experts_per_tok", "expert_used_count", true)
	return "mixtral"
}

func ggufGranite(m *ggufModel, c settings) string {
	m.graniteScales(c)
	if m.size("expert_count", 0) > 0 {
		m.keep(fmt.Errorf("metadata %q: granite with experts is not supported", m.key("expert_count")))
	}
	return "granite"
}

// graniteScales reads what all Granites multiply by.
func (m *ggufModel) graniteScales(c settings) {
	ggufPlain("granite")(m, c)
	m.number(c, "embedding_multiplier", "embedding_scale")
	m.number(c, "residual_multiplier", "residual_scale")
	m.number(c, "logits_scaling", "logit_scale")
	if _, ok := m.number(c, "attention_multiplier", "attention.scale"); !ok {
		dim, _ := asInt(c["head_dim"])
		c["attention_multiplier"] = 1 / math.Sqrt(float64(max(dim, 1)))
	}
}

func ggufQwen3MoE(m *ggufModel, c settings) string {
	ggufPlain("qwen3_moe")(m, c)
	m.count(c, "num_experts", "expert_count", true)
	m.count(c, "num_experts_per_tok", "expert_used_count", true)
	m.count(c, "moe_intermediate_size", "expert_feed_forward_length", true)
	if c["intermediate_size"] == nil {
		c["intermediate_size"] = c["moe_intermediate_size"]
	}
	c["norm_topk_prob"] = true // llama.cpp does so always
	return "qwen3_moe"
}

// gemmaScale sets what attention divides by the root of: for the largest model of a generation the hidden
// size over the heads, for others the width of a head. Files do not say it.
func (m *ggufModel) gemmaScale(c settings, largest int) {
	dim := m.headDim(c)
	c["query_pre_attn_scalar"] = dim
	heads, _ := asInt(c["num_attention_heads"])
	hidden, _ := asInt(c["hidden_size"])
	if layers, _ := asInt(c["num_hidden_layers"]); layers == largest && heads > 0 {
		c["query_pre_attn_scalar"] = hidden / heads
	}
	if s, ok, err := m.Float(m.key("attention.scale")); ok && err == nil && s > 0 {
		c["query_pre_attn_scalar"] = 1 / (s * s)
	}
}

func ggufGemma2(m *ggufModel, c settings) string {
	m.rms(c)
	m.gemmaScale(c, 46)
	m.wholeHeads(c)
	m.number(c, "attn_logit_softcapping", "attn_logit_softcapping")
	m.number(c, "final_logit_softcapping", "final_logit_softcapping")
	m.count(c, "sliding_window", "attention.sliding_window", false)
	c["hidden_activation"] = "gelu_pytorch_tanh"
	return "gemma2"
}

func ggufGemma3(m *ggufModel, c settings) string {
	m.rms(c)
	m.gemmaScale(c, 62)
	m.wholeHeads(c)
	m.number(c, "final_logit_softcapping", "final_logit_softcapping")
	m.count(c, "sliding_window", "attention.sliding_window", false)
	if n, _ := asInt(c["sliding_window"]); n == 0 {
		delete(c, "sliding_window")
		c["layer_types"] = allFull(c)
	}
	c["hidden_activation"] = "gelu_pytorch_tanh"
	if c["rope_theta"] == nil {
		c["rope_theta"] = 1000000
	}
	c["rope_local_base_freq"] = 10000
	m.number(c, "rope_local_base_freq", "rope.freq_base_swa")
	if n, ok := m.pattern(); ok {
		c["sliding_window_pattern"] = n
	}
	return "gemma3_text"
}

// pattern reads which of the layers see all positions: each n-th.
func (m *ggufModel) pattern() (n int, ok bool) {
	key := m.key("attention.sliding_window_pattern")
	if !m.IsArray(key) {
		n, ok, err := m.Int(key)
		m.keep(err)
		return n, ok
	}
	m.keep(fmt.Errorf("metadata %q: a list of layers is not supported here", key))
	return 0, false
}

func ggufOLMo2(m *ggufModel, c settings) string {
	ggufPlain("olmo2")(m, c)
	if m.size("attention.sliding_window", 0) > 0 {
		m.keep(fmt.Errorf("metadata %q: OLMo 3, which has windows, is not supported", m.key("attention.sliding_window")))
	}
	return "olmo2"
}

func ggufPhi3(m *ggufModel, c settings) string {
	m.rms(c)
	dim := m.headDim(c)
	delete(c, "head_dim")
	m.partial(c, "partial_rotary_factor", dim)
	m.count(c, "sliding_window", "attention.sliding_window", false)
	if n, _ := asInt(c["sliding_window"]); n == 0 {
		c["sliding_window"] = nil
	}
	return "phi3"
}

// partial reads which share of a head is rotated.
func (m *ggufModel) partial(c settings, to string, dim int) {
	n := m.size("rope.dimension_count", dim)
	if n == dim {
		return
	}
	factor := float64(n) / float64(max(dim, 1))
	if int(float64(dim)*factor) != n { // it was rounded down
		factor = (float64(n) + 0.5) / float64(dim)
	}
	c[to] = factor
}

func ggufStarCoder2(m *ggufModel, c settings) string {
	m.epsilon(c, "norm_epsilon", "attention.layer_norm_epsilon")
	dim := m.headDim(c)
	delete(c, "head_dim")
	if n := m.size("rope.dimension_count", dim); n != dim {
		m.wholeHeads(settings{"head_dim": dim})
	}
	c["use_bias"] = m.has("blk.0.attn_q.bias")
	m.count(c, "sliding_window", "attention.sliding_window", false)
	if c["sliding_window"] == nil {
		c["sliding_window"] = nil // the family's own default is a window
	}
	return "starcoder2"
}

func ggufGPT2(m *ggufModel, c settings) string {
	m.epsilon(c, "layer_norm_epsilon", "attention.layer_norm_epsilon")
	m.headDim(c)
	if up, ok := m.tensors["blk.0.ffn_up.weight"]; ok && len(up.Shape) == 2 {
		c["n_inner"] = up.Shape[0] // what the metadata say is not always so
	}
	for _, key := range []string{"head_dim", "num_key_value_heads", "intermediate_size", "rope_theta"} {
		delete(c, key)
	}
	return "gpt2"
}

func ggufGPTNeoX(m *ggufModel, c settings) string {
	m.epsilon(c, "layer_norm_eps", "attention.layer_norm_epsilon")
	dim := m.headDim(c)
	delete(c, "head_dim")
	delete(c, "num_key_value_heads")
	c["rotary_pct"] = 1
	m.partial(c, "rotary_pct", dim)
	parallel, ok, err := m.Bool(m.key("use_parallel_residual"))
	m.keep(err)
	c["use_parallel_residual"] = parallel || !ok
	c["attention_bias"] = m.has("blk.0.attn_qkv.bias")
	return "gpt_neox"
}

func ggufLlama4(m *ggufModel, c settings) string {
	ggufPlain("llama4_text")(m, c)
	m.count(c, "num_local_experts", "expert_count", false)
	m.count(c, "num_experts_per_tok", "expert_used_count", false)
	c["intermediate_size_mlp"] = c["intermediate_size"]
	if n, _ := asInt(c["num_local_experts"]); n == 0 {
		c["moe_layers"] = []int{}
	} else {
		m.count(c, "intermediate_size", "expert_feed_forward_length", true)
		m.count(c, "interleave_moe_layer_step", "interleave_moe_layer_step", true)
	}
	experts, _ := asInt(c["num_local_experts"])
	c["use_qk_norm"] = experts != 128 // Maverick has none, and files do not say it
	c["attention_chunk_size"] = 8192
	if n := m.size("attention.sliding_window", 1); n == 0 { // as for the models without chunks
		c["attention_chunk_size"], c["no_rope_layers"] = nil, slices.Repeat([]int{1}, c.layers())
		c["layer_types"] = allFull(c)
	}
	return "llama4_text"
}
