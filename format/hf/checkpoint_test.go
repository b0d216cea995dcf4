package hf

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

func allFixtures(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(fixture.Families(t), "*"))
	if err != nil || len(dirs) < 20 {
		t.Fatalf("%d fixtures, %v", len(dirs), err)
	}
	return append(dirs, "../../testdata/tiny")
}

// Rows of any range are those of the whole tensor, and Raw is the same in bytes.
func TestRowsAndRaw(t *testing.T) {
	for _, dir := range allFixtures(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c := mustOpen(t, dir)
			for i, tensor := range c.Tensors() {
				rows, cols := tensor.Rows(), tensor.Cols()
				all := make([]float32, rows*cols)
				if err := c.Rows(i, 0, rows, all); err != nil {
					t.Fatal(err)
				}
				for _, part := range [][2]int{{0, 1}, {rows - 1, 1}, {rows / 3, rows / 2}, {rows, 0}} {
					have := make([]float32, part[1]*cols)
					if err := c.Rows(i, part[0], part[1], have); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(have, all[part[0]*cols:(part[0]+part[1])*cols]) {
						t.Errorf("%s: rows %v differ from those of the whole", tensor.Name, part)
					}
				}
				raw, ok := c.Raw(i)
				if !ok {
					continue
				}
				decoded := make([]float32, len(all))
				decoders[c.SourceType(i)](decoded, raw)
				if len(raw) != 2*len(all) || !slices.Equal(decoded, all) {
					t.Errorf("%s: the raw bytes are not the rows", tensor.Name)
				}
			}
		})
	}
}

func TestRowsRefusesWhatIsNotThere(t *testing.T) {
	c := mustOpen(t, fixtureOf(t, "mistral"))
	cols := c.Tensors()[0].Cols()
	for _, x := range []struct{ row0, n, len int }{{-1, 1, cols}, {96, 1, cols}, {0, 97, 97 * cols}, {0, 1, cols - 1}, {0, -1, -cols}, {math.MaxInt, 1, cols}} {
		if err := c.Rows(0, x.row0, x.n, make([]float32, max(0, x.len))); err == nil {
			t.Errorf("%+v: no error", x)
		}
	}
}

// Where each element of a logical tensor lies, written down a second time.
func TestSlicesAndStacks(t *testing.T) {
	for _, c := range []struct {
		family, name string
		raw          bool
		stored       string                  // the checkpoint's tensor, with * for the expert
		at           func(e, r, col int) int // its element for row r, column col of expert e
	}{
		{"phi3", "model.layers.1.self_attn.qkv_proj.weight[0:32]", true, "model.layers.1.self_attn.qkv_proj.weight", func(_, r, c int) int { return r*32 + c }},
		{"phi3", "model.layers.1.self_attn.qkv_proj.weight[32:48]", true, "model.layers.1.self_attn.qkv_proj.weight", func(_, r, c int) int { return (32+r)*32 + c }},
		{"phi3", "model.layers.1.mlp.gate_up_proj.weight[48:96]", true, "model.layers.1.mlp.gate_up_proj.weight", func(_, r, c int) int { return (48+r)*32 + c }},
		{"gpt_neox", "gpt_neox.layers.2.attention.query_key_value.weight[8:16 of 24]", false, "gpt_neox.layers.2.attention.query_key_value.weight", func(_, r, c int) int { return (r/8*24+8+r%8)*32 + c }},
		{"gpt_neox", "gpt_neox.layers.2.attention.query_key_value.bias[16:24 of 24]", false, "gpt_neox.layers.2.attention.query_key_value.bias", func(_, _, c int) int { return c/8*24 + 16 + c%8 }},
		{"gpt2", "transformer.h.0.attn.c_attn.weight[64:96]", false, "transformer.h.0.attn.c_attn.weight", func(_, r, c int) int { return c*96 + 64 + r }},
		{"gpt2", "transformer.h.0.attn.c_attn.bias[32:64]", true, "transformer.h.0.attn.c_attn.bias", func(_, _, c int) int { return 32 + c }},
		{"gpt2", "transformer.h.0.mlp.c_proj.weight", false, "transformer.h.0.mlp.c_proj.weight", func(_, r, c int) int { return c*32 + r }},
		{"mixtral", "model.layers.2.block_sparse_moe.experts.*.w3.weight", false, "model.layers.2.block_sparse_moe.experts.*.w3.weight", func(_, r, c int) int { return r*32 + c }},
		{"llama4", "model.layers.1.feed_forward.experts.gate_up_proj[24:48]", false, "model.layers.1.feed_forward.experts.gate_up_proj", func(e, r, c int) int { return e*32*48 + c*48 + 24 + r }},
		{"llama4", "model.layers.1.feed_forward.experts.down_proj", false, "model.layers.1.feed_forward.experts.down_proj", func(e, r, c int) int { return e*24*32 + c*32 + r }},
	} {
		t.Run(c.family+" "+c.name, func(t *testing.T) {
			open := mustOpen(t, fixtureOf(t, c.family))
			i := slices.IndexFunc(open.Tensors(), func(x model.Tensor) bool { return x.Name == c.name })
			if i < 0 {
				t.Fatal("no tensor of this name")
			}
			if _, ok := open.Raw(i); ok != c.raw {
				t.Errorf("raw bytes: %v, want %v", ok, c.raw)
			}
			tensor := open.Tensors()[i]
			have := make([]float32, tensor.Rows()*tensor.Cols())
			if err := open.Rows(i, 0, tensor.Rows(), have); err != nil {
				t.Fatal(err)
			}
			stored := unpack(t, filepath.Join(fixtureOf(t, c.family), "model.safetensors"))
			rows, cols := tensor.Rows(), tensor.Cols()
			if len(tensor.Shape) == 3 {
				rows = tensor.Shape[1]
			}
			for k, v := range have {
				e := k / (rows * cols)
				data := stored[strings.Replace(c.stored, "*", string(rune('0'+e)), 1)].data
				want := float16.Frombits(binary.LittleEndian.Uint16(data[2*c.at(e, k/cols%rows, k%cols):])).Float32()
				if v != want {
					t.Fatalf("element %d is %g, want %g", k, v, want)
				}
			}
		})
	}
}

// The same weights in other types are the same numbers, as far as the type holds them.
func TestSourceTypes(t *testing.T) {
	half := mustOpen(t, fixtureOf(t, "mistral"))
	for _, dtype := range []string{"F32", "BF16", "F64"} {
		dir := copyOf(t, "mistral")
		path := filepath.Join(dir, "model.safetensors")
		all := unpack(t, path)
		for _, d := range all {
			d.DType = dtype
			d.data = recode(d.data, dtype)
		}
		pack(t, path, all)
		c := mustOpen(t, dir)
		for i, tensor := range c.Tensors() {
			if c.SourceType(i) != dtype {
				t.Errorf("%s: type %s, want %s", tensor.Name, c.SourceType(i), dtype)
			}
			have, want := make([]float32, tensor.Cols()), make([]float32, tensor.Cols())
			if err := c.Rows(i, 0, 1, have); err != nil {
				t.Fatal(err)
			}
			if err := half.Rows(i, 0, 1, want); err != nil {
				t.Fatal(err)
			}
			for j := range have {
				if dtype == "BF16" {
					want[j] = math.Float32frombits(math.Float32bits(want[j]) &^ 0xffff)
				}
				if have[j] != want[j] {
					t.Fatalf("%s as %s: %g, want %g", tensor.Name, dtype, have[j], want[j])
				}
			}
		}
	}
}

// recode turns float16s into float32s, float64s or, by truncation, bfloat16s.
func recode(half []byte, dtype string) []byte {
	var out []byte
	for b := range slices.Chunk(half, 2) {
		v := float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()
		switch dtype {
		case "F64":
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(float64(v)))
		case "F32":
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		default:
			out = binary.LittleEndian.AppendUint16(out, uint16(math.Float32bits(v)>>16))
		}
	}
	return out
}

func TestFloat16Table(t *testing.T) {
	for i := range 1 << 16 {
		src := binary.LittleEndian.AppendUint16(nil, uint16(i))
		var have [1]float32
		decodeF16(have[:], src)
		if math.Float32bits(have[0]) != math.Float32bits(float16.Frombits(uint16(i)).Float32()) {
			t.Fatalf("%#x is %g", i, have[0])
		}
	}
}

func TestLeftOut(t *testing.T) {
	dir := copyOf(t, "gemma3")
	path := filepath.Join(dir, "model.safetensors")
	all := map[string]*tensorData{}
	for name, d := range unpack(t, path) {
		all["language_model."+name] = d
	}
	byteTensor := func() *tensorData { return &tensorData{DType: "U8", Shape: []int{3}, data: make([]byte, 3)} }
	all["vision_tower.vision_model.embeddings.patch_embedding.weight"] = byteTensor()
	all["multi_modal_projector.mm_input_projection_weight"] = byteTensor()
	all["language_model.model.layers.0.self_attn.rotary_emb.inv_freq"] = byteTensor()
	embed := *all["language_model.model.embed_tokens.weight"]
	all["language_model.lm_head.weight"] = &embed
	pack(t, path, all)
	edit(t, configOf(dir), func(m map[string]any) {
		inner := map[string]any{}
		for k, v := range m {
			inner[k] = v
			delete(m, k)
		}
		m["model_type"] = "gemma3"
		m["text_config"] = inner
		m["vision_config"] = map[string]any{"hidden_size": 8}
		m["eos_token_id"] = []int{1, 95}
		m["mm_tokens_per_image"] = 256
	})
	write(t, filepath.Join(dir, "generation_config.json"), []byte(`{"eos_token_id": null}`))
	c := mustOpen(t, dir)
	want := []string{
		"the vision part of the model is left out",
		"left out: buffers that are computed anew (1)",
		"left out: head equal to the embedding (1)",
		"left out: vision tensors (2)",
	}
	if diff := cmp.Diff(want, c.Notes()); diff != "" {
		t.Errorf("notes: (want, have)\n%s", diff)
	}
	if name := c.Tensors()[0].Name; name != "language_model.model.embed_tokens.weight" {
		t.Errorf("the embedding is called %q", name)
	}
	if diff := cmp.Diff(Tokens{BOS: 1, EOS: []int{1, 95}, Pad: 0}, c.Tokens()); diff != "" {
		t.Errorf("tokens: (want, have)\n%s", diff)
	}
	plain := mustOpen(t, fixtureOf(t, "gemma3"))
	spec := *c.Spec()
	spec.Family = plain.Spec().Family
	if diff := cmp.Diff(plain.Spec(), &spec); diff != "" {
		t.Errorf("spec: (alone, nested)\n%s", diff)
	}
}

// GPT-2 as it was first published has no prefix, and masks among its weights.
func TestBareNames(t *testing.T) {
	dir := copyOf(t, "gpt2")
	path := filepath.Join(dir, "model.safetensors")
	all := map[string]*tensorData{"h.0.attn.bias": {DType: "F32", Shape: []int{1}, data: make([]byte, 4)}}
	for name, d := range unpack(t, path) {
		all[strings.TrimPrefix(name, "transformer.")] = d
	}
	pack(t, path, all)
	if name := mustOpen(t, dir).Tensors()[1].Name; name != "wpe.weight" {
		t.Errorf("the positions are called %q", name)
	}
}

func TestTokens(t *testing.T) {
	for _, c := range []struct {
		name               string
		config, generation string
		want               Tokens
		notes              int
	}{
		{"config alone", `{"bos_token_id": 3, "eos_token_id": [4, 5], "pad_token_id": null}`, ``, Tokens{3, []int{4, 5}, NoToken}, 0},
		{"generation wins", `{"bos_token_id": 3, "eos_token_id": 4, "pad_token_id": 7}`, `{"eos_token_id": [8, 9], "bos_token_id": null}`, Tokens{3, []int{8, 9}, 7}, 0},
		{"not there", `{"bos_token_id": null, "eos_token_id": null, "pad_token_id": -1}`, `{}`, Tokens{NoToken, nil, NoToken}, 0},
		{"outside", `{"bos_token_id": 96, "eos_token_id": [2, 4000], "pad_token_id": 96}`, `{"pad_token_id": 96}`, Tokens{NoToken, []int{2}, NoToken}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyOf(t, "mistral")
			edit(t, configOf(dir), func(m map[string]any) {
				for k, v := range parseAny(t, c.config) {
					m[k] = v
				}
			})
			write(t, filepath.Join(dir, "generation_config.json"), []byte("{}"))
			if c.generation != "" {
				write(t, filepath.Join(dir, "generation_config.json"), []byte(c.generation))
			}
			open := mustOpen(t, dir)
			if diff := cmp.Diff(c.want, open.Tokens()); diff != "" {
				t.Errorf("(want, have)\n%s", diff)
			}
			if len(open.Notes()) != c.notes {
				t.Errorf("notes %q, want %d", open.Notes(), c.notes)
			}
		})
	}
}

func TestChatTemplate(t *testing.T) {
	const list = `{"chat_template": [{"name": "tool_use", "template": "b"}, {"name": "default", "template": "a"}]}`
	for _, c := range []struct{ name, settings, jinja, want string }{
		{"none", ``, ``, ``},
		{"string", `{"chat_template": "{{ x }}"}`, ``, `{{ x }}`},
		{"named", list, ``, `a`},
		{"only one", `{"chat_template": [{"name": "rag", "template": "r"}]}`, ``, `r`},
		{"file wins", list, "j\n", "j\n"},
	} {
		dir := copyOf(t, "mistral")
		if c.settings != "" {
			write(t, filepath.Join(dir, "tokenizer_config.json"), []byte(c.settings))
		}
		if c.jinja != "" {
			write(t, filepath.Join(dir, "chat_template.jinja"), []byte(c.jinja))
		}
		if have := mustOpen(t, dir).ChatTemplate(); have != c.want {
			t.Errorf("%s: %q, want %q", c.name, have, c.want)
		}
	}
}

func TestFiles(t *testing.T) {
	c := mustOpen(t, "../../testdata/tiny")
	var names []string
	for _, f := range c.Files() {
		names = append(names, filepath.Base(f.Path))
		if sum, err := f.SHA256(); err != nil || len(sum) != 64 || f.Size == 0 {
			t.Errorf("%s: %d bytes, hash %q, %v", f.Path, f.Size, sum, err)
		}
	}
	want := []string{
		"config.json", indexFile, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
		"generation_config.json", "tokenizer_config.json",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(want, have)\n%s", diff)
	}
}
