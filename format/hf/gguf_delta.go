package hf

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// ggufDelta are architectures in which most layers have memories by the delta rule.
var ggufDelta = map[string]*ggufArch{
	"qwen3next": {
		config: ggufQwen3Next, plusOne: true, names: ggufGatedHeads,
		recurrent: ggufNextNames,
		memories: merge(
			fused(source{name: "{p}layers.{l}.linear_attn.in_proj_qkv.weight"}, model.RoleQ, model.RoleK, model.RoleV),
			named(map[model.Role]string{model.RoleOutGate: "{p}layers.{l}.linear_attn.in_proj_z.weight"}),
		),
	},
	"qwen35":    {config: ggufQwen35, plusOne: true, tiled: true, names: ggufGatedHeads, recurrent: ggufDeltaNames},
	"qwen35moe": {config: ggufQwen35MoE, plusOne: true, tiled: true, names: ggufGatedHeads, recurrent: ggufDeltaNames},
}

// ggufGatedHeads: each head's gates lie behind its queries.
var ggufGatedHeads = map[model.Role]string{
	model.RoleOutGate:      "blk.{l}.attn_q.weight",
	model.RoleOutGateBias:  "blk.{l}.attn_q.bias",
	model.RoleMLPNorm:      ggufPostAttention,
	model.RoleSharedRouter: "blk.{l}.ffn_gate_inp_shexp.weight",
}

var ggufDeltaNames = map[model.Role]string{
	model.RoleQ:         "blk.{l}.attn_qkv.weight",
	model.RoleK:         "blk.{l}.attn_qkv.weight",
	model.RoleV:         "blk.{l}.attn_qkv.weight",
	model.RoleOutGate:   "blk.{l}.attn_gate.weight",
	model.RoleWrite:     "blk.{l}.ssm_beta.weight",
	model.RoleDecay:     "blk.{l}.ssm_alpha.weight",
	model.RoleConvQ:     "blk.{l}.ssm_conv1d.weight",
	model.RoleConvK:     "blk.{l}.ssm_conv1d.weight",
	model.RoleConvV:     "blk.{l}.ssm_conv1d.weight",
	model.RoleDecayBias: "blk.{l}.ssm_dt.bias",
	model.RoleDecayLog:  "blk.{l}.ssm_a",
	model.RoleHeadsNorm: "blk.{l}.ssm_norm.weight",
	model.RoleO:         "blk.{l}.ssm_out.weight",
}

// ggufNextNames: writing and decaying, by key head, in one tensor.
var ggufNextNames = func() map[model.Role]string {
	names := maps.Clone(ggufDeltaNames)
	names[model.RoleWrite], names[model.RoleDecay] = "blk.{l}.ssm_ba.weight", "blk.{l}.ssm_ba.weight"
	return names
}()

// ggufTiles is an order of the value heads of memories: where ours lie by key head, k·per + j, theirs lie j·keys + k. Each
// head has width rows, and first rows before them stay where they are.
type ggufTiles struct{ first, keys, per, width int }

// at returns where a row, or a column, lies.
func (o *ggufTiles) at(row int) int {
	if row < o.first {
		return row
	}
	head, element := (row-o.first)/o.width, (row-o.first)%o.width
	return o.first + (head%o.per*o.keys+head/o.per)*o.width + element
}

// tilesOf returns the order of a tensor's rows and columns, nil where it is ours.
func tilesOf(name string, r model.Recurrence) (rows, columns *ggufTiles) {
	if r.KeyHeads < 2 || r.Heads == r.KeyHeads {
		return nil, nil
	}
	t := &ggufTiles{keys: r.KeyHeads, per: r.Heads / r.KeyHeads, width: r.ValueDim}
	switch _, part, _ := strings.Cut(strings.TrimPrefix(name, "blk."), "."); part {
	case "attn_qkv.weight", "ssm_conv1d.weight":
		t.first = 2 * r.KeyHeads * r.KeyDim
	case "attn_gate.weight":
	case "ssm_out.weight":
		return nil, t
	case "ssm_alpha.weight", "ssm_beta.weight", "ssm_a", "ssm_dt.bias":
		t.width = 1
	default:
		return nil, nil
	}
	return t, nil
}

// memories reads which layers have memories, and their sizes.
func (m *ggufModel) memories(c settings) {
	m.rms(c)
	m.partial(c, "partial_rotary_factor", m.headDim(c))
	m.count(c, "linear_conv_kernel_dim", "ssm.conv_kernel", true)
	m.count(c, "linear_key_head_dim", "ssm.state_size", true)
	m.count(c, "linear_num_key_heads", "ssm.group_count", true)
	m.count(c, "linear_num_value_heads", "ssm.time_step_rank", true)
	heads, inner := m.size("ssm.time_step_rank", 0), m.size("ssm.inner_size", 0)
	if heads < 1 || inner < 1 || inner%heads != 0 {
		m.keep(fmt.Errorf("metadata %q: %d elements are no multiple of %d heads", m.key("ssm.inner_size"), inner, heads))
		return
	}
	c["linear_value_head_dim"] = inner / heads
	interval := max(1, m.size("full_attention_interval", 4))
	recur := m.layerBools(c, "attention.recurrent_layers")
	types := slices.Repeat([]string{linearAttention}, c.layers())
	for i := range types {
		if recur != nil && !recur[i] || recur == nil && (i+1)%interval == 0 {
			types[i] = fullAttention
			c["attention_bias"] = m.has(fmt.Sprintf("blk.%d.attn_q.bias", i))
		}
	}
	c["layer_types"] = types
}

// sharedExperts reads experts beside one that all tokens share.
func (m *ggufModel) sharedExperts(c settings) {
	m.routed(c, ggufExpertKeys{count: "num_experts", used: "num_experts_per_tok", width: "moe_intermediate_size"})
	m.count(c, "shared_expert_intermediate_size", "expert_shared_feed_forward_length", true)
	if c["intermediate_size"] == nil {
		c["intermediate_size"] = c["moe_intermediate_size"]
	}
}

func ggufQwen3Next(m *ggufModel, c settings) string {
	m.memories(c)
	m.sharedExperts(c)
	c["norm_topk_prob"] = true // llama.cpp does so always
	return "qwen3_next"
}

func ggufQwen35(m *ggufModel, c settings) string {
	m.memories(c)
	return "qwen3_5_text"
}

func ggufQwen35MoE(m *ggufModel, c settings) string {
	m.memories(c)
	m.sharedExperts(c)
	return "qwen3_5_moe_text"
}
