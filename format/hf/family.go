package hf

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// family is what one model_type means. A new family is one more entry in families.
type family struct {
	class     string                // of transformers, that makes logits
	read      func(*draft)          // fills the Spec from the keys of config.json
	tensors   map[model.Role]source // where each tensor lies
	experts   map[model.Role]source // … instead, in layers with experts
	twoNorms  map[model.Role]source // … instead, in layers with parallel branches that have a norm each
	recurrent map[model.Role]source // … instead, in layers with a recurrence
	prefixes  []prefix              // ways to name the same tensors; the first that fits is taken
	defaults  string                // JSON: what an absent key means; null is not absent
	aliases   map[string]string     // other names of keys; where both are there, the key counts
	borrows   bool                  // the class is that of another family
	inFirst   bool                  // transformers says of its stacks of experts that they are [experts][in][out]
	remote    bool                  // transformers has no code of it: its checkpoints bring that along
	holds     *held                 // unless nil, this is a model around the language model, which is read instead
	alone     *alone                // how the language model is written by itself; nil: as it is
}

// held says how a multimodal model holds its language model.
type held struct {
	families []string // values of model_type in text_config; other values mean the first, if there is only one
	ties     tying
	tied     bool // what the absence of tie_word_embeddings outside of text_config means
	flat     bool // without a text_config, its keys are those of the model
}

// tying says which tie_word_embeddings counts where a model holds a language model.
type tying int

// Which tie_word_embeddings counts.
const (
	innerTies  tying = iota // that of text_config
	outerTies               // that outside of it
	eitherTies              // the head is tied if one of them says so
)

// alone is the model_type of a language model that has none for itself, and what its keys have to say.
type alone struct {
	modelType string
	keys      map[string]string // JSON values
}

// source says where a tensor lies in the checkpoint. In name, {p} is the prefix of the body, {h}
// that of the head, {l} the layer. With {e}, every expert is a tensor of its own, and the logical
// tensor stacks them.
type source struct {
	name string
	// fused lists the roles whose rows lie in this tensor, one after the other; byHead: those that
	// belong to the first key and value head, query heads included, then those of the next, ….
	fused  []model.Role
	byHead bool
	turns  bool // … but those of all roles by turns
	groups int  // unless 0, … those that belong to the first of so many groups of heads, then those of the next, …
	// row: a vector is stored as a matrix of one row.
	row bool
	// transposed: the tensor is stored [in][out], not [out][in]; eitherWay: unless its shape is that of [out][in].
	transposed, eitherWay bool
	// thin: a matrix has a dimension of one between its rows and columns; thinOrLast: or behind them.
	thin, thinOrLast bool
	// scalar: the tensor has no dimension.
	scalar bool
	// skip is how many rows at the front belong to nothing.
	skip int
	// instead lists other ways in which the same is stored. The first that is there is read.
	instead []source
}

// prefix is one way to name tensors.
type prefix struct{ body, head string }

var (
	modelPrefix = []prefix{{"model.", ""}, {"", ""}}
	textPrefix  = []prefix{{"model.", ""}, {"language_model.model.", "language_model."}, {"model.language_model.", ""}, {"", ""}}
)

// llamaTensors are the names that most families share.
var llamaTensors = named(map[model.Role]string{
	model.RoleEmbed:     "{p}embed_tokens.weight",
	model.RoleAttnNorm:  "{p}layers.{l}.input_layernorm.weight",
	model.RoleQ:         "{p}layers.{l}.self_attn.q_proj.weight",
	model.RoleQBias:     "{p}layers.{l}.self_attn.q_proj.bias",
	model.RoleK:         "{p}layers.{l}.self_attn.k_proj.weight",
	model.RoleKBias:     "{p}layers.{l}.self_attn.k_proj.bias",
	model.RoleV:         "{p}layers.{l}.self_attn.v_proj.weight",
	model.RoleVBias:     "{p}layers.{l}.self_attn.v_proj.bias",
	model.RoleQNorm:     "{p}layers.{l}.self_attn.q_norm.weight",
	model.RoleKNorm:     "{p}layers.{l}.self_attn.k_norm.weight",
	model.RoleO:         "{p}layers.{l}.self_attn.o_proj.weight",
	model.RoleOBias:     "{p}layers.{l}.self_attn.o_proj.bias",
	model.RoleMLPNorm:   "{p}layers.{l}.post_attention_layernorm.weight",
	model.RoleGate:      "{p}layers.{l}.mlp.gate_proj.weight",
	model.RoleGateBias:  "{p}layers.{l}.mlp.gate_proj.bias",
	model.RoleUp:        "{p}layers.{l}.mlp.up_proj.weight",
	model.RoleUpBias:    "{p}layers.{l}.mlp.up_proj.bias",
	model.RoleDown:      "{p}layers.{l}.mlp.down_proj.weight",
	model.RoleDownBias:  "{p}layers.{l}.mlp.down_proj.bias",
	model.RoleFinalNorm: "{p}norm.weight",
	model.RoleHead:      "{h}lm_head.weight",
})

// perExpert are the names of experts that are stored one by one, with those of their matrices.
func perExpert(mlp, gate, up, down string) map[model.Role]source {
	return named(map[model.Role]string{
		model.RoleRouter: "{p}layers.{l}." + mlp + ".gate.weight",
		model.RoleGate:   "{p}layers.{l}." + mlp + ".experts.{e}." + gate + ".weight",
		model.RoleUp:     "{p}layers.{l}." + mlp + ".experts.{e}." + up + ".weight",
		model.RoleDown:   "{p}layers.{l}." + mlp + ".experts.{e}." + down + ".weight",
	})
}

// stackedExperts are the names of experts that lie in one tensor each for gates and ups, [experts][2·rows][cols],
// and for downs, as transformers 5 has them in memory.
func stackedExperts(mlp string) map[model.Role]source {
	return merge(
		named(map[model.Role]string{
			model.RoleRouter: "{p}layers.{l}." + mlp + ".gate.weight",
			model.RoleDown:   "{p}layers.{l}." + mlp + ".experts.down_proj",
		}),
		fused(source{name: "{p}layers.{l}." + mlp + ".experts.gate_up_proj"}, model.RoleGate, model.RoleUp),
	)
}

// switchExperts are the names of experts that MLX stacks: for each role a tensor [experts][rows][cols].
func switchExperts(mlp string) map[model.Role]source {
	return named(map[model.Role]string{
		model.RoleRouter: "{p}layers.{l}." + mlp + ".gate.weight",
		model.RoleGate:   "{p}layers.{l}." + mlp + ".switch_mlp.gate_proj.weight",
		model.RoleUp:     "{p}layers.{l}." + mlp + ".switch_mlp.up_proj.weight",
		model.RoleDown:   "{p}layers.{l}." + mlp + ".switch_mlp.down_proj.weight",
	})
}

// either returns the entries of first, which may also be stored as the others say.
func either(first map[model.Role]source, others ...map[model.Role]source) map[model.Role]source {
	m := maps.Clone(first)
	for role, s := range m {
		for _, other := range others {
			if o, ok := other[role]; ok {
				s.instead = append(s.instead, o)
			}
		}
		m[role] = s
	}
	return m
}

// named makes sources of whole tensors.
func named(names map[model.Role]string) map[model.Role]source {
	m := map[model.Role]source{}
	for role, name := range names {
		m[role] = source{name: name}
	}
	return m
}

// with returns base with the entries of more.
func with(base map[model.Role]source, more ...map[model.Role]source) map[model.Role]source {
	m := maps.Clone(base)
	for _, t := range more {
		maps.Copy(m, t)
	}
	return m
}

// fused returns the same source for all roles whose rows it holds.
func fused(s source, roles ...model.Role) map[model.Role]source {
	s.fused = roles
	m := map[model.Role]source{}
	for _, r := range roles {
		m[r] = s
	}
	return m
}

// merge joins tables that have no role in common.
func merge(tables ...map[model.Role]source) map[model.Role]source {
	m := map[model.Role]source{}
	for _, t := range tables {
		maps.Copy(m, t)
	}
	return m
}
