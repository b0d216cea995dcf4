package hf

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// inQuantization changes the quantization_config of a fixture.
func inQuantization(key string, value any) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		edit(t, configOf(dir), func(m map[string]any) {
			m["quantization_config"].(map[string]any)[key] = value
		})
	}
}

// inScheme changes the weights of the first group of compressed-tensors.
func inScheme(key string, value any) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		edit(t, configOf(dir), func(m map[string]any) {
			groups := m["quantization_config"].(map[string]any)["config_groups"].(map[string]any)
			groups["group_0"].(map[string]any)["weights"].(map[string]any)[key] = value
		})
	}
}

// inWeights changes the tensors of a fixture.
func inWeights(change func(map[string]*tensorData)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, "model.safetensors")
		all := unpack(t, path)
		change(all)
		pack(t, path, all)
	}
}

func without(name string) func(*testing.T, string) {
	return inWeights(func(m map[string]*tensorData) { delete(m, name) })
}

func shaped(name string, shape ...int) func(*testing.T, string) {
	return inWeights(func(m map[string]*tensorData) { m[name].Shape = shape })
}

func typed(name, dtype string) func(*testing.T, string) {
	return inWeights(func(m map[string]*tensorData) { m[name].DType = dtype })
}

// upProj is a module of all fixtures.
const upProj = "model.layers.0.mlp.up_proj"

type quantizedDamage struct {
	name, fixture string
	do            func(t *testing.T, dir string)
	want          string
}

var quantizedDamages = []quantizedDamage{
	{"unknown method", "awq", inQuantization("quant_method", "ternary"), `: quantization_config: quant_method "ternary" is not supported; supported: fp8, fbgemm_fp8, mxfp8`},
	{"method is a number", "awq", inQuantization("quant_method", 4), `key "quantization_config.quant_method": want a string`},
	{"known method", "awq", inQuantization("quant_method", "hqq"), `quant_method "hqq" is not supported (integers with zero-points that are no integers); take the checkpoint that this one was made from`},
	{"codes that are no integers", "awq", inQuantization("data_type", "mx_fp"), `codes of type "mx_fp" are not supported; supported: int`},
	{"autoround of another order", "awq", func(t *testing.T, dir string) {
		inQuantization("quant_method", "auto-round")(t, dir)
		inQuantization("packing_format", "auto_round:exllamav2")(t, dir)
	}, `"auto_round:exllamav2" is not supported; supported: auto_round, with or without :auto_gptq`},
	{"decisive key", "awq", inQuantization("rotation", "hadamard"), `key "quantization_config.rotation": it may change what the codes stand for`},
	{"not an object", "awq", func(t *testing.T, dir string) { edit(t, configOf(dir), set("quantization_config", []int{4})) }, `key "quantization_config": `},
	{"awq of 3 bits", "awq", inQuantization("bits", 3), `key "quantization_config.bits": codes of 3 bits are not supported; supported: [4]`},
	{"awq for a matrix kernel", "awq", inQuantization("version", "gemv"), `"gemv" is not supported; supported: gemm`},
	{"awq of llm-awq", "awq", inQuantization("backend", "llm-awq"), "the order of llm-awq is not supported"},
	{"awq group", "awq", inQuantization("group_size", 32), `scales": shape [2 128], want [groups 128] with groups of 32 columns of 128`},
	{"awq group of 0", "awq", inQuantization("group_size", 0), `key "quantization_config.group_size": want a number above 0`},
	{"awq read as gptq", "awq", inQuantization("quant_method", "gptq"), "shape [128 16], but a matrix [128 128] quantized by gptq to 4 bits has [16 128]"},
	{"awq without scales", "awq", without(upProj + ".scales"), `tensor "` + upProj + `.scales" is missing; a matrix quantized by awq has it`},
	{"awq without zeros", "awq", without(upProj + ".qzeros"), `.qzeros" is missing`},
	{"awq zeros of another shape", "awq", shaped(upProj+".qzeros", 24, 2), `.qzeros": shape [24 2], but config.json makes it [2 24]`},
	{"awq codes of another shape", "awq", shaped(upProj+".qweight", 24, 128), `.qweight": shape [24 128], but a matrix [192 128] quantized by awq to 4 bits has [128 24]`},
	{"awq codes are floats", "awq", typed(upProj+".qweight", "F32"), `.qweight": unsupported dtype F32; supported: I32, U32`},
	{"awq scales are integers", "awq", typed(upProj+".scales", "I16"), `.scales": unsupported dtype I16; supported: BF16, F16, F32`},
	{"awq without its configuration", "awq", func(t *testing.T, dir string) { edit(t, configOf(dir), set("quantization_config", nil)) }, "tensors were quantized, but config.json has no quantization_config, and none of quantize_config.json, quant_config.json, hf_quant_config.json is there"},
	{"awq as compressed-tensors", "awq", func(t *testing.T, dir string) {
		edit(t, configOf(dir), set("quantization_config", map[string]any{"quant_method": "compressed-tensors", "config_groups": map[string]any{}}))
	}, "the configuration does not say that gptq or awq quantized it"},
	{"weights beside codes", "awq", inWeights(func(m map[string]*tensorData) {
		m[upProj+".weight"] = &tensorData{DType: "F16", Shape: []int{192, 128}, data: make([]byte, 2*192*128)}
	}), `tensor "` + upProj + `.qweight": unexpected`},

	{"gptq of 5 bits", "gptq_act", inQuantization("bits", 5), `codes of 5 bits are not supported; supported: [2 3 4 8]`},
	{"gptq of other bits", "gptq_act", inQuantization("bits", 8), `shape [16 128], but a matrix [128 128] quantized by gptq to 8 bits has [32 128]`},
	{"gptq for marlin", "gptq_act", inQuantization("checkpoint_format", "marlin"), `"marlin" is not supported; supported: gptq, gptq_v2`},
	{"gptq for old marlin", "gptq_act", inQuantization("is_marlin_format", true), "the order of Marlin is not supported"},
	{"gptq in other words", "gptq_act", inQuantization("pack_dtype", "int16"), "codes packed in int16 are not supported"},
	{"gptq group", "gptq_act", inQuantization("group_size", 128), "with groups of 128 columns of 128"},
	{"gptq whole rows", "gptq_act", inQuantization("group_size", -1), "want [groups 128] with groups of -1 columns of 128"},
	{"gptq column out of all groups", "gptq_act", inWeights(func(m map[string]*tensorData) {
		binary.LittleEndian.PutUint32(m[upProj+".g_idx"].data[12:], 4)
	}), `.g_idx": column 3 is in group 4 of 4`},
	{"gptq column before all groups", "gptq_act", inWeights(func(m map[string]*tensorData) {
		binary.LittleEndian.PutUint32(m[upProj+".g_idx"].data[12:], 0xffffffff)
	}), `.g_idx": column 3 is in group -1 of 4`},
	{"gptq order of another length", "gptq_act", inWeights(func(m map[string]*tensorData) {
		d := m[upProj+".g_idx"]
		d.Shape, d.data = []int{64}, d.data[:256]
	}), `.g_idx": shape [64], but config.json makes it [128]`},
	{"gptq in an order that is not there", "gptq_act", without(upProj + ".g_idx"), `.g_idx" is missing; a matrix quantized by gptq has it`},
	{"gptq groups of an unknown size", "gptq", func(t *testing.T, dir string) {
		edit(t, filepath.Join(dir, "quantize_config.json"), set("dynamic", map[string]any{"+:up": map[string]any{"group_size": 48}}))
		inWeights(func(m map[string]*tensorData) {
			delete(m, upProj+".g_idx")
			m[upProj+".scales"].Shape[0] = 3
			m[upProj+".scales"].data = make([]byte, 3*192*2)
		})(t, dir)
	}, `.scales": shape [3 192], want [groups 192]`},
	{"gptq bias that is none", "gptq", inWeights(func(m map[string]*tensorData) { m[upProj+".bias"].data[7] = 1 }), `tensor "` + upProj + `.bias": unexpected`},
	{"gptq file is no JSON", "gptq", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "quantize_config.json"), []byte("{")) }, "quantize_config.json: "},
	{"gptq file with decisive keys", "gptq", func(t *testing.T, dir string) {
		edit(t, filepath.Join(dir, "quantize_config.json"), set("rotation", true))
	}, `quantize_config.json: key "rotation": it may change`},
	{"gptq file of another method", "gptq", func(t *testing.T, dir string) {
		edit(t, filepath.Join(dir, "quantize_config.json"), set("quant_method", "quip"))
	}, `quant_method "quip" is not supported`},

	{"fp8 without scales", "fp8_block", without(upProj + ".weight_scale_inv"), `tensor "` + upProj + `.weight_scale_inv" is missing; a matrix quantized by fp8 has it`},
	{"fp8 block of another size", "fp8_block", inQuantization("weight_block_size", []int{64, 128}), `.weight_scale_inv": shape [2 1]: want one scale`},
	{"fp8 block of 0", "fp8_block", inQuantization("weight_block_size", []int{0, 128}), "want two numbers above 0, have [0 128]"},
	{"fp8 block of three", "fp8_block", inQuantization("weight_block_size", []int{1, 1, 1}), "want two numbers above 0"},
	{"fp8 scales are integers", "fp8_block", typed(upProj+".weight_scale_inv", "I32"), `unsupported dtype I32; supported: BF16, F16, F32, F8_E8M0`},
	{"fp8 scales of no block", "fp8_block", shaped(upProj+".weight_scale_inv", 1, 2), "shape [1 2]: want one scale for each row, for all, or for each block that quantization_config says"},
	{"fp8 of another shape", "fp8_block", shaped(upProj+".weight", 128, 256), `.weight": shape [128 256], but config.json makes it [256 128]`},
	{"fp8 scales without a method", "fp8_block", func(t *testing.T, dir string) { edit(t, configOf(dir), set("quantization_config", nil)) }, "tensors were quantized, but config.json has no quantization_config"},
	{"fp8 scale of nothing", "fp8_tensor", inWeights(func(m map[string]*tensorData) {
		m["model.norm.weight_scale"] = &tensorData{DType: "F32", Shape: []int{1}, data: make([]byte, 4)}
	}), `tensor "model.norm.weight_scale": unexpected`},

	{"compressed without groups", "ct_int4", inQuantization("config_groups", nil), `key "quantization_config.config_groups": missing`},
	{"compressed to 6-bit floats", "ct_int4", inQuantization("format", "mxfp6-pack-quantized"), `"mxfp6-pack-quantized" is not supported; supported: pack-quantized`},
	{"compressed sparsely", "ct_int4", inQuantization("sparsity_config", map[string]any{"format": "sparse-24-bitmask"}), `key "quantization_config.sparsity_config.format": "sparse-24-bitmask" is not supported`},
	{"compressed after a transform", "ct_int4", inQuantization("transform_config", map[string]any{"config_groups": map[string]any{"R1": map[string]any{"type": "hadamard"}}}), "activations that are rotated while the model runs are not supported"},
	{"compressed groups of another size", "ct_int4", inScheme("group_size", 16), `.weight_scale": shape [`},
	{"compressed in an order that is not there", "ct_int4", inScheme("actorder", "group"), `.weight_g_idx" is missing; a matrix quantized by compressed-tensors has it`},
	{"compressed in an unknown order", "ct_int4", inScheme("actorder", "random"), `actorder": "random" is not supported; supported: group, weight`},
	{"compressed blocks of text", "ct_int4", inScheme("block_structure", "128x128"), "want an array of whole numbers"},
	{"compressed codes cut", "ct_int4", inWeights(func(m map[string]*tensorData) {
		d := m[upProj+".weight_packed"]
		d.Shape, d.data = []int{160, 7}, d.data[:160*28]
	}), "shape [160 7] is not that of a matrix [160 64] in 2 to 8 bits"},
	{"compressed with another shape", "ct_int4", inWeights(func(m map[string]*tensorData) { m[upProj+".weight_shape"].data[0]++ }), `.weight_shape": dimension 0 is 161, but config.json makes it 160`},
	{"compressed, zero-point of rows", "ct_whole", shaped(upProj+".weight_zero_point", 1, 1), `.weight_zero_point": shape [1 1], but config.json makes it [1]`},
	{"compressed without scales", "ct_int4", without(upProj + ".weight_scale"), `.weight_scale" is missing; a matrix quantized by compressed-tensors has it`},
	{"compressed zeros of another shape", "ct_int4", shaped(upProj+".weight_zero_point", 2, 20), `.weight_zero_point": shape [2 20], but config.json makes it [20 2]`},
	{"compressed bytes as fp8", "ct_int8", func(t *testing.T, dir string) {
		edit(t, configOf(dir), set("quantization_config", map[string]any{"quant_method": "fp8"}))
	}, `dtype I8 of quant_method "fp8" is not supported`},
	{"compressed without its configuration", "ct_int8", func(t *testing.T, dir string) { edit(t, configOf(dir), set("quantization_config", nil)) }, "tensors were quantized, but config.json has no quantization_config"},
	{"compressed words without their configuration", "ct_int4", func(t *testing.T, dir string) { edit(t, configOf(dir), set("quantization_config", nil)) }, "tensors were quantized by compressed-tensors, but config.json has no quantization_config"},
	{"compressed words of another method", "ct_int4", func(t *testing.T, dir string) {
		edit(t, configOf(dir), set("quantization_config", map[string]any{"quant_method": "fp8"}))
	}, "the configuration does not say that compressed-tensors quantized it"},
}

func TestQuantizedDamage(t *testing.T) { tryDamages(t, quantizedDamages) }

// copyQuantized copies a fixture into a directory.
func copyQuantized(t *testing.T, name, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(quantized+name)); err != nil {
		t.Fatal(err)
	}
}

func tryDamages(t *testing.T, list []quantizedDamage) {
	for _, d := range list {
		t.Run(d.name, func(t *testing.T) {
			dir := t.TempDir()
			copyQuantized(t, d.fixture, dir)
			d.do(t, dir)
			c, err := Open(dir)
			if err == nil {
				c.Close()
				t.Fatalf("opened, want an error with %q", d.want)
			}
			if !strings.Contains(err.Error(), d.want) {
				t.Errorf("error %q, want one with %q", err, d.want)
			}
		})
	}
}

// Whatever a header says, its tensors are bound to a quantized model, all rows of which can be read, or
// there is an error.
func FuzzQuantized(f *testing.F) {
	names := []string{
		"awq", "ct_int4", "ct_int8", "fp8_block", "fp8_tensor", "gptq", "gptq_act", "bnb_nf4", "bnb_fp4", "bnb_int8",
		"ct_nvfp4", "ct_mxfp4", "ct_mxfp8", "mo_nvfp4", "mo_fp8", "mlx", "mlx_mixed", "mlx_floats", "gptq3", "ct_int3", "ct_whole",
	}
	var configs []*config
	for i, name := range names {
		c := mustOpen(f, quantized+name)
		configs = append(configs, c.config)
		header, err := headerBytes(read(f, quantized+name+"/model.safetensors"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), header)
	}
	f.Fuzz(func(t *testing.T, kind uint8, header []byte) {
		entries, data, err := parseFile(safefile(string(header), make([]byte, sizeOf(header))))
		if err != nil {
			return
		}
		c := &Checkpoint{config: configs[int(kind)%len(configs)], shards: &shards{tensors: map[string]stored{}}}
		for i, e := range entries {
			c.shards.tensors[e.name] = stored{file: "f", dtype: e.dtype, shape: e.shape, data: data[i]}
		}
		if c.bind("d") != nil {
			return
		}
		for i, x := range c.Tensors() {
			if err := c.Rows(i, 0, x.Rows(), make([]float32, x.Rows()*x.Cols())); err != nil {
				t.Error(err)
			}
			for _, bits := range []int{8, 4, 2} {
				if ok, _ := c.Ready(i, bits, 32); ok {
					size := (x.Cols() + 31) / 32 * (3 + 4*bits)
					if err := c.Blocks(i, bits, 32, 0, x.Rows(), make([]byte, x.Rows()*size)); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
}

// sizeOf returns where the last tensor of a header ends, at most 1 MB.
func sizeOf(header []byte) int {
	list, err := members(header)
	if err != nil {
		return 0
	}
	size := 0
	for _, m := range list {
		var d struct {
			Ends []int `json:"data_offsets"`
		}
		if json.Unmarshal(m.value, &d) == nil && len(d.Ends) > 0 {
			size = max(size, slices.Max(d.Ends))
		}
	}
	return min(size, 1<<20)
}
