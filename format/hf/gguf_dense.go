package hf

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// ggufDense are architectures without experts that are not in ggufBasic.
var ggufDense = map[string]*ggufArch{
	"arcee": {config: ggufPlain("arcee"), paired: true},
	"gemma": {config: ggufGemma, plusOne: true},
	"seed_oss": {config: ggufSeedOSS, names: map[model.Role]string{
		model.RoleMLPNorm: ggufPostAttention,
	}},
	"ernie4_5":  {config: ggufErnie("ernie4_5")},
	"exaone4":   {config: ggufExaone4},
	"qwen2vl":   {config: ggufQwen2VL},
	"command-r": {config: ggufCohere},
	"nemotron":  {config: ggufNemotron, plusOne: true},
	"glm4":      {config: ggufGLM4, names: map[model.Role]string{model.RoleGate: "blk.{l}.ffn_up.weight"}},
}

// ggufPostAttention is the name of a norm behind attention, and in some architectures of the one before the MLP.
const ggufPostAttention = "blk.{l}.post_attention_norm.weight"

func ggufGemma(m *ggufModel, c settings) string {
	ggufPlain("gemma")(m, c)
	c["hidden_activation"] = "gelu_pytorch_tanh"
	return "gemma"
}

func ggufSeedOSS(m *ggufModel, c settings) string {
	ggufPlain("seed_oss")(m, c)
	c["attention_bias"] = m.has("blk.0.attn_q.bias")
	c["attention_out_bias"] = m.has("blk.0.attn_output.bias")
	return "seed_oss"
}

// ggufErnie: one key is for all biases.
func ggufErnie(modelType string) func(*ggufModel, settings) string {
	return func(m *ggufModel, c settings) string {
		ggufPlain(modelType)(m, c)
		delete(c, "attention_bias")
		delete(c, "mlp_bias")
		c["use_bias"] = m.has("blk.0.attn_q.bias")
		return modelType
	}
}

func ggufExaone4(m *ggufModel, c settings) string {
	ggufPlain("exaone4")(m, c)
	delete(c, "head_dim")
	m.windows(c, 4)
	return "exaone4"
}

// windows reads the size of sliding windows, and which layers have them: as a list says, or without one all but each n-th.
func (m *ggufModel) windows(c settings, n int) {
	m.count(c, "sliding_window", "attention.sliding_window", false)
	if size, _ := asInt(c["sliding_window"]); size == 0 {
		c["sliding_window"] = nil
	}
	const pattern = "attention.sliding_window_pattern"
	var slide []bool
	if m.IsArray(m.key(pattern)) {
		slide = m.layerBools(c, pattern)
	} else {
		n = max(1, m.size(pattern, n))
	}
	types := allFull(c)
	for i := range types {
		if c["sliding_window"] != nil && (slide != nil && slide[i] || slide == nil && (i+1)%n != 0) {
			types[i] = slidingAttention
		}
	}
	c["layer_types"] = types
}

// ggufQwen2VL is the language model of Qwen2-VL and Qwen2.5-VL, which reads positions of text as any other.
func ggufQwen2VL(m *ggufModel, c settings) string {
	ggufPlain("qwen2")(m, c)
	delete(c, "head_dim")
	return "qwen2_5_vl_text"
}

func ggufCohere(m *ggufModel, c settings) string {
	m.epsilon(c, "layer_norm_eps", "attention.layer_norm_epsilon")
	m.headDim(c)
	m.wholeHeads(c)
	delete(c, "head_dim")
	m.number(c, "logit_scale", "logit_scale")
	c["use_qk_norm"] = m.has("blk.0.attn_q_norm.weight")
	c["attention_bias"] = m.has("blk.0.attn_q.bias")
	return "cohere"
}

func ggufNemotron(m *ggufModel, c settings) string {
	m.epsilon(c, "norm_eps", "attention.layer_norm_epsilon")
	m.partial(c, "partial_rotary_factor", m.headDim(c))
	c["attention_bias"], c["mlp_bias"] = m.has("blk.0.attn_q.bias"), m.has("blk.0.ffn_down.bias")
	return "nemotron"
}

func ggufGLM4(m *ggufModel, c settings) string {
	m.rms(c)
	m.partial(c, "partial_rotary_factor", m.headDim(c))
	c["attention_bias"] = m.has("blk.0.attn_q.bias")
	return "glm4"
}
