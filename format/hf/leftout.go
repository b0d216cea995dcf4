package hf

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// rest accounts for the tensors that the Spec does not list: those that change nothing are noted, any
// other is an error.
func (b *binder) rest() (notes []string, err error) {
	left := map[string]int{}
	head := b.name(b.source(model.RoleHead, model.NoLayer), model.NoLayer, "")
	for _, name := range slices.Sorted(maps.Keys(b.shards.tensors)) {
		if b.used[name] {
			continue
		}
		what := b.leftOut(name)
		switch {
		case what != "":
		case b.spec.TiedHead && name == head:
			what = "head equal to the embedding"
		default:
			return nil, fmt.Errorf("%s: tensor %q: %w", b.shards.tensors[name].file, name, b.unexpected(name))
		}
		left[what]++
	}
	for _, what := range slices.Sorted(maps.Keys(left)) {
		notes = append(notes, fmt.Sprintf("left out: %s (%d)", what, left[what]))
	}
	return notes, nil
}

// leftOut says what a tensor is that the language model does not need, "" if it is nothing of the kind.
func (b *binder) leftOut(name string) string {
	switch {
	case inParts(name, otherParts):
		return "vision tensors"
	case strings.Contains(name, ".additional_embedding.") || strings.Contains(name, "lm_head.additional_fc."):
		return "rows of tokens that stand for images"
	case buffers.MatchString(name):
		return "buffers that are computed anew"
	case b.predictsFurther(name):
		return "layers that predict further tokens"
	case otherHeads.MatchString(name) && b.hasHead(name):
		return "heads for other tasks"
	case ofIndexer(b.spec, name):
		return "what chooses positions in longer contexts"
	case b.ofSharedKV(name):
		return "keys and values of layers that read those of others"
	case b.spec.Streams.Count > 0 && !b.spec.Streams.InputScaled && strings.HasSuffix(name, ".altup.correct_output_scale"):
		return "scales that config.json switches off"
	case cacheScales.MatchString(name):
		return "scales of cached keys and values, which are not quantized here"
	case b.quant != nil && ofActivations(name):
		return "scales of activations, which are not quantized here"
	case b.quant != nil && b.zeroBias(name):
		return "biases of zeros that quantization added"
	}
	return ""
}

// ofSharedKV reports whether a tensor makes keys or values of a layer that shares those of another.
func (b *binder) ofSharedKV(name string) bool {
	n, ok := layerOf(name)
	if !ok || n >= len(b.spec.Layers) || !b.spec.Layer(n).Attention.SharedKV {
		return false
	}
	return slices.ContainsFunc([]string{"k_proj", "v_proj", "k_norm", "v_norm"}, func(s string) bool { return strings.Contains(name, ".self_attn."+s+".") })
}

// hint says why a tensor may be missing.
func (b *binder) hint(name string) string {
	if by := b.otherNames(); by != "" {
		return "; " + by
	}
	if name != b.name(b.source(model.RoleHead, model.NoLayer), model.NoLayer, "") {
		return ""
	}
	for _, other := range slices.Sorted(maps.Keys(b.shards.tensors)) {
		if otherHeads.MatchString(other) {
			return fmt.Sprintf("; %q is the head of a classifier or reward model, which writes no text", other)
		}
	}
	return "; config.json has tie_word_embeddings false. If the head is the embedding, set it to true; if these files are the body alone, as embedding models have it, there is nothing that predicts tokens"
}

// otherNaming are tensors by which the names of other tools are known.
var otherNaming = []struct{ pattern, what string }{
	{`^tok_embeddings\.weight$|^layers\.0\.attention\.wq\.weight$`, "the names are those of Meta's or Mistral's own format: take the files that transformers reads (model.safetensors and config.json), or convert them with transformers' convert_llama_weights_to_hf.py or convert_mistral_weights_to_hf.py"},
	{`^blk\.0\.|^token_embd\.weight$`, "the names are those of a GGUF file"},
	{`^(?:model\.)?(?:decoder|language_model)\..*\.linear_(?:qkv|fc1)\.weight$|\.word_embeddings\.weight$`, "the names are those of Megatron or of another family: convert the checkpoint to that of transformers"},
	{`^text_model\.|^encoder\.|^bert\.|^roberta\.|\.encoder\.layers?\.0\.`, "the names are those of an encoder, which writes no text"},
	{`^(?:unet|vae|down_blocks|mid_block|transformer_blocks|double_blocks)\.`, "the names are those of an image model"},
}

// otherNames says whose names the tensors have if not one that the family knows is there.
func (b *binder) otherNames() string {
	for _, s := range b.anchors() {
		if b.there(b.name(s, 0, "")) {
			return ""
		}
	}
	names := slices.Sorted(maps.Keys(b.shards.tensors))
	for _, other := range otherNaming {
		if at := slices.IndexFunc(names, regexp.MustCompile(other.pattern).MatchString); at >= 0 {
			return fmt.Sprintf("there is %q: %s", names[at], other.what)
		}
	}
	if len(names) == 0 {
		return "the files hold no tensor"
	}
	return fmt.Sprintf("the names there, such as %q, are not those of model_type %q", names[0], b.spec.Family)
}

// unexpected says why a tensor cannot be left out.
func (b *binder) unexpected(name string) error {
	if otherHeads.MatchString(name) {
		return errors.New("the head of a classifier or reward model: these files have no head that predicts tokens, so this model cannot generate text")
	}
	if n, ok := layerOf(name); ok && n >= len(b.spec.Layers) {
		return fmt.Errorf("unexpected: with num_hidden_layers %d, config.json has no layer %d", len(b.spec.Layers), n)
	}
	return fmt.Errorf("unexpected: model_type %q with this config.json has no tensor of this name", b.spec.Family)
}

// buffers are what old versions saved and transformers computes: rotations, masks and positions; and what
// Transformer Engine keeps about itself.
var buffers = regexp.MustCompile(`(?:^|\.)(?:` + strings.Join([]string{
	`rotary_(?:pos_)?emb\.(?:original_)?inv_freq`, `rotary_(?:pos_)?emb\.(?:cos|sin)_cached`, `rope\.freqs`, `(?:cross)?attn\.(?:masked_)?bias`,
	`(?:cross)?attention\.(?:masked_)?bias`, `position_ids`, `_extra_state`,
}, "|") + `)$`)

// cacheScales say how a runtime may quantize keys and values.
var cacheScales = regexp.MustCompile(`\.(?:[kv]|kv|kv_cache)_scale$|\.[kv]_zero_point$`)

// otherHeads are those of classifiers, reward and value models, and of GPT-2 with two heads.
var otherHeads = regexp.MustCompile(`^(?:score|classifier|classification_head|v_head|value_head|reward_head|rm_head|regression_head|qa_outputs|multiple_choice_head)\.`)

// hasHead reports whether the model can predict tokens beside what another head does: its own head is
// stored, or tied; but of a classifier, even a tied one must be stored.
func (b *binder) hasHead(other string) bool {
	head := b.name(b.source(model.RoleHead, model.NoLayer), model.NoLayer, "")
	return b.there(head) || b.spec.TiedHead && strings.HasPrefix(other, "v_head.")
}

// furtherSegments are parts of the names of layers that predict further tokens, as DeepSeek, GLM, Qwen and
// MiMo have them, and those that Medusa adds.
var furtherSegments = []string{"mtp", "mtp_layers", "nextn", "medusa_head"}

// predictsFurther reports whether a tensor belongs to a layer that predicts more than the next token:
// by its name, or as a layer behind the last with the projection that joins embedding and state.
func (b *binder) predictsFurther(name string) bool {
	segments := strings.Split(name, ".")
	if slices.ContainsFunc(segments, func(s string) bool { return slices.Contains(furtherSegments, s) || strings.HasPrefix(s, "mtp_") }) {
		return true
	}
	n, ok := layerOf(name)
	if !ok || n < len(b.spec.Layers) {
		return false
	}
	at := slices.Index(segments, strconv.Itoa(n))
	return b.modules[strings.Join(segments[:at+1], ".")+".eh_proj"]
}

// layerOf returns the number of the layer that a tensor belongs to.
func layerOf(name string) (n int, ok bool) {
	for _, s := range strings.Split(name, ".") {
		if n, err := strconv.Atoi(s); err == nil && n >= 0 {
			return n, true
		}
	}
	return 0, false
}

// ofIndexer reports whether a tensor belongs to what chooses the positions that a token reads, in contexts that are
// longer than those which are computed.
func ofIndexer(spec *model.Spec, name string) bool {
	return spec.ContextLimit > 0 && strings.Contains(name, ".self_attn.indexer.")
}

// otherParts are the parts of a multimodal model beside the language model.
var otherParts = []string{
	"vision_tower", "vision_model", "mm_projector", "vision_encoder", "vision_tokenizer", "vision_embed_tokens", "multi_modal_projector", "visual", "audio_tower",
	"embed_vision", "embed_audio", "vision_embedder", "image_newline",
}

// inParts reports whether a tensor lies in one of the parts.
func inParts(name string, parts []string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(name, "model."), "vlm."), ".")
	return slices.Contains(parts, first)
}

// ofActivations reports whether a tensor says how a runtime may quantize what is not a weight.
func ofActivations(name string) bool {
	for _, suffix := range []string{
		".input_scale", ".input_scale_ub", ".input_zero_point", ".output_scale", ".output_zero_point",
		".activation_scale", ".q_scale", ".input_global_scale", ".k_proj.k_bias", ".v_proj.v_bias",
	} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// zeroBias reports whether a tensor is a bias of zeros beside a quantized matrix: some versions of
// GPTQ's tools give every matrix one.
func (b *binder) zeroBias(name string) bool {
	base, ok := strings.CutSuffix(name, ".bias")
	if !ok || !b.used[base+".qweight"] {
		return false
	}
	for _, v := range b.shards.tensors[name].data {
		if v != 0 {
			return false
		}
	}
	return true
}

// differs reports whether the model has a head of its own, although config.json ties it to the embedding:
// both are stored, with different values. transformers then uses both.
func (b *binder) differs() bool {
	embed, ok := b.shards.tensors[b.name(b.family.tensors[model.RoleEmbed], model.NoLayer, "")]
	head, too := b.shards.tensors[b.name(b.source(model.RoleHead, model.NoLayer), model.NoLayer, "")]
	if !ok || !too || !slices.Equal(embed.shape, head.shape) || decoders[embed.dtype] == nil || decoders[head.dtype] == nil {
		return false
	}
	if embed.dtype == head.dtype {
		return !bytes.Equal(embed.data, head.data)
	}
	return !sameValues(embed, head)
}

// sameValues compares tensors of different types.
func sameValues(a, b stored) bool {
	const step = 1 << 16
	n := len(a.data) / elementSize[a.dtype]
	x, y := make([]float32, step), make([]float32, step)
	for at := 0; at < n; at += step {
		k := min(step, n-at)
		a.decode(at, x[:k])
		b.decode(at, y[:k])
		if !slices.Equal(x[:k], y[:k]) {
			return false
		}
	}
	return true
}
