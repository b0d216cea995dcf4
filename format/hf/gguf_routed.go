package hf

import (
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// ggufRouted are architectures with experts that are not in ggufBasic.
var ggufRouted = map[string]*ggufArch{
	"granitemoe": {config: ggufGraniteMoE, paired: true, experts: named(map[model.Role]string{
		model.RoleGate:       "{p}layers.{l}.block_sparse_moe.gate",
		model.RoleUp:         "{p}layers.{l}.block_sparse_moe.up",
		model.RoleSharedGate: "{p}layers.{l}.shared_mlp.gate",
		model.RoleSharedUp:   "{p}layers.{l}.shared_mlp.up",
	})},
	"ernie4_5-moe": {config: ggufErnieMoE},
	"olmoe":        {config: ggufOLMoE},
	"glm4moe": {
		config: ggufGLM4MoE, gating: sigmoidGate, groups: true, weighs: true,
		names: map[model.Role]string{model.RoleMLPNorm: ggufPostAttention},
	},
	"dots1":      {config: ggufDots1, gating: sigmoidGate, groups: true, weighs: true},
	"exaone-moe": {config: ggufExaoneMoE, gating: sigmoidGate, groups: true, weighs: true},
	"afmoe":      {config: ggufAFMoE, gating: sigmoidGate, weighs: true, names: map[model.Role]string{model.RoleOutGate: "blk.{l}.attn_gate.weight"}},
	"minimax-m2": {config: ggufMiniMax, gating: sigmoidGate},
	"gpt-oss": {
		config: ggufGPTOSS, gating: softmaxOfChosen,
		names: map[model.Role]string{
			model.RoleMLPNorm:  ggufPostAttention,
			model.RoleGateBias: "blk.{l}.ffn_gate_exps.bias",
			model.RoleUpBias:   "blk.{l}.ffn_up_exps.bias",
			model.RoleDownBias: "blk.{l}.ffn_down_exps.bias",
		},
		experts: named(map[model.Role]string{
			model.RoleGate:     "{p}layers.{l}.mlp.experts.gate_proj",
			model.RoleGateBias: "{p}layers.{l}.mlp.experts.gate_proj_bias",
			model.RoleUp:       "{p}layers.{l}.mlp.experts.up_proj",
			model.RoleUpBias:   "{p}layers.{l}.mlp.experts.up_proj_bias",
			model.RoleDown:     "{p}layers.{l}.mlp.experts.down_proj",
		}),
	},
}

// The values of expert_gating_func.
const (
	eitherGate      = -1 // softmaxGate or sigmoidGate
	softmaxGate     = 1
	sigmoidGate     = 2
	softmaxOfChosen = 3
)

// routing refuses ways of choosing experts that the architecture does not have.
func (m *ggufModel) routing() error {
	arch, ok := ggufArchs[m.arch]
	if !ok {
		return m.unknownArch()
	}
	want := max(arch.gating, softmaxGate)
	if gate := m.size("expert_gating_func", want); gate != 0 && gate != want && !(arch.gating == eitherGate && gate == sigmoidGate) {
		return fmt.Errorf("metadata %q: %d is not supported; the experts of %s are chosen by %d", m.key("expert_gating_func"), gate, m.arch, want)
	}
	if n := m.size("expert_group_count", 1); n > 1 && !arch.groups {
		return fmt.Errorf("metadata %q: %d: groups of experts are not supported for %s", m.key("expert_group_count"), n, m.arch)
	}
	scale, ok, err := m.Float(m.key("expert_weights_scale"))
	if err == nil && ok && scale != 0 && scale != 1 && !arch.weighs {
		err = fmt.Errorf("metadata %q: %g is not supported for %s", m.key("expert_weights_scale"), scale, m.arch)
	}
	return err
}

// ggufExpertKeys are the keys of config.json for counts and widths of experts; what has no key is empty.
type ggufExpertKeys struct{ count, used, width, shared, dense string }

// routed reads how many experts there are, how wide they are, and how many layers at the beginning have none.
func (m *ggufModel) routed(c settings, k ggufExpertKeys) {
	for to, key := range map[string]struct {
		name     string
		required bool
	}{
		k.count: {"expert_count", true}, k.used: {"expert_used_count", true}, k.width: {"expert_feed_forward_length", true},
		k.shared: {"expert_shared_count", false}, k.dense: {"leading_dense_block_count", false},
	} {
		if to != "" {
			m.count(c, to, key.name, key.required)
		}
	}
}

// weighted reads groups of experts, and what their outputs are multiplied by.
func (m *ggufModel) weighted(c settings) {
	c["n_group"], c["topk_group"] = m.size("expert_group_count", 1), m.size("expert_group_used_count", 1)
	c["routed_scaling_factor"] = 1
	if x, ok := m.number(c, "routed_scaling_factor", "expert_weights_scale"); ok && x == 0 {
		c["routed_scaling_factor"] = 1
	}
	norm, _, err := m.Bool(m.key("expert_weights_norm"))
	m.keep(err)
	c["norm_topk_prob"] = norm
}

func ggufGraniteMoE(m *ggufModel, c settings) string {
	m.graniteScales(c)
	m.routed(c, ggufExpertKeys{count: "num_local_experts", used: "num_experts_per_tok"})
	if m.size("expert_shared_feed_forward_length", 0) == 0 {
		return "granitemoe"
	}
	m.count(c, "shared_intermediate_size", "expert_shared_feed_forward_length", true)
	return "granitemoeshared"
}

func ggufErnieMoE(m *ggufModel, c settings) string {
	ggufErnie("ernie4_5_moe")(m, c)
	delete(c, "head_dim")
	m.routed(c, ggufExpertKeys{
		count: "moe_num_experts", used: "moe_k", width: "moe_intermediate_size", shared: "moe_num_shared_experts", dense: "moe_layer_start_index",
	})
	m.count(c, "moe_layer_interval", "interleave_moe_layer_step", true)
	layers, _ := asInt(c["num_hidden_layers"])
	c["moe_layer_end_index"] = layers - 1
	return "ernie4_5_moe"
}

func ggufOLMoE(m *ggufModel, c settings) string {
	ggufPlain("olmoe")(m, c)
	delete(c, "head_dim")
	m.routed(c, ggufExpertKeys{count: "num_experts", used: "num_experts_per_tok"})
	c["norm_topk_prob"] = false // llama.cpp never does
	return "olmoe"
}

var ggufDeepSeekKeys = ggufExpertKeys{
	count: "n_routed_experts", used: "num_experts_per_tok", width: "moe_intermediate_size", shared: "n_shared_experts", dense: "first_k_dense_replace",
}

func ggufGLM4MoE(m *ggufModel, c settings) string {
	m.rms(c)
	m.partial(c, "partial_rotary_factor", m.headDim(c))
	c["attention_bias"] = m.has("blk.0.attn_q.bias")
	c["use_qk_norm"] = m.has("blk.0.attn_q_norm.weight")
	m.routed(c, ggufDeepSeekKeys)
	m.weighted(c)
	return "glm4_moe"
}

func ggufDots1(m *ggufModel, c settings) string {
	ggufPlain("dots1")(m, c)
	delete(c, "head_dim")
	m.routed(c, ggufDeepSeekKeys)
	m.weighted(c)
	c["sliding_window"] = nil
	return "dots1"
}

func ggufExaoneMoE(m *ggufModel, c settings) string {
	ggufPlain("exaone_moe")(m, c)
	delete(c, "head_dim")
	m.windows(c, 4)
	m.routed(c, ggufExpertKeys{
		count: "num_experts", used: "num_experts_per_tok", width: "moe_intermediate_size", shared: "num_shared_experts", dense: "first_k_dense_replace",
	})
	m.weighted(c)
	return "exaone_moe"
}

func ggufAFMoE(m *ggufModel, c settings) string {
	ggufPlain("afmoe")(m, c)
	m.windows(c, 4)
	m.routed(c, ggufExpertKeys{
		count: "num_experts", used: "num_experts_per_tok", width: "moe_intermediate_size", shared: "num_shared_experts", dense: "num_dense_layers",
	})
	m.number(c, "route_scale", "expert_weights_scale")
	if norm, ok, err := m.Bool(m.key("expert_weights_norm")); err != nil || ok && !norm {
		m.keep(errors.Join(err, fmt.Errorf("metadata %q: %t is not supported for %s", m.key("expert_weights_norm"), norm, m.arch)))
	}
	c["mup_enabled"] = true // as llama.cpp has it
	return "afmoe"
}

func ggufMiniMax(m *ggufModel, c settings) string {
	m.rms(c)
	dim := m.headDim(c)
	c["rotary_dim"] = m.size("rope.dimension_count", dim)
	m.routed(c, ggufExpertKeys{count: "num_local_experts", used: "num_experts_per_tok", width: "intermediate_size"})
	return "minimax_m2"
}

func ggufGPTOSS(m *ggufModel, c settings) string {
	m.rms(c)
	m.headDim(c)
	m.wholeHeads(c)
	m.windows(c, 2)
	m.routed(c, ggufExpertKeys{count: "num_local_experts", used: "num_experts_per_tok", width: "intermediate_size"})
	c["attention_bias"] = m.has("blk.0.attn_q.bias")
	c["swiglu_alpha"], c["swiglu_limit"] = 1.702, 7.0 // as llama.cpp has them
	if scaling, ok := c["rope_scaling"].(map[string]any); ok {
		scaling["truncate"] = false
	}
	return "gpt_oss"
}
