package hf

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

const forms = "../../testdata/forms/"

// rowsOf returns the values of tensor i.
func rowsOf(t *testing.T, c *Checkpoint, i int) []float32 {
	t.Helper()
	tensor := c.Tensors()[i]
	all := make([]float32, tensor.Rows()*tensor.Cols())
	if err := c.Rows(i, 0, tensor.Rows(), all); err != nil {
		t.Fatal(err)
	}
	return all
}

// sameModel compares all tensors of two checkpoints by their roles.
func sameModel(t *testing.T, have, want *Checkpoint) {
	t.Helper()
	if len(have.Tensors()) != len(want.Tensors()) {
		t.Fatalf("%d tensors, want %d", len(have.Tensors()), len(want.Tensors()))
	}
	for i, tensor := range want.Tensors() {
		if h := have.Tensors()[i]; h.Role != tensor.Role || !slices.Equal(rowsOf(t, have, i), rowsOf(t, want, i)) {
			t.Fatalf("%s (%s) differs from %s", h.Name, h.Role, tensor.Name)
		}
	}
}

func hasNote(c *Checkpoint, text string) bool {
	return slices.ContainsFunc(c.Notes(), func(n string) bool { return strings.Contains(n, text) })
}

// renamed copies a checkpoint of one file with other names of tensors, into a directory that the test may
// change.
func renamed(t *testing.T, from string, to func(string) string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, singleFile)
	all := map[string]*tensorData{}
	for name, d := range unpack(t, path) {
		all[to(name)] = d
	}
	pack(t, path, all)
	return dir
}

// Experts that transformers wrote in the form that they have in memory are those of the families.
func TestStackedExperts(t *testing.T) {
	for _, family := range []string{"mixtral", "qwen3_moe"} {
		plain, stacked := mustOpen(t, fixtureOf(t, family)), mustOpen(t, forms+family+"_stacked")
		sameModel(t, stacked, plain)
		at := slices.IndexFunc(stacked.Tensors(), func(x model.Tensor) bool { return len(x.Shape) == 3 && x.Role == model.RoleUp })
		if name := stacked.Tensors()[at].Name; !strings.Contains(name, ".mlp.experts.gate_up_proj[") {
			t.Errorf("%s: the ups are called %q", family, name)
		}
	}
}

// The block of a Mixtral has two names, whatever the form.
func TestBlockNames(t *testing.T) {
	plain := mustOpen(t, fixtureOf(t, "mixtral"))
	sameModel(t, mustOpen(t, renamed(t, fixtureOf(t, "mixtral"), func(n string) string {
		return strings.Replace(n, ".block_sparse_moe.", ".mlp.", 1)
	})), plain)
	sameModel(t, mustOpen(t, renamed(t, forms+"mixtral_stacked", func(n string) string {
		return strings.Replace(n, ".mlp.", ".block_sparse_moe.", 1)
	})), plain)
}

// The head of a GPT-NeoX has two names.
func TestHeadNames(t *testing.T) {
	sameModel(t, mustOpen(t, renamed(t, fixtureOf(t, "gpt_neox"), func(n string) string {
		return strings.Replace(n, "embed_out.", "lm_head.", 1)
	})), mustOpen(t, fixtureOf(t, "gpt_neox")))
}

// apart takes the stacked experts of a Llama 4 apart, as llm-compressor does before it quantizes.
func apart(all map[string]*tensorData) {
	for name, d := range all {
		base, found := strings.CutSuffix(name, ".gate_up_proj")
		parts := []string{"gate_proj", "up_proj"}
		if !found {
			if base, found = strings.CutSuffix(name, ".experts.down_proj"); !found {
				continue
			}
			base, parts = base+".experts", []string{"down_proj"}
		}
		delete(all, name)
		experts, in, out := d.Shape[0], d.Shape[1], d.Shape[2]/len(parts)
		for e := range experts {
			for k, part := range parts {
				var data []byte
				for r := range out {
					for c := range in {
						at := (e*in+c)*out*len(parts) + k*out + r
						data = append(data, d.data[2*at:2*at+2]...)
					}
				}
				all[base+"."+string(rune('0'+e))+"."+part+".weight"] = &tensorData{DType: d.DType, Shape: []int{out, in}, data: data}
			}
		}
	}
}

func TestExpertsApart(t *testing.T) {
	dir := copyOf(t, "llama4")
	path := filepath.Join(dir, singleFile)
	all := unpack(t, path)
	apart(all)
	pack(t, path, all)
	sameModel(t, mustOpen(t, dir), mustOpen(t, fixtureOf(t, "llama4")))
}

func TestExpertsInNoForm(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(forms+"qwen3_moe_stacked")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, singleFile)
	all := unpack(t, path)
	delete(all, "model.layers.0.mlp.experts.gate_up_proj")
	pack(t, path, all)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), `tensor "model.layers.0.mlp.experts.0.gate_proj.weight" is missing`) {
		t.Errorf("error %v", err)
	}
}

// A tied embedding may be stored as the head.
func TestTiedHeadOnly(t *testing.T) {
	c := mustOpen(t, forms+"tied_head")
	sameModel(t, c, mustOpen(t, fixtureOf(t, "qwen2")))
	if !hasNote(c, `the embedding is stored as "lm_head.weight"`) || c.Edited() {
		t.Errorf("edited %v, notes %q", c.Edited(), c.Notes())
	}
	for family, embed := range map[string]string{"gpt2": "transformer.wte.weight", "gemma3": "model.embed_tokens.weight", "starcoder2": "model.embed_tokens.weight"} {
		for _, front := range []string{"", "module."} {
			dir := renamed(t, fixtureOf(t, family), func(n string) string {
				if n == embed {
					n = "lm_head.weight"
				}
				return front + n
			})
			sameModel(t, mustOpen(t, dir), mustOpen(t, fixtureOf(t, family)))
		}
	}
}

// A head that is not the embedding is used, whatever config.json says, and config.json then says so.
func TestUntied(t *testing.T) {
	c := mustOpen(t, forms+"untied")
	stored := unpack(t, filepath.Join(forms, "untied", singleFile))
	spec, err := ParseConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	if c.Spec().TiedHead || spec.TiedHead || !c.Edited() || !hasNote(c, `warning: "lm_head.weight" is not the embedding`) {
		t.Errorf("tied %v, %v, edited %v, notes %q", c.Spec().TiedHead, spec.TiedHead, c.Edited(), c.Notes())
	}
	for name, d := range stored {
		want := make([]float32, len(d.data)/2)
		decodeF16(want, d.data)
		if !slices.Equal(valuesOf(t, c, name), want) {
			t.Errorf("%s differs", name)
		}
	}
}

// A head in another type is the embedding if it has its values.
func TestTiedInAnotherType(t *testing.T) {
	dir := copyOf(t, "qwen2")
	path := filepath.Join(dir, singleFile)
	all := unpack(t, path)
	embed := all["model.embed_tokens.weight"]
	head := &tensorData{DType: "F32", Shape: embed.Shape, data: recode(embed.data, "F32")}
	all["lm_head.weight"] = head
	pack(t, path, all)
	if c := mustOpen(t, dir); !c.Spec().TiedHead || !hasNote(c, "head equal to the embedding") {
		t.Errorf("notes %q", c.Notes())
	}
	binary.LittleEndian.PutUint32(head.data[4*100:], 0x3f800001)
	pack(t, path, all)
	if c := mustOpen(t, dir); c.Spec().TiedHead {
		t.Error("one value differs, and the head is tied")
	}
}

// What wraps a model adds prefixes and segments to the names of its tensors.
func TestWrapped(t *testing.T) {
	front := func(p string) func(string) string { return func(n string) string { return p + n } }
	for _, c := range []struct {
		name, from string
		to         func(string) string
		notes      []string
	}{
		{"DDP", fixtureOf(t, "mistral"), front("module."), []string{`without "module.", which DataParallel`}},
		{"compiled", fixtureOf(t, "mistral"), front("_orig_mod."), []string{`without "_orig_mod.", which torch.compile adds`}},
		{"both", fixtureOf(t, "gpt2"), front("module._orig_mod."), []string{`"module."`, `"_orig_mod."`}},
		{"both, the other way round", fixtureOf(t, "gpt_neox"), front("_orig_mod.module."), []string{`"module."`, `"_orig_mod."`}},
		{"PEFT", fixtureOf(t, "mixtral"), front("base_model.model."), []string{`without "base_model.model.", which PEFT adds`}},
		{"PEFT in DDP", fixtureOf(t, "qwen3"), front("module.base_model.model."), []string{`"module.base_model.model.", which DataParallel or DeepSpeed and PEFT adds`}},
		{"PEFT without its adapter", fixtureOf(t, "qwen2"), func(n string) string {
			return strings.Replace(n, "q_proj.", "q_proj.base_layer.", 1)
		}, []string{`"base_layer."`}},
		{"a compiled layer", fixtureOf(t, "phi3"), func(n string) string {
			return strings.Replace(n, ".layers.1.", ".layers.1._orig_mod.", 1)
		}, []string{`"_orig_mod."`}},
		{"FSDP and checkpoints", fixtureOf(t, "olmo2"), func(n string) string {
			return strings.Replace(n, ".layers.2.", ".layers.2._fsdp_wrapped_module._checkpoint_wrapped_module.", 1)
		}, []string{`"_fsdp_wrapped_module."`, `"_checkpoint_wrapped_module."`}},
		{"Lightning", fixtureOf(t, "granite"), front("model."), []string{`without "model."`}},
		{"bare", fixtureOf(t, "qwen2"), func(n string) string { return strings.TrimPrefix(n, "model.") }, nil},
		{"bare in DDP", fixtureOf(t, "gpt2"), func(n string) string { return "module." + strings.TrimPrefix(n, "transformer.") }, []string{`"module."`}},
		{"in a multimodal model", fixtureOf(t, "mistral"), front("language_model."), []string{`"language_model."`}},
		{"in a newer one", fixtureOf(t, "mistral"), func(n string) string {
			return strings.Replace(n, "model.", "model.language_model.", 1)
		}, []string{`"model.language_model."`}},
		{"the head outside", fixtureOf(t, "gemma3"), func(n string) string { return strings.Replace(n, "model.", "language_model.model.", 1) }, nil},
		{"unknown", fixtureOf(t, "starcoder2"), front("agent.policy."), []string{`without "agent.policy."`}},
		{"quantized", quantized + "gptq", front("module."), []string{`"module."`}},
		{"stacked", forms + "mixtral_stacked", front("module."), []string{`"module."`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			plain, wrapped := mustOpen(t, c.from), mustOpen(t, renamed(t, c.from, c.to))
			sameModel(t, wrapped, plain)
			for _, note := range c.notes {
				if !hasNote(wrapped, note) {
					t.Errorf("notes %q, want one with %q", wrapped.Notes(), note)
				}
			}
			if c.notes == nil && hasNote(wrapped, "tensor names are read without") {
				t.Errorf("notes %q", wrapped.Notes())
			}
		})
	}
}

func one(dtype string) *tensorData {
	return &tensorData{DType: dtype, Shape: []int{1}, data: make([]byte, elementSize[dtype])}
}

func TestWrappedRefuses(t *testing.T) {
	for _, c := range []struct {
		name, add, want string
	}{
		{"an adapter", "model.layers.0.self_attn.q_proj.lora_A.default.weight", "saved with its adapter beside the weights: save model.merge_and_unload()"},
		{"trained copies", "model.embed_tokens.modules_to_save.default.weight", "saved with its adapter"},
		{"two that become one", "_orig_mod.model.norm.weight", `it would be "model.norm.weight" without its prefix, as `},
	} {
		dir := copyOf(t, "mistral")
		path := filepath.Join(dir, singleFile)
		all := unpack(t, path)
		all[c.add] = one("F16")
		pack(t, path, all)
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	dir := renamed(t, fixtureOf(t, "mistral"), func(n string) string { return "actor." + n })
	path := filepath.Join(dir, singleFile)
	all := unpack(t, path)
	all["actor.model.more"] = one("F16")
	pack(t, path, all)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), `(tensor names are read without "actor.")`) {
		t.Errorf("an error without the prefix: %v", err)
	}
	all["critic.model.embed_tokens.weight"] = one("F16")
	pack(t, path, all)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), `tensors of several models: "actor.model.embed_tokens.weight" and "critic.model.embed_tokens.weight"`) {
		t.Errorf("two models: error %v", err)
	}
}

// Tensors that change nothing are left out, under whatever prefix.
func TestLeftOutByKind(t *testing.T) {
	for _, c := range []struct{ family, name, note string }{
		{"mistral", "model.layers.0.self_attn.rotary_emb.inv_freq", "buffers"},
		{"mistral", "model.rotary_emb.inv_freq", "buffers"},
		{"mistral", "rotary_emb.inv_freq", "buffers"},
		{"mistral", "module.model.layers.1.self_attn.rotary_emb.cos_cached", "buffers"},
		{"mistral", "model.layers.1.self_attn._extra_state", "buffers"},
		{"gpt2", "transformer.h.0.attn.bias", "buffers"},
		{"gpt2", "h.2.attn.masked_bias", "buffers"},
		{"gpt_neox", "gpt_neox.layers.1.attention.bias", "buffers"},
		{"gpt_neox", "gpt_neox.layers.1.attention.rotary_emb.inv_freq", "buffers"},
		{"llama4", "model.layers.1.self_attn.k_scale", "scales of cached keys and values"},
		{"mistral", "model.layers.1.self_attn.kv_scale", "scales of cached keys and values"},
		{"mistral", "model.layers.1.self_attn.k_proj.k_scale", "scales of cached keys and values"},
		{"mistral", "model.layers.1.self_attn.attn.v_scale", "scales of cached keys and values"},
		{"mistral", "score.weight", "heads for other tasks"},
		{"mistral", "v_head.summary.weight", "heads for other tasks"},
		{"qwen2", "v_head.summary.weight", "heads for other tasks"},
		{"gpt2", "multiple_choice_head.summary.weight", "heads for other tasks"},
		{"qwen3", "mtp.layers.0.input_layernorm.weight", "layers that predict further tokens"},
		{"qwen3", "model.mtp_layers.0.input_layernorm.weight", "layers that predict further tokens"},
		{"qwen3", "model.layers.3.eh_proj.weight", "layers that predict further tokens"},
		{"qwen3", "medusa_head.0.0.linear.weight", "layers that predict further tokens"},
		{"phi3", "vlm.vision_tokenizer.latents", "vision tensors"},
		{"phi3", "model.embed_tokens.additional_embedding.weight", "rows of tokens that stand for images"},
	} {
		dir := copyOf(t, c.family)
		path := filepath.Join(dir, singleFile)
		all := unpack(t, path)
		all[c.name] = one("F32")
		if c.name == "multiple_choice_head.summary.weight" { // beside a head that is stored
			head := *all["transformer.wte.weight"]
			all["lm_head.weight"] = &head
		}
		pack(t, path, all)
		open, err := Open(dir)
		if err != nil {
			t.Errorf("%s: %s: %v", c.family, c.name, err)
			continue
		}
		if !hasNote(open, "left out: "+c.note) {
			t.Errorf("%s: %s: notes %q, want one of %s", c.family, c.name, open.Notes(), c.note)
		}
		if err := open.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A model that is something else is called by its name.
func TestOtherModels(t *testing.T) {
	rename := func(name string) func(all map[string]*tensorData) {
		return func(all map[string]*tensorData) {
			clear(all)
			all[name] = one("F16")
		}
	}
	for _, d := range []damage{
		inTensors("classifier", "mistral", func(all map[string]*tensorData) {
			all["score.weight"] = all["lm_head.weight"]
			delete(all, "lm_head.weight")
		}, `tensor "lm_head.weight" is missing; "score.weight" is the head of a classifier or reward model`),
		inTensors("tied classifier", "qwen2", func(all map[string]*tensorData) { all["score.weight"] = one("F16") },
			`tensor "score.weight": the head of a classifier or reward model: these files have no head that predicts tokens`),
		inTensors("body alone", "mistral", func(all map[string]*tensorData) { delete(all, "lm_head.weight") }, "the body alone, as embedding models have it"),
		inTensors("Meta's names", "mistral", rename("layers.0.attention.wq.weight"), "the names are those of Meta's or Mistral's own format"),
		inTensors("GGUF's names", "mistral", rename("blk.0.attn_q.weight"), "the names are those of a GGUF file"),
		inTensors("BERT", "mistral", rename("bert.encoder.layer.0.output.dense.weight"), "those of an encoder, which writes no text"),
		inTensors("another family", "mistral", rename("transformer.h.0.ln_1.weight"), `such as "transformer.h.0.ln_1.weight", are not those of model_type "mistral"`),
		inTensors("no tensor", "mistral", func(all map[string]*tensorData) { clear(all) }, "the files hold no tensor"),
		inTensors("a layer too many", "mistral", func(all map[string]*tensorData) {
			all["model.layers.3.input_layernorm.weight"] = one("F16")
		}, "with num_hidden_layers 3, config.json has no layer 3"),
	} {
		dir := copyOf(t, d.family)
		d.do(t, dir)
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), d.want) {
			t.Errorf("%s: error %v, want one with %q", d.name, err, d.want)
		}
	}
}
