package hf

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// adapterOf copies an adapter of testdata into a directory that the test may change.
func adapterOf(t *testing.T, name string, change func(map[string]*tensorData)) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(quantized+name)); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		path := filepath.Join(dir, adapterWeights)
		all := unpack(t, path)
		change(all)
		pack(t, path, all)
	}
	return dir
}

func mustMerge(t *testing.T, c *Checkpoint, dir string, scale float64) *Checkpoint {
	t.Helper()
	if err := c.Merge(dir, scale); err != nil {
		t.Fatal(err)
	}
	return c
}

func bytesOf(values []float32) []byte {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return data
}

// perExpertPairs takes the pair of a stack apart into pairs of single experts, as adapters have them
// that were trained where each expert is a module: rows of A are those of one expert after the other,
// columns of B those of one rank after the other.
func perExpertPairs(experts, rank int, matrix string) func(map[string]*tensorData) {
	return func(all map[string]*tensorData) {
		for name, a := range maps.Clone(all) {
			module, ok := strings.CutSuffix(name, ".mlp.experts"+kindA)
			if !ok {
				continue
			}
			b := all[module+".mlp.experts"+kindB]
			left, right := singles(b.data), singles(a.data)
			in, out := a.Shape[1], b.Shape[0]
			for e := range experts {
				var column []float32
				for r := range out {
					for k := range rank {
						column = append(column, left[r*rank*experts+k*experts+e])
					}
				}
				base := fmt.Sprintf("%s.block_sparse_moe.experts.%d.%s", module, e, matrix)
				all[base+kindA] = &tensorData{DType: "F32", Shape: []int{rank, in}, data: bytesOf(right[e*rank*in : (e+1)*rank*in])}
				all[base+kindB] = &tensorData{DType: "F32", Shape: []int{out, rank}, data: bytesOf(column)}
			}
			delete(all, name)
			delete(all, module+".mlp.experts"+kindB)
		}
	}
}

// An adapter of experts fits, whichever form it and the checkpoint have.
func TestMergeForms(t *testing.T) {
	stacked := quantized + "lora_expert"
	single := adapterOf(t, "lora_expert", perExpertPairs(4, 2, "w2"))
	want := mustMerge(t, mustOpen(t, fixtureOf(t, "mixtral")), stacked, 1)
	for _, base := range []string{fixtureOf(t, "mixtral"), forms + "mixtral_stacked"} {
		for _, dir := range []string{stacked, single} {
			sameModel(t, mustMerge(t, mustOpen(t, base), dir, 1), want)
		}
	}
	experts := mustMerge(t, mustOpen(t, fixtureOf(t, "qwen3_moe")), quantized+"lora_experts", 1)
	sameModel(t, mustMerge(t, mustOpen(t, forms+"qwen3_moe_stacked"), quantized+"lora_experts", 1), experts)
}

// Of what is no sum, a scale is the share of the way.
func TestMergePartly(t *testing.T) {
	for adapter, family := range map[string]string{"lora_dora": "gpt2", "lora_whole": "qwen2", "lora_tokens": "qwen3", "lora_experts": "qwen3_moe"} {
		none := mustMerge(t, mustOpen(t, fixtureOf(t, family)), quantized+adapter, 0)
		half := mustMerge(t, mustOpen(t, fixtureOf(t, family)), quantized+adapter, .5)
		full := mustMerge(t, mustOpen(t, fixtureOf(t, family)), quantized+adapter, 1)
		plain := mustOpen(t, fixtureOf(t, family))
		changed := 0
		for i, tensor := range full.Tensors() {
			a, b, c := rowsOf(t, none, i), rowsOf(t, half, i), rowsOf(t, full, i)
			if tensor.Name != "lm_head.weight" && !slices.Equal(a, valuesOf(t, plain, tensor.Name)) {
				t.Errorf("%s: scale 0 changes %s", adapter, tensor.Name)
			}
			if !slices.Equal(a, c) {
				changed++
			}
			for k := range a {
				if d := math.Abs(float64(b[k]) - (float64(a[k])+float64(c[k]))/2); d > 1e-5 {
					t.Fatalf("%s: %s: element %d is %g with half, %g without, %g with all", adapter, tensor.Name, k, b[k], a[k], c[k])
				}
			}
			row := make([]float32, tensor.Cols())
			for r := range tensor.Rows() { // one row at a time
				if err := full.Rows(i, r, 1, row); err != nil || !slices.Equal(row, c[r*len(row):(r+1)*len(row)]) {
					t.Fatalf("%s: %s: row %d differs, %v", adapter, tensor.Name, r, err)
				}
			}
		}
		if changed < 3 {
			t.Errorf("%s: %d tensors change", adapter, changed)
		}
	}
}

// A head that is the embedding gets weights of its own where an adapter wants that, and only there.
func TestMergeUnties(t *testing.T) {
	c := mustMerge(t, mustOpen(t, fixtureOf(t, "llama")), quantized+"lora_tied", 1)
	plain := mustOpen(t, fixtureOf(t, "llama"))
	spec, err := ParseConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	if c.Spec().TiedHead || spec.TiedHead || !c.Edited() || !hasNote(c, "the head is no longer the embedding, for the adapter changes lm_head") {
		t.Errorf("tied %v, %v, edited %v, notes %q", c.Spec().TiedHead, spec.TiedHead, c.Edited(), c.Notes())
	}
	embed := valuesOf(t, plain, "model.embed_tokens.weight")
	if !slices.Equal(valuesOf(t, c, "model.embed_tokens.weight"), embed) || slices.Equal(valuesOf(t, c, "lm_head.weight"), embed) {
		t.Error("want another head and the same embedding")
	}

	both := adapterOf(t, "lora_whole", func(all map[string]*tensorData) {
		head := *all[adapterPrefix+"model.embed_tokens.weight"]
		all[adapterPrefix+"lm_head.weight"] = &head
	})
	if c := mustMerge(t, mustOpen(t, fixtureOf(t, "qwen2")), both, 1); !c.Spec().TiedHead || c.Edited() {
		t.Error("equal whole tensors untie the head")
	}
	if c := mustMerge(t, mustOpen(t, fixtureOf(t, "llama")), adapterOf(t, "lora_llama", nil), 1); !c.Spec().TiedHead {
		t.Error("an adapter of other matrices unties the head")
	}

	tied := mustOpen(t, forms+"tied_head")
	mustMerge(t, tied, quantized+"lora_whole", 1)
	if a, b := tied.Tensors()[0].Name, tied.Tensors()[len(tied.Tensors())-1].Name; a != "model.embed_tokens.weight" || b != "lm_head.weight" {
		t.Errorf("embedding %q, head %q", a, b)
	}
	sameModel(t, tied, mustMerge(t, mustOpen(t, fixtureOf(t, "qwen2")), quantized+"lora_whole", 1))

	broken := adapterOf(t, "lora_tied", func(all map[string]*tensorData) {
		delete(all, adapterPrefix+"model.layers.1.self_attn.o_proj"+kindB)
	})
	c = mustOpen(t, fixtureOf(t, "llama"))
	if err := c.Merge(broken, 1); err == nil {
		t.Fatal("half a pair is merged")
	}
	if !c.Spec().TiedHead || c.Edited() || hasNote(c, "embedding, for") {
		t.Error("a failed merge leaves the head untied")
	}
	sameModel(t, c, plain)
}

// What PEFT saves of the model beside a pair may be rounded, but not another.
func TestMergeChecksBase(t *testing.T) {
	rounded := adapterOf(t, "lora_head", func(all map[string]*tensorData) {
		d := all[adapterPrefix+"lm_head"+kindBase]
		var data []byte
		for _, v := range singles(d.data) {
			data = binary.LittleEndian.AppendUint16(data, uint16((math.Float32bits(v)+0x8000)>>16))
		}
		d.DType, d.data = "BF16", data
	})
	sameModel(t, mustMerge(t, mustOpen(t, fixtureOf(t, "mistral")), rounded, 1), mustMerge(t, mustOpen(t, fixtureOf(t, "mistral")), quantized+"lora_head", 1))
	other := adapterOf(t, "lora_head", func(all map[string]*tensorData) {
		d := all[adapterPrefix+"lm_head"+kindBase]
		d.data = slices.Clone(d.data)
		d.data[401] ^= 1
	})
	if err := mustOpen(t, fixtureOf(t, "mistral")).Merge(other, 1); err == nil || !strings.Contains(err.Error(), `lm_head.base_layer.weight": it differs from the checkpoint's "lm_head.weight": the adapter was trained on other weights`) {
		t.Errorf("error %v", err)
	}
}

func TestMergeRefusesDoRAOfStacks(t *testing.T) {
	dir := adapterOf(t, "lora_expert", func(all map[string]*tensorData) {
		for name := range maps.Clone(all) {
			if !strings.Contains(name, "experts") {
				delete(all, name)
			}
		}
	})
	edit(t, filepath.Join(dir, adapterConfig), set("use_dora", true))
	if err := mustOpen(t, fixtureOf(t, "mixtral")).Merge(dir, 1); err == nil || !strings.Contains(err.Error(), "DoRA of stacked experts is not supported") {
		t.Errorf("error %v", err)
	}
}

// Pairs for parts of a model that were left out are left out; prefixes of other versions and of wrappers
// do not matter.
func TestMergeNames(t *testing.T) {
	want := mustMerge(t, mustOpen(t, fixtureOf(t, "llama")), quantized+"lora_llama", 1)
	for _, front := range []string{"model.language_model.", "language_model.model.", "model.model.", "_orig_mod.model.", ""} {
		dir := adapterOf(t, "lora_llama", func(all map[string]*tensorData) {
			for name, d := range maps.Clone(all) {
				delete(all, name)
				all[adapterPrefix+front+strings.TrimPrefix(name, adapterPrefix+"model.")] = d
			}
			for _, half := range []string{kindA, kindB} {
				all[adapterPrefix+"model.vision_tower.encoder.layers.0.self_attn.q_proj"+half] = one("F32")
			}
		})
		c := mustMerge(t, mustOpen(t, fixtureOf(t, "llama")), dir, 1)
		sameModel(t, c, want)
		if !hasNote(c, "left out: tensors of the adapter for parts of the model that are left out (2)") {
			t.Errorf("notes %q", c.Notes())
		}
	}
	named := adapterOf(t, "lora_llama", func(all map[string]*tensorData) {
		for name, d := range maps.Clone(all) {
			delete(all, name)
			all[strings.Replace(name, ".weight", ".default.weight", 1)] = d
		}
	})
	sameModel(t, mustMerge(t, mustOpen(t, fixtureOf(t, "llama")), named, 1), want)
}

func TestMergeNothing(t *testing.T) {
	dir := adapterOf(t, "lora_llama", func(all map[string]*tensorData) {
		for name, d := range maps.Clone(all) {
			delete(all, name)
			all[strings.Replace(name, "model.model.", "model.model.vision_tower.", 1)] = d
		}
	})
	if err := mustOpen(t, fixtureOf(t, "llama")).Merge(dir, 1); err == nil || !strings.Contains(err.Error(), "all of the adapter is for parts of the model that are left out") {
		t.Errorf("error %v", err)
	}
}

// Whatever byte of an adapter's files is another, it is merged, and all rows can be read, or nothing is.
func FuzzMerge(f *testing.F) {
	bases := []string{"gpt2", "llama", "llama4", "mixtral", "qwen2"}
	adapters := []string{"lora_dora", "lora_tied", "lora_transposed", "lora_expert", "lora_whole"}
	for i := range bases {
		f.Add(uint8(i), uint8(i), uint16(0), byte('{'), uint16(0), byte('{'))
		f.Add(uint8(i), uint8(i), uint16(100), byte('7'), uint16(300), byte('7'))
	}
	f.Fuzz(func(t *testing.T, base, adapter uint8, inConfig uint16, first byte, inHeader uint16, second byte) {
		dir := adapterOf(t, adapters[int(adapter)%len(adapters)], nil)
		for name, change := range map[string]struct {
			at int
			to byte
		}{adapterConfig: {int(inConfig), first}, adapterWeights: {8 + int(inHeader), second}} {
			data := read(t, filepath.Join(dir, name))
			data[change.at%len(data)] = change.to
			write(t, filepath.Join(dir, name), data)
		}
		c := mustOpen(t, fixtureOf(t, bases[int(base)%len(bases)]))
		plain := len(c.Tensors())
		if err := c.Merge(dir, 1); err != nil && len(c.Tensors()) != plain {
			t.Errorf("%v, but something is merged", err)
		}
		for i := range c.Tensors() {
			rowsOf(t, c, i)
		}
	})
}

// Some versions of PEFT save a tensor under two names, and beside a trained module what was there before.
func TestMergeSavedTwice(t *testing.T) {
	const head, norm = adapterPrefix + "lm_head", adapterPrefix + "model.layers.1.input_layernorm"
	want := mustMerge(t, mustOpen(t, fixtureOf(t, "qwen2")), quantized+"lora_whole", 1)
	before := mustOpen(t, fixtureOf(t, "qwen2"))
	twice := func(all map[string]*tensorData) {
		for _, module := range []string{head, norm} {
			d := *all[module+".weight"]
			all[module+modulesToSave+".weight"] = &d
		}
		values := bytesOf(valuesOf(t, before, "model.layers.1.input_layernorm.weight"))
		all[norm+originalModule+".weight"] = &tensorData{DType: "F32", Shape: []int{32}, data: values}
	}
	sameModel(t, mustMerge(t, mustOpen(t, fixtureOf(t, "qwen2")), adapterOf(t, "lora_whole", twice), 1), want)
	for name, x := range map[string]struct{ tensor, want string }{
		"two values":  {norm + modulesToSave + ".weight", "it is there twice"},
		"other model": {norm + originalModule + ".weight", "it differs from the checkpoint's"},
	} {
		dir := adapterOf(t, "lora_whole", func(all map[string]*tensorData) {
			twice(all)
			d := *all[x.tensor]
			d.data = slices.Clone(d.data)
			d.data[2] ^= 1
			all[x.tensor] = &d
		})
		if err := mustOpen(t, fixtureOf(t, "qwen2")).Merge(dir, 1); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: error %v, want %s", name, err, x.want)
		}
	}
}

// The bias of a head comes along with its matrix where PEFT saves embeddings.
func TestMergeHeadBias(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, adapterConfig), []byte(`{"peft_type": "LORA", "r": 1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	bias := make([]float32, 96)
	for i := range bias {
		bias[i] = float32(i)
	}
	pack(t, filepath.Join(dir, adapterWeights), map[string]*tensorData{adapterPrefix + "lm_head.bias": {DType: "F32", Shape: []int{96}, data: bytesOf(bias)}})
	c := mustMerge(t, mustOpen(t, fixtureOf(t, "phi")), dir, 1)
	if have := valuesOf(t, c, "lm_head.bias"); !slices.Equal(have, bias) {
		t.Errorf("bias %v", have)
	}
}

// Before 0.19, PEFT took the second dimension of a stack [experts][out][in] for inputs.
func TestMergeTurnedStacks(t *testing.T) {
	want := mustMerge(t, mustOpen(t, fixtureOf(t, "qwen3_moe")), quantized+"lora_experts", 1)
	const experts, rank = 6, 2
	dir := adapterOf(t, "lora_experts", func(all map[string]*tensorData) {
		for name, a := range maps.Clone(all) {
			module, ok := strings.CutSuffix(name, kindA)
			if !ok || !strings.Contains(module, "experts") {
				continue
			}
			b := all[module+kindB]
			in, out := a.Shape[1], b.Shape[0]
			right, left := singles(a.data), singles(b.data)
			newA, newB := make([]float32, len(left)), make([]float32, len(right))
			for e := range experts {
				for k := range rank {
					for o := range out {
						newA[(e*rank+k)*out+o] = left[o*rank*experts+k*experts+e]
					}
					for i := range in {
						newB[i*rank*experts+k*experts+e] = right[(e*rank+k)*in+i]
					}
				}
			}
			all[name] = &tensorData{DType: "F32", Shape: []int{rank * experts, out}, data: bytesOf(newA)}
			all[module+kindB] = &tensorData{DType: "F32", Shape: []int{in, rank * experts}, data: bytesOf(newB)}
		}
	})
	sameModel(t, mustMerge(t, mustOpen(t, fixtureOf(t, "qwen3_moe")), dir, 1), want)
}

// Where matrices are square, the version of PEFT and the family say how a pair lies.
func TestMergeSquareStacks(t *testing.T) {
	pair := tensorOf{stored: stored{shape: []int{4, 4}}}
	for _, c := range []struct {
		version                     string
		inFirst, transposed, turned bool
	}{
		{"0.21.2", false, false, false},
		{"0.19.0.dev0@abc", false, false, false},
		{"0.18.1", false, false, true},
		{"", false, false, true},
		{"0.21.2", false, true, true}, // Llama 4
		{"0.18.1", false, true, false},
		{"0.21.2", true, true, false}, // gpt-oss
		{"", true, true, false},
		{"1.0.0", false, false, false},
	} {
		m := &merger{a: &adapter{thirdIsInput: sinceStacksTurned(c.version)}, c: &Checkpoint{config: &config{family: &family{inFirst: c.inFirst}}}}
		s := site{expert: -1, place: bound{experts: 2, total: 4, cols: 4, transposed: c.transposed}}
		if turned := m.turnedPair(groupKey{}, s, pair, pair, 2); turned != c.turned {
			t.Errorf("%+v: turned %t", c, turned)
		}
	}
}
