package hf

import (
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// ggufLatent are architectures whose keys and values are made from a latent vector. What makes keys and what makes values lie
// in tensors of their own, the former by columns.
var ggufLatent = map[string]*ggufArch{
	"deepseek2": {
		config: ggufDeepSeek2, gating: eitherGate, groups: true, weighs: true, scales: true,
		names: map[model.Role]string{
			model.RoleQDown:      "blk.{l}.attn_q_a.weight",
			model.RoleQDownBias:  "blk.{l}.attn_q_a.bias",
			model.RoleQDownNorm:  "blk.{l}.attn_q_a_norm.weight",
			model.RoleQUp:        "blk.{l}.attn_q_b.weight",
			model.RoleKVDown:     "blk.{l}.attn_kv_a_mqa.weight",
			model.RoleKVDownBias: "blk.{l}.attn_kv_a_mqa.bias",
			model.RoleKVDownNorm: "blk.{l}.attn_kv_a_norm.weight",
			model.RoleKUp:        "blk.{l}.attn_k_b.weight",
			model.RoleVUp:        "blk.{l}.attn_v_b.weight",
		},
		sources: named(map[model.Role]string{
			model.RoleKUp: "{p}layers.{l}.self_attn.k_b_proj.weight",
			model.RoleVUp: "{p}layers.{l}.self_attn.v_b_proj.weight",
		}),
	},
}

// ggufDeepSeek2 is DeepSeek V3, or V2 where experts are chosen by softmax.
func ggufDeepSeek2(m *ggufModel, c settings) string {
	m.rms(c)
	c["num_key_value_heads"] = c["num_attention_heads"] // the file has one, of the latent vector
	rotated := m.size("rope.dimension_count", 0)
	m.count(c, "qk_rope_head_dim", "rope.dimension_count", true)
	m.count(c, "kv_lora_rank", "attention.kv_lora_rank", true)
	m.count(c, "v_head_dim", "attention.value_length_mla", true)
	c["qk_nope_head_dim"] = m.size("attention.key_length_mla", 0) - rotated
	c["q_lora_rank"] = nil
	m.count(c, "q_lora_rank", "attention.q_lora_rank", false)
	c["attention_bias"] = m.has("blk.0.attn_kv_a_mqa.bias")
	m.magnitudes(c)
	m.routed(c, ggufDeepSeekKeys)
	m.weighted(c)
	dense, _ := asInt(c["first_k_dense_replace"])
	if m.size("expert_gating_func", softmaxGate) == sigmoidGate || m.has(fmt.Sprintf("blk.%d.exp_probs_b.bias", dense)) {
		return "deepseek_v3"
	}
	c["topk_method"] = "greedy"
	if n := m.size("expert_group_count", 1); n > 1 {
		m.keep(fmt.Errorf("metadata %q: %d groups of experts that are chosen by softmax are not read from GGUF files, but from the model's safetensors", m.key("expert_group_count"), n))
	}
	if norm, _ := c["norm_topk_prob"].(bool); norm {
		m.keep(fmt.Errorf("metadata %q: true is not supported where experts are chosen by softmax", m.key("expert_weights_norm")))
	}
	return "deepseek_v2"
}

const yarnLogMultiplier = "rope.scaling.yarn_log_multiplier"

// magnitudes reads what attention is multiplied by for YaRN's sake: a tenth of mscale_all_dim. mscale is the same in all
// models that llama.cpp computes as they are.
func (m *ggufModel) magnitudes(c settings) {
	scaling, ok := c["rope_scaling"].(map[string]any)
	x, has, err := m.Float(m.key(yarnLogMultiplier))
	m.keep(err)
	if !ok || !has {
		return
	}
	all := math.Round(x*1e7) / 1e6
	scaling["mscale"], scaling["mscale_all_dim"] = all, all
}

// putLatent stores what makes the keys, or the values, of all heads, of which files have a matrix each.
func (r *ggufRenamer) putLatent(name string, from ggufTensor, t model.Tensor, v *ggufRows) error {
	a := r.binder.spec.Layer(t.Layer).Attention
	want := []int{a.Heads, a.ValueDim, a.KVRank}
	if t.Role == model.RoleKUp {
		want = []int{a.Heads, a.KVRank, a.HeadDim - a.SharedDim}
	}
	s := stored{file: from.file, dtype: from.Type.Name, shape: from.Shape, data: from.Data}
	if err := s.checkShape(from.Name, want); err != nil {
		return err
	}
	s.shape = t.Shape
	switch {
	case t.Role == model.RoleKUp:
		s.values = &flipped{of: v, height: a.KVRank}
	case !from.Type.Plain():
		s.values = v
	}
	r.shards.tensors[name] = s
	return nil
}

// flipped are matrices, one below the other, whose rows are stored as columns. It implements values.
type flipped struct {
	of     *ggufRows // [matrices·height][width]
	height int       // of a stored matrix, width of ours
}

func (f *flipped) rows(row, n int, dst []float32) {
	width := f.of.cols
	matrix, last := make([]float32, f.height*width), -1
	for r := range n {
		if which := (row + r) / width; which != last {
			f.of.rows(which*f.height, f.height, matrix)
			last = which
		}
		for k := range f.height {
			dst[r*f.height+k] = matrix[k*width+(row+r)%width]
		}
	}
}

// unlike says in which way the blocks are unlike ours.
func (f *flipped) unlike() string {
	if f.of.kind.Plain() {
		return ""
	}
	return "they lie by columns"
}
