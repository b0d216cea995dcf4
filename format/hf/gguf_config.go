package hf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// ggufArch is what an architecture of llama.cpp is in transformers.
type ggufArch struct {
	// config returns the model_type, and adds what only this architecture has to a configuration.
	config func(m *ggufModel, c settings) string
	// names are those of tensors that have others than ggufNames.
	names map[model.Role]string
	// recurrent are the names of tensors in layers with a recurrence.
	recurrent map[model.Role]string
	memories  map[model.Role]source // as sources, in layers with a recurrence
	// tiled: value heads of memories take turns by key head (ggufTiles).
	tiled bool
	// sources say where rows lie that Hugging Face's files have otherwise.
	sources map[model.Role]source
	experts map[model.Role]source // … in layers with experts
	// paired: the rows of a head of query and key are in the order in which RoPE pairs them, first,
	// middle, second, one behind the middle, …, not first half and second half.
	paired bool
	// plusOne: 1 was added to the weights of norms.
	plusOne bool
	// gating is what expert_gating_func may be; 0 stands for softmaxGate.
	gating int
	groups bool // experts may be chosen by groups
	weighs bool // expert_weights_scale is read
	scales bool // rope.scaling.yarn_log_multiplier is read (magnitudes)
}

// settings are the members of a configuration.
type settings map[string]any

// ggufArchs are the supported values of general.architecture. The authority is how llama.cpp converts
// models of Hugging Face, and how it computes what its files do not say.
var ggufArchs = allOf(ggufBasic, ggufDense, ggufRouted, ggufRecurrent, ggufDelta, ggufLatent)

// ggufBasic are Llama, GPT, Gemma and their closest relatives.
var ggufBasic = map[string]*ggufArch{
	"llama":    {config: ggufLlama, paired: true},
	"granite":  {config: ggufGranite, paired: true},
	"smollm3":  {config: ggufPlain("smollm3"), paired: true},
	"qwen2":    {config: ggufPlain("qwen2")},
	"qwen3":    {config: ggufPlain("qwen3")},
	"qwen3moe": {config: ggufQwen3MoE},
	"gemma2":   {config: ggufGemma2, plusOne: true},
	"gemma3":   {config: ggufGemma3, plusOne: true},
	"olmo2":    {config: ggufOLMo2},
	"phi3": {config: ggufPhi3, names: map[model.Role]string{
		model.RoleQ: ggufFused + ".weight", model.RoleK: ggufFused + ".weight", model.RoleV: ggufFused + ".weight",
		model.RoleGate: "blk.{l}.ffn_up.weight",
	}},
	"starcoder2": {config: ggufStarCoder2},
	"gpt2": {config: ggufGPT2, names: ggufFusedNames, sources: merge(
		named(map[model.Role]string{
			model.RoleO:    gpt2Tensors[model.RoleO].name,
			model.RoleUp:   gpt2Tensors[model.RoleUp].name,
			model.RoleDown: gpt2Tensors[model.RoleDown].name,
		}),
		fused(source{name: gpt2Tensors[model.RoleQ].name}, model.RoleQ, model.RoleK, model.RoleV),
	)},
	"gptneox": {config: ggufGPTNeoX, names: ggufFusedNames, sources: merge(
		fused(source{name: gptNeoXTensors[model.RoleQ].name}, model.RoleQ, model.RoleK, model.RoleV),
		fused(source{name: gptNeoXTensors[model.RoleQBias].name}, model.RoleQBias, model.RoleKBias, model.RoleVBias),
	)},
	"llama4": {config: ggufLlama4, gating: sigmoidGate, experts: named(map[model.Role]string{
		model.RoleGate: "{p}layers.{l}.feed_forward.experts.gate_proj",
		model.RoleUp:   "{p}layers.{l}.feed_forward.experts.up_proj",
		model.RoleDown: "{p}layers.{l}.feed_forward.experts.down_proj",
	})},
}

const ggufFused = "blk.{l}.attn_qkv"

// ggufFusedNames are those of query, key and value in one tensor.
var ggufFusedNames = map[model.Role]string{
	model.RoleQ: ggufFused + ".weight", model.RoleK: ggufFused + ".weight", model.RoleV: ggufFused + ".weight",
	model.RoleQBias: ggufFused + ".bias", model.RoleKBias: ggufFused + ".bias", model.RoleVBias: ggufFused + ".bias",
}

// configuration returns the config.json of the model: what transformers would have made the file of.
func (m *ggufModel) configuration() ([]byte, error) {
	arch, ok := ggufArchs[m.arch]
	if !ok {
		return nil, m.unknownArch()
	}
	c := settings{}
	m.common(c)
	if m.err == nil {
		modelType := arch.config(m, c)
		c["model_type"] = modelType
		if f := families[modelType]; f != nil && f.class != "" {
			c["architectures"] = []string{f.class}
		}
	}
	if m.err != nil {
		return nil, m.err
	}
	text, err := json.Marshal(map[string]any(c), json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	v := jsontext.Value(text)
	if err := v.Indent(jsontext.WithIndent("  ")); err != nil {
		return nil, err
	}
	return append(v, '\n'), nil
}

func (m *ggufModel) unknownArch() error {
	switch m.arch {
	case "clip", "mmproj":
		return fmt.Errorf("architecture %q is the part of a model that sees or hears, not the language model: give the language model's file", m.arch)
	case "":
		return errors.New(`metadata "general.architecture" is empty`)
	}
	if names := ggufElsewhere[m.arch]; names != "" {
		return fmt.Errorf("architecture %q is not read from GGUF files, but from the model's safetensors (model_type %s)", m.arch, names)
	}
	return fmt.Errorf("architecture %q is not supported; supported: %s", m.arch, strings.Join(slices.Sorted(maps.Keys(ggufArchs)), ", "))
}

// common reads what all architectures have.
func (m *ggufModel) common(c settings) {
	if t := m.str("general.type"); t != "" && t != "model" {
		m.keep(fmt.Errorf("it holds no model but %s: name the file of the model", map[bool]string{true: "an adapter", false: "a " + t}[t == "adapter"]))
	}
	m.count(c, "num_hidden_layers", "block_count", true)
	if layers, more := m.layers(); more > 0 {
		c["num_hidden_layers"] = layers
	}
	m.count(c, "hidden_size", "embedding_length", true)
	m.count(c, "max_position_embeddings", "context_length", true)
	m.count(c, "intermediate_size", "feed_forward_length", false)
	m.count(c, "num_attention_heads", "attention.head_count", true)
	if ggufArchs[m.arch].recurrent == nil || !m.IsArray(m.key("attention.head_count_kv")) { // else layers differ
		m.count(c, "num_key_value_heads", "attention.head_count_kv", false)
		if c["num_key_value_heads"] == nil {
			c["num_key_value_heads"] = c["num_attention_heads"]
		}
	}
	if embed, ok := m.tensors["token_embd.weight"]; ok && len(embed.Shape) == 2 {
		c["vocab_size"] = embed.Shape[0]
	} else {
		m.keep(errors.New(`tensor "token_embd.weight" is missing, or no matrix`))
	}
	c["tie_word_embeddings"] = !m.has("output.weight")
	m.rope(c)
	m.keep(m.unsupported())
	m.tokenIDs(c)
}

// layers returns how many layers the model has, and how many come after them that predict further tokens.
func (m *ggufModel) layers() (layers, more int) {
	more = m.size("nextn_predict_layers", 0)
	layers = m.size("block_count", 0) - more
	if more < 0 || more > 0 && layers < 1 {
		m.keep(fmt.Errorf("metadata %q: %d of %d layers", m.key("nextn_predict_layers"), more, layers+more))
	}
	return layers, more
}

// unsupported refuses what would change what the model computes and no family here has.
func (m *ggufModel) unsupported() error {
	for _, name := range []string{"attention.clamp_kqv", "attention.max_alibi_bias", "attention.temperature_scale", "swin_norm", "router_logit_softcapping"} {
		x, ok, err := m.Float(m.key(name))
		if err != nil {
			return err
		}
		if ok && x != 0 {
			return fmt.Errorf("metadata %q: %g is not supported", m.key(name), x)
		}
	}
	if err := m.routing(); err != nil {
		return err
	}
	if causal, ok, err := m.Bool(m.key("attention.causal")); err != nil || ok && !causal {
		return errors.Join(err, fmt.Errorf("metadata %q: only causal attention is supported", m.key("attention.causal")))
	}
	return nil
}

// count reads a size. Where there is one for each layer, all must be the same.
func (m *ggufModel) count(c settings, to, name string, required bool) {
	key := m.key(name)
	if m.IsArray(key) {
		list, _, err := m.Ints(key)
		m.keep(err)
		for _, n := range list {
			if n != list[0] {
				m.keep(fmt.Errorf("metadata %q: layers that differ, here %v, are not supported", key, list))
			}
		}
		if len(list) > 0 {
			c[to] = list[0]
		}
		return
	}
	n, ok, err := m.Int(key)
	m.keep(err)
	switch {
	case ok:
		c[to] = n
	case required:
		m.keep(fmt.Errorf("metadata %q is missing", key))
	}
}

// layerBools reads a list of bools, at least one for each layer; nil if there is none, or none that can be used.
func (m *ggufModel) layerBools(c settings, name string) []bool {
	key := m.key(name)
	list, ok, err := m.Bools(key)
	m.keep(err)
	if n := c.layers(); ok && len(list) < n {
		m.keep(fmt.Errorf("metadata %q: %d entries for %d layers", key, len(list), n))
		return nil
	}
	return list
}

// layers is how many entries a list with one for each layer is given: no more than any model has layers.
func (c settings) layers() int {
	n, _ := asInt(c["num_hidden_layers"])
	return max(0, min(n, maxLayers))
}

// allFull are the types of layers that all attend to everything before them.
func allFull(c settings) []string { return slices.Repeat([]string{fullAttention}, c.layers()) }

// number copies a number, if it is there.
func (m *ggufModel) number(c settings, to, name string) (x float64, ok bool) {
	x, ok, err := m.Float(m.key(name))
	m.keep(err)
	if ok {
		c[to] = shortest(x)
	}
	return x, ok
}

// shortest returns the decimal number that was meant: a float32 has no more digits than it needs.
func shortest(x float64) any {
	if float64(float32(x)) == x {
		return float32(x)
	}
	return x
}

// epsilon reads what norms add to the variance.
func (m *ggufModel) epsilon(c settings, to, name string) {
	if _, ok := m.number(c, to, name); !ok {
		m.keep(fmt.Errorf("metadata %q is missing", m.key(name)))
	}
}

func (m *ggufModel) rms(c settings) { m.epsilon(c, "rms_norm_eps", "attention.layer_norm_rms_epsilon") }

// str reads a string of the whole file, "" if it is not there.
func (m *ggufModel) str(key string) string {
	s, _, err := m.String(key)
	m.keep(err)
	return s
}

// size reads a whole number, or fallback if it is not there.
func (m *ggufModel) size(name string, fallback int) int {
	n, ok, err := m.Int(m.key(name))
	m.keep(err)
	if !ok {
		return fallback
	}
	return n
}

// headDim reads the width of a head; without it, heads share the hidden size.
func (m *ggufModel) headDim(c settings) int {
	dim := m.size("attention.key_length", 0)
	if dim == 0 {
		heads, _ := asInt(c["num_attention_heads"])
		hidden, _ := asInt(c["hidden_size"])
		dim = hidden / max(heads, 1)
	}
	if v := m.size("attention.value_length", dim); v != dim {
		m.keep(fmt.Errorf("metadata %q: values of %d beside keys of %d are not supported", m.key("attention.value_length"), v, dim))
	}
	c["head_dim"] = dim
	return dim
}

func asInt(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case int64:
		return int(v), true
	}
	return 0, false
}
