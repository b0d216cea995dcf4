package hf

import (
	"fmt"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// ggufRecurrent are architectures that have layers with states of fixed size.
var ggufRecurrent = map[string]*ggufArch{
	"lfm2":    {config: ggufLFM2, names: lfm2FinalNorm, recurrent: ggufShortConvolution},
	"lfm2moe": {config: ggufLFM2MoE, gating: sigmoidGate, names: lfm2FinalNorm, recurrent: ggufShortConvolution},
	"granitehybrid": {
		config: ggufGraniteHybrid, paired: true, recurrent: ggufMamba,
		sources: named(map[model.Role]string{
			model.RoleGate: "{p}layers.{l}.shared_mlp.gate",
			model.RoleUp:   "{p}layers.{l}.shared_mlp.up",
		}),
		experts: named(map[model.Role]string{
			model.RoleGate:       "{p}layers.{l}.block_sparse_moe.gate",
			model.RoleUp:         "{p}layers.{l}.block_sparse_moe.up",
			model.RoleSharedGate: "{p}layers.{l}.shared_mlp.gate",
			model.RoleSharedUp:   "{p}layers.{l}.shared_mlp.up",
		}),
	},
}

var lfm2FinalNorm = map[model.Role]string{model.RoleFinalNorm: "token_embd_norm.weight"}

var ggufShortConvolution = map[model.Role]string{
	model.RoleInGate:  "blk.{l}.shortconv.in_proj.weight",
	model.RoleOutGate: "blk.{l}.shortconv.in_proj.weight",
	model.RoleV:       "blk.{l}.shortconv.in_proj.weight",
	model.RoleConvV:   "blk.{l}.shortconv.conv.weight",
	model.RoleO:       "blk.{l}.shortconv.out_proj.weight",
}

var ggufMamba = map[model.Role]string{
	model.RoleOutGate:   "blk.{l}.ssm_in.weight",
	model.RoleV:         "blk.{l}.ssm_in.weight",
	model.RoleK:         "blk.{l}.ssm_in.weight",
	model.RoleQ:         "blk.{l}.ssm_in.weight",
	model.RoleDecay:     "blk.{l}.ssm_in.weight",
	model.RoleConvV:     "blk.{l}.ssm_conv1d.weight",
	model.RoleConvK:     "blk.{l}.ssm_conv1d.weight",
	model.RoleConvQ:     "blk.{l}.ssm_conv1d.weight",
	model.RoleConvVBias: "blk.{l}.ssm_conv1d.bias",
	model.RoleConvKBias: "blk.{l}.ssm_conv1d.bias",
	model.RoleConvQBias: "blk.{l}.ssm_conv1d.bias",
	model.RoleDecayBias: "blk.{l}.ssm_dt.bias",
	model.RoleDecayLog:  "blk.{l}.ssm_a",
	model.RoleSkip:      "blk.{l}.ssm_d",
	model.RoleHeadsNorm: "blk.{l}.ssm_norm.weight",
	model.RoleO:         "blk.{l}.ssm_out.weight",
}

// mixed reads which layers attend: those that have heads for keys and values. The others are called by a name.
func (m *ggufModel) mixed(c settings, name string) {
	key := m.key("attention.head_count_kv")
	list, _, err := m.Ints(key)
	m.keep(err)
	layers, _ := asInt(c["num_hidden_layers"])
	if len(list) < layers || layers < 1 {
		m.keep(fmt.Errorf("metadata %q: %d entries for %d layers", key, len(list), layers))
		return
	}
	types := make([]string, layers)
	for i := range types {
		types[i] = name
		if n := list[i]; n > 0 {
			if heads, ok := c["num_key_value_heads"].(int64); ok && heads != n {
				m.keep(fmt.Errorf("metadata %q: layers that differ, here %v, are not supported", key, list))
			}
			types[i], c["num_key_value_heads"] = fullAttention, n
		}
	}
	c["layer_types"] = types
}

func ggufLFM2(m *ggufModel, c settings) string {
	m.epsilon(c, "norm_eps", "attention.layer_norm_rms_epsilon")
	m.headDim(c)
	m.wholeHeads(c)
	delete(c, "head_dim")
	if n := m.size("attention.sliding_window", 0); n > 0 {
		m.keep(fmt.Errorf("metadata %q: %d: windows are not supported for %s", m.key("attention.sliding_window"), n, m.arch))
	}
	m.mixed(c, "conv")
	m.count(c, "conv_L_cache", "shortconv.l_cache", true)
	c["conv_bias"], c["block_auto_adjust_ff_dim"] = false, false
	return "lfm2"
}

func ggufLFM2MoE(m *ggufModel, c settings) string {
	ggufLFM2(m, c)
	delete(c, "block_auto_adjust_ff_dim")
	m.routed(c, ggufExpertKeys{count: "num_experts", used: "num_experts_per_tok", width: "moe_intermediate_size", dense: "num_dense_layers"})
	c["norm_topk_prob"], c["routed_scaling_factor"] = true, 1.0 // as llama.cpp has them
	dense, _ := asInt(c["num_dense_layers"])
	c["use_expert_bias"] = m.has(fmt.Sprintf("blk.%d.exp_probs_b.bias", dense))
	return "lfm2_moe"
}

func ggufGraniteHybrid(m *ggufModel, c settings) string {
	m.graniteScales(c)
	delete(c, "mlp_bias")
	delete(c, "head_dim")
	m.mixed(c, linearAttention)
	c["position_embedding_type"] = nil
	if rotates, ok, err := m.Bool(m.key("rope.scaling.finetuned")); err != nil || rotates || !ok {
		m.keep(err)
		c["position_embedding_type"] = "rope"
	}
	c["num_local_experts"] = 0
	m.count(c, "num_local_experts", "expert_count", false)
	m.count(c, "num_experts_per_tok", "expert_used_count", false)
	c["shared_intermediate_size"] = c["intermediate_size"]
	m.count(c, "shared_intermediate_size", "expert_shared_feed_forward_length", false)
	m.mambaSizes(c)
	return "granitemoehybrid"
}

// mambaSizes reads the sizes of state space layers. What the rank of the step is called is their number of heads.
func (m *ggufModel) mambaSizes(c settings) {
	m.count(c, "mamba_n_heads", "ssm.time_step_rank", true)
	m.count(c, "mamba_n_groups", "ssm.group_count", true)
	m.count(c, "mamba_d_state", "ssm.state_size", true)
	m.count(c, "mamba_d_conv", "ssm.conv_kernel", true)
	heads, inner, hidden := m.size("ssm.time_step_rank", 0), m.size("ssm.inner_size", 0), m.size("embedding_length", 0)
	if heads < 1 || hidden < 1 || inner < 1 || inner%heads != 0 || inner%hidden != 0 {
		m.keep(fmt.Errorf("metadata %q: %d elements are no multiple of %d heads and of the hidden size %d", m.key("ssm.inner_size"), inner, heads, hidden))
		return
	}
	c["mamba_d_head"], c["mamba_expand"] = inner/heads, inner/hidden
	c["mamba_conv_bias"] = false
	for name := range m.tensors {
		if strings.HasSuffix(name, ".ssm_conv1d.bias") {
			c["mamba_conv_bias"] = true
		}
	}
}
