package hf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/gguf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// ggufNames are the names that tensors have in GGUF files.
var ggufNames = map[model.Role]string{
	model.RoleEmbed:         "token_embd.weight",
	model.RolePositions:     "position_embd.weight",
	model.RoleAttnNorm:      "blk.{l}.attn_norm.weight",
	model.RoleAttnNormBias:  "blk.{l}.attn_norm.bias",
	model.RoleQ:             "blk.{l}.attn_q.weight",
	model.RoleQBias:         "blk.{l}.attn_q.bias",
	model.RoleK:             "blk.{l}.attn_k.weight",
	model.RoleKBias:         "blk.{l}.attn_k.bias",
	model.RoleV:             "blk.{l}.attn_v.weight",
	model.RoleVBias:         "blk.{l}.attn_v.bias",
	model.RoleQNorm:         "blk.{l}.attn_q_norm.weight",
	model.RoleKNorm:         "blk.{l}.attn_k_norm.weight",
	model.RoleO:             "blk.{l}.attn_output.weight",
	model.RoleOBias:         "blk.{l}.attn_output.bias",
	model.RolePostAttnNorm:  "blk.{l}.post_attention_norm.weight",
	model.RoleMLPNorm:       "blk.{l}.ffn_norm.weight",
	model.RoleMLPNormBias:   "blk.{l}.ffn_norm.bias",
	model.RoleSinks:         "blk.{l}.attn_sinks.weight",
	model.RoleRouter:        "blk.{l}.ffn_gate_inp.weight",
	model.RoleRouterBias:    "blk.{l}.ffn_gate_inp.bias",
	model.RoleSelectionBias: "blk.{l}.exp_probs_b.bias",
	model.RoleGate:          "blk.{l}.ffn_gate.weight",
	model.RoleGateBias:      "blk.{l}.ffn_gate.bias",
	model.RoleUp:            "blk.{l}.ffn_up.weight",
	model.RoleUpBias:        "blk.{l}.ffn_up.bias",
	model.RoleDown:          "blk.{l}.ffn_down.weight",
	model.RoleDownBias:      "blk.{l}.ffn_down.bias",
	model.RoleSharedGate:    "blk.{l}.ffn_gate_shexp.weight",
	model.RoleSharedUp:      "blk.{l}.ffn_up_shexp.weight",
	model.RoleSharedDown:    "blk.{l}.ffn_down_shexp.weight",
	model.RolePostMLPNorm:   "blk.{l}.post_ffw_norm.weight",
	model.RoleFinalNorm:     "output_norm.weight",
	model.RoleFinalNormBias: "output_norm.bias",
	model.RoleHead:          "output.weight",
	model.RoleHeadBias:      "output.bias",
}

// ggufExperts are the names of tensors that stack the matrices of all experts.
var ggufExperts = map[model.Role]string{
	model.RoleGate: "blk.{l}.ffn_gate_exps.weight",
	model.RoleUp:   "blk.{l}.ffn_up_exps.weight",
	model.RoleDown: "blk.{l}.ffn_down_exps.weight",
}

// ggufGateUp stacks, for all experts, the gate's rows and then those of the up projection.
const ggufGateUp = "blk.{l}.ffn_gate_up_exps.weight"

// ggufUseless are tensors of which what they say was read, or that only other programs want.
var ggufUseless = map[string]bool{"rope_freqs.weight": true, "rope_factors_long.weight": true, "rope_factors_short.weight": true}

// fill puts the tensors into s, under the names that Hugging Face's files have for them. Those that the
// model has not keep their own.
func (m *ggufModel) fill(c *config, s *shards) error {
	arch := ggufArchs[m.arch]
	f := *c.family
	f.tensors, f.experts = with(f.tensors, arch.sources), with(f.experts, arch.experts)
	f.recurrent = with(f.recurrent, arch.memories)
	c.family = &f
	r := &ggufRenamer{model: m, arch: arch, shards: s, binder: &binder{family: c.family, spec: c.spec, prefix: c.family.prefixes[0]}, done: map[string]bool{}}
	for _, t := range c.spec.Tensors() {
		if err := r.rename(t); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
	}
	layers, more := m.layers()
	for name, t := range m.tensors {
		if r.done[name] || ggufUseless[name] || more > 0 && behind(name, layers) {
			continue
		}
		s.tensors[name] = stored{file: t.file, dtype: t.Type.Name, shape: t.Shape, data: t.Data}
	}
	return nil
}

// behind reports whether a tensor is of a layer that comes after those of the model.
func behind(name string, layers int) bool {
	number, _, ok := strings.Cut(strings.TrimPrefix(name, "blk."), ".")
	n, err := strconv.Atoi(number)
	return ok && err == nil && n >= layers
}

// ggufRenamer gives tensors of a GGUF file the names that Hugging Face's files have for them.
type ggufRenamer struct {
	model  *ggufModel
	arch   *ggufArch
	shards *shards
	binder *binder
	done   map[string]bool // tensors of the file
}

func (r *ggufRenamer) rename(t model.Tensor) error {
	s := r.binder.source(t.Role, t.Layer)
	if s.name == "" {
		return nil // the binder says so
	}
	if len(t.Shape) == 3 {
		return r.experts(s, t)
	}
	name := ggufLayer(r.nameOf(t), t.Layer)
	from, ok := r.model.tensors[name]
	if !ok {
		return r.together(s, t, name)
	}
	r.done[name] = true
	if s.thin && len(from.Shape) == 2 {
		from.Shape = []int{from.Shape[0], 1, from.Shape[1]}
	}
	return r.put(r.binder.name(s, t.Layer, ""), from, t)
}

// nameOf returns the name of a tensor in GGUF files, with {l} for its layer.
func (r *ggufRenamer) nameOf(t model.Tensor) string {
	if t.Layer != model.NoLayer && r.binder.spec.Layer(t.Layer).Recurrence.Taps > 0 {
		if name := r.arch.recurrent[t.Role]; name != "" {
			return name
		}
	}
	if name := r.arch.names[t.Role]; name != "" {
		return name
	}
	return ggufNames[t.Role]
}

// together finds a query, key or value in the tensor that holds the rows of all three, as some files have
// them.
func (r *ggufRenamer) together(s source, t model.Tensor, name string) error {
	attention := r.binder.spec.Layer(t.Layer).Attention
	q, kv := attention.Heads*attention.HeadDim, attention.KVHeads*attention.HeadDim
	rows := map[model.Role][2]int{
		model.RoleQ: {0, q}, model.RoleK: {q, kv}, model.RoleV: {q + kv, kv},
		model.RoleQBias: {0, q}, model.RoleKBias: {q, kv}, model.RoleVBias: {q + kv, kv},
	}
	of, ok := rows[t.Role]
	all := ggufLayer(ggufFusedNames[t.Role], t.Layer)
	if !ok || !r.model.has(all) {
		return r.missing(name)
	}
	r.done[all] = true
	shape := append([]int{q + 2*kv}, t.Shape[1:]...)
	from, err := r.model.tensors[all].slice(all, shape, of[0], of[1])
	if err != nil {
		return err
	}
	return r.put(r.binder.name(s, t.Layer, ""), from, t)
}

func (r *ggufRenamer) missing(name string) error {
	return fmt.Errorf("tensor %q is missing; architecture %q with this metadata has it", name, r.model.arch)
}

func ggufLayer(name string, layer int) string {
	return strings.ReplaceAll(name, "{l}", strconv.Itoa(layer))
}

// experts cuts a stack of matrices, if Hugging Face's files have each expert's by itself.
func (r *ggufRenamer) experts(s source, t model.Tensor) error {
	if !strings.Contains(s.name, "{e}") {
		name := ggufLayer(ggufExperts[t.Role], t.Layer)
		from, ok := r.model.tensors[name]
		if !ok {
			return r.missing(name)
		}
		r.done[name] = true
		return r.put(r.binder.name(s, t.Layer, ""), from, t)
	}
	for e := range t.Shape[0] {
		from, err := r.expert(t, e)
		if err != nil {
			return err
		}
		if err := r.put(r.binder.name(s, t.Layer, strconv.Itoa(e)), from, t); err != nil {
			return err
		}
	}
	return nil
}

// expert finds the matrix of an expert: in a stack, in one of gates and up projections together, or, in
// old files, by itself.
func (r *ggufRenamer) expert(t model.Tensor, e int) (ggufTensor, error) {
	stack, both := ggufLayer(ggufExperts[t.Role], t.Layer), ggufLayer(ggufGateUp, t.Layer)
	alone := strings.TrimSuffix(ggufLayer(ggufNames[t.Role], t.Layer), ".weight") + "." + strconv.Itoa(e) + ".weight"
	experts, rows := t.Shape[0], t.Shape[1]
	switch {
	case r.model.has(alone):
		r.done[alone] = true
		return r.model.tensors[alone], nil
	case r.model.has(both) && t.Role != model.RoleDown:
		r.done[both] = true
		first := 2 * rows * e
		if t.Role == model.RoleUp {
			first += rows
		}
		return r.model.tensors[both].slice(both, []int{experts, 2 * rows, t.Shape[2]}, first, rows)
	case r.model.has(stack):
		r.done[stack] = true
		return r.model.tensors[stack].slice(stack, t.Shape, rows*e, rows)
	}
	return ggufTensor{}, r.missing(stack)
}

// slice returns rows of a vector, a matrix or a stack of matrices of the given shape.
func (t ggufTensor) slice(name string, shape []int, first, rows int) (ggufTensor, error) {
	whole := stored{file: t.file, shape: t.Shape}
	if err := whole.checkShape(name, shape); err != nil {
		return t, err
	}
	if len(shape) == 1 && !t.Type.Plain() {
		return t, fmt.Errorf("tensor %q: a vector of type %s is not supported", name, t.Type.Name)
	}
	size, columns := t.Type.Bytes, []int(nil) // of a row
	if len(shape) > 1 {
		columns = shape[len(shape)-1:]
		size = columns[0] / t.Type.Elements * t.Type.Bytes
	}
	t.Shape, t.Data = append([]int{rows}, columns...), t.Data[first*size:(first+rows)*size]
	return t, nil
}

// put stores a tensor under the name that Hugging Face's files have for it, and undoes what was done to its
// values. Floats that need nothing are stored as they are.
func (r *ggufRenamer) put(name string, from ggufTensor, t model.Tensor) error {
	if !from.Type.Readable() {
		return fmt.Errorf("tensor %q: type %s is not supported; supported: %s; a file with another can be made from the model's safetensors, or from this one by llama-quantize --allow-requantize",
			from.Name, from.Type.Name, strings.Join(gguf.Supported(), ", "))
	}
	if len(t.Shape) == 1 && !from.Type.Plain() {
		return fmt.Errorf("tensor %q: a vector of type %s is not supported", from.Name, from.Type.Name)
	}
	v := &ggufRows{kind: from.Type, data: from.Data, cols: 1}
	if len(t.Shape) > 1 && len(from.Shape) > 0 {
		v.cols = from.Shape[len(from.Shape)-1]
	}
	v.pair(r, t)
	if slices.Contains(ggufFlat, t.Role) && len(from.Shape) == 2 {
		from.Shape, v.cols = []int{from.Shape[0] * from.Shape[1]}, 1
	}
	v.decay = t.Role == model.RoleDecayLog
	if t.Role == model.RoleKUp || t.Role == model.RoleVUp {
		return r.putLatent(name, from, t, v)
	}
	if r.arch.plusOne && strings.HasSuffix(string(t.Role), "norm") && t.Role != model.RoleHeadsNorm {
		v.minus = 1
	}
	if r.arch.tiled && t.Layer != model.NoLayer {
		v.tiles, v.columns = tilesOf(from.Name, r.binder.spec.Layer(t.Layer).Recurrence)
	}
	s := stored{file: from.file, dtype: from.Type.Name, shape: from.Shape, data: from.Data}
	if !from.Type.Plain() || v.head > 0 || v.minus != 0 || v.decay || v.tiles != nil || v.columns != nil {
		s.values = v
	}
	r.shards.tensors[name] = s
	return nil
}

// ggufFlat are vectors that are stored as matrices.
var ggufFlat = []model.Role{model.RoleDecayLog, model.RoleSkip, model.RoleHeadsNorm}

// pair undoes the order of the rows of queries and keys.
func (v *ggufRows) pair(r *ggufRenamer, t model.Tensor) {
	if !r.arch.paired {
		return
	}
	switch t.Role {
	case model.RoleQ, model.RoleQBias, model.RoleK, model.RoleKBias:
		v.head = r.binder.spec.Layer(t.Layer).Attention.HeadDim
	}
}
