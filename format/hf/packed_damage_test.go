package hf

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

// inState replaces text in the JSON object that bitsandbytes stores in a tensor of bytes.
func inState(kind, old, text string) func(*testing.T, string) {
	return inWeights(func(m map[string]*tensorData) {
		d := m[upProj+bnbStateSuffix+kind]
		d.data = bytes.Replace(d.data, []byte(old), []byte(text), 1)
		d.Shape = []int{len(d.data)}
	})
}

// cut takes the last dimension of a tensor, of bytes, down to n.
func cut(name string, n int) func(*testing.T, string) {
	return inWeights(func(m map[string]*tensorData) {
		d := m[name]
		size := elementSize[d.DType]
		for _, k := range d.Shape[:len(d.Shape)-1] {
			size *= k
		}
		d.Shape[len(d.Shape)-1], d.data = n, d.data[:n*size]
	})
}

func number(name string, v float32) func(*testing.T, string) {
	return inWeights(func(m map[string]*tensorData) {
		m[name].data = binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))
	})
}

var packedDamages = []quantizedDamage{
	{"nf4 without its state", "bnb_nf4", without(upProj + bnbStateSuffix + "nf4"), `.weight.quant_state.bitsandbytes__nf4" is missing; a matrix quantized by bitsandbytes has it`},
	{"nf4 state cut", "bnb_nf4", cut(upProj+bnbStateSuffix+"nf4", 40), `bitsandbytes__nf4": no JSON object`},
	{"nf4 state with bytes behind it", "bnb_nf4", inState("nf4", "}", "} {"), "there is something after the object; the file is damaged"},
	{"nf4 state is an array", "bnb_nf4", inWeights(func(m map[string]*tensorData) {
		d := m[upProj+bnbStateSuffix+"nf4"]
		d.data, d.Shape = []byte("[4]"), []int{3}
	}), `bitsandbytes__nf4": no JSON object: want an object`},
	{"nf4 of another shape", "bnb_nf4", inState("nf4", "[96, 64]", "[64, 96]"), `key "shape": [64 96], but config.json makes it [96 64]`},
	{"nf4 of no shape", "bnb_nf4", inState("nf4", `"shape"`, `"form"`), `key "shape": missing`},
	{"nf4 without a block size", "bnb_nf4", inState("nf4", `"blocksize"`, `"size"`), `key "blocksize": missing`},
	{"nf4 blocks of nothing", "bnb_nf4", inState("nf4", `"blocksize": 64`, `"blocksize": 0`), `key "blocksize": want a number from 1 to`},
	{"nf4 blocks of another size", "bnb_nf4", inState("nf4", `"blocksize": 64`, `"blocksize": 32`), `.weight.absmax": shape [96], but config.json makes it [192]`},
	{"nf4 of another type", "bnb_nf4", inState("nf4", `"nf4"`, `"fp4"`), `key "quant_type": "fp4", but the name of the tensor says nf4`},
	{"nf4 of an unknown type", "bnb_nf4", inQuantization("bnb_4bit_quant_type", "af4"), `"af4" is not supported; supported: nf4, fp4`},
	{"nf4 without scales", "bnb_nf4", without(upProj + ".weight.absmax"), `.weight.absmax" is missing; a matrix quantized by bitsandbytes has it`},
	{"nf4 without scales of scales", "bnb_nf4", without(upProj + ".weight.nested_absmax"), `.weight.nested_absmax" is missing`},
	{"nf4 without the map of scales", "bnb_nf4", without(upProj + ".weight.nested_quant_map"), `.weight.nested_quant_map" is missing`},
	{"nf4 with half a map", "bnb_nf4", cut(upProj+".weight.nested_quant_map", 128), `.weight.nested_quant_map": shape [128]`},
	{"nf4 codes cut", "bnb_nf4", inWeights(func(m map[string]*tensorData) {
		d := m[upProj+".weight"]
		d.data, d.Shape = d.data[:1000], []int{1000, 1}
	}), `.weight": 1000 bytes, but 4-bit codes of a matrix [96 64] are 3072`},
	{"nf4 codes are numbers", "bnb_nf4", inWeights(func(m map[string]*tensorData) {
		d := m[upProj+".weight"]
		d.DType, d.Shape = "I64", []int{384, 1}
	}), `.weight": unsupported dtype I64`},
	{"nf4 without its configuration", "bnb_nf4", unsaid, "tensors were quantized by bitsandbytes, but config.json has no quantization_config"},
	{"fp4 scales are bytes", "bnb_fp4", inWeights(func(m map[string]*tensorData) {
		d := m[upProj+".weight.absmax"]
		d.DType, d.data = "U8", d.data[:len(d.data)/4]
	}), `.weight.absmax": unsupported dtype U8; supported: F32`},

	{"bytes without scales", "bnb_int8", without(upProj + ".SCB"), `.SCB" is missing; a matrix quantized by bitsandbytes has it`},
	{"bytes with one scale", "bnb_int8", cut(upProj+".SCB", 1), `.SCB": shape [1], but config.json makes it [96]`},
	{"bytes in the order of a GPU", "bnb_int8", inWeights(func(m map[string]*tensorData) { m[upProj+".weight_format"].data[0] = 2 }), `.weight_format": the order col_turing of codes is not supported`},
	{"bytes in an unknown order", "bnb_int8", inWeights(func(m map[string]*tensorData) { m[upProj+".weight_format"].data[0] = 9 }), "the order 9 of codes"},
	{"bytes of another shape", "bnb_int8", shaped(upProj+".weight", 64, 96), `.weight": shape [64 96], but config.json makes it [96 64]`},

	{"nvfp4 without a global scale", "ct_nvfp4", without(upProj + ".weight_global_scale"), `.weight_global_scale" is missing; a matrix quantized by compressed-tensors has it`},
	{"nvfp4 divided by nothing", "ct_nvfp4", number(upProj+".weight_global_scale", 0), `.weight_global_scale": want a number above 0, have 0`},
	{"nvfp4 times infinity", "mo_nvfp4", number(upProj+".weight_scale_2", float32(math.Inf(1))), `.weight_scale_2": want a number above 0, have +Inf`},
	{"nvfp4 times no number", "mo_nvfp4", number(upProj+".weight_scale_2", float32(math.NaN())), `.weight_scale_2": want a number above 0, have NaN`},
	{"nvfp4 scales cut", "ct_nvfp4", cut(upProj+".weight_scale", 3), `.weight_scale": shape [96 3], but a matrix [96 64] in groups of 16 has [96 4]`},
	{"nvfp4 scales are powers", "ct_nvfp4", typed(upProj+".weight_scale", "U8"), `.weight_global_scale": unexpected`},
	{"mxfp4 without scales", "ct_mxfp4", without(upProj + ".weight_scale"), `.weight_scale" is missing`},
	{"mxfp4 codes cut", "ct_mxfp4", cut(upProj+".weight_packed", 31), `.weight_packed": shape [96 31], but a matrix [96 64] of 4-bit floats has [96 32]`},
	{"mxfp8 without scales", "ct_mxfp8", without(upProj + ".weight_scale"), `.weight_scale" is missing`},

	{"modelopt without scales", "mo_nvfp4", without(upProj + ".weight_scale"), `.weight_scale" is missing; a matrix quantized by modelopt has it`},
	{"modelopt with an unread algorithm", "mo_fp8", inQuantization("quant_algo", "W4A16_AWQ"), `quant_algo": "W4A16_AWQ" is not supported; supported: FP8, `},
	{"modelopt with a layer of an unread algorithm", "mo_fp8", func(t *testing.T, dir string) {
		inQuantization("quant_algo", "MIXED_PRECISION")(t, dir)
		inQuantization("quantized_layers", map[string]any{upProj: map[string]any{"quant_algo": "NVFP4_SVD"}})(t, dir)
	}, `quantized_layers.` + upProj + `.quant_algo": "NVFP4_SVD" is not supported`},
	{"modelopt factors cut", "mo_nvfp4", cut("model.layers.0.self_attn.o_proj.pre_quant_scale", 8), `.pre_quant_scale": shape [8], but config.json makes it [64]`},

	{"mlx without biases", "mlx", without(upProj + ".biases"), `.biases" is missing; a matrix quantized by mlx has it`},
	{"mlx without scales", "mlx", without(upProj + ".scales"), `.scales" is missing`},
	{"mlx without its configuration", "mlx", unsaid, "tensors were quantized by mlx, but config.json has no quantization_config"},
	{"mlx codes cut", "mlx", cut(upProj+".weight", 7), `.weight": shape [96 7] with scales [96 1] is not that of a matrix [96 64] in 2, 3, 4, 5, 6 or 8 bits`},
	{"mlx biases of other groups", "mlx_mixed", cut(upProj+".biases", 1), `.biases": shape [96 1], but config.json makes it [96 2]`},
	{"mlx in an unknown mode", "mlx", inQuantization("mode", "nvfp2"), `mode": "nvfp2" is not supported; supported: [affine mxfp4 nvfp4 mxfp8]`},
	{"mlx floats of 2 bits", "mlx_floats", cut(upProj+".weight", 4), `.weight": floats of 2 bits in groups of 32 are not supported`},
	{"mlx as gptq", "mlx", inQuantization("quant_method", "gptq"), `dtype U32 of quant_method "gptq" is not supported`},

	{"3 bits cut", "gptq3", inWeights(func(m map[string]*tensorData) {
		d := m[upProj+".qweight"]
		d.Shape, d.data = []int{5, 96}, d.data[:5*96*4]
	}), `.qweight": shape [5 96], but a matrix [96 64] quantized by gptq to 3 bits has [6 96]`},
	{"3 bits as auto-round in an unknown packing", "gptq3", func(t *testing.T, dir string) {
		inQuantization("quant_method", "auto-round")(t, dir)
		inQuantization("packing_format", "auto_round:qbits")(t, dir)
	}, `packing_format": "auto_round:qbits" is not supported; supported: auto_round`},
	{"3 bits as auto-round of floats", "gptq3", func(t *testing.T, dir string) {
		inQuantization("quant_method", "auto-round")(t, dir)
		inQuantization("data_type", "mx_fp")(t, dir)
	}, `data_type": "mx_fp" is not supported; supported: int`},
}

// unsaid takes away what config.json says of how weights were quantized.
func unsaid(t *testing.T, dir string) {
	edit(t, configOf(dir), func(m map[string]any) {
		for _, key := range quantizationKeys {
			delete(m, key)
		}
	})
}

func TestPackedDamage(t *testing.T) { tryDamages(t, packedDamages) }

// Every method that is not read is refused by its name, with what to do.
func TestUnreadMethods(t *testing.T) {
	for method := range unreadMethods {
		if _, ok := quantizers[method]; ok && method != "nvfp4" {
			t.Errorf("%s is read", method)
		}
		o, err := parseObject("", []byte(`{"quant_method": "`+method+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readQuantization(o, "q", ""); err == nil || !strings.Contains(err.Error(), `"`+method+`" is not supported (`) || !strings.Contains(err.Error(), "base_model") {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// Records of tools, whatever their names, do not stand in the way.
func TestRecordsAreLeftOut(t *testing.T) {
	for _, name := range []string{"awq", "gptq_act", "fp8_tensor", "bnb_nf4", "mlx", "mo_fp8"} {
		dir := t.TempDir()
		copyQuantized(t, name, dir)
		for key, v := range map[string]any{"autoround_version": "0.16.1", "iters": 200, "provider": "auto-round", "seqlen": 2048, "note": map[string]any{"a": 1}} {
			inQuantization(key, v)(t, dir)
		}
		mustOpen(t, dir)
	}
}

// Whatever the object beside codes of bitsandbytes says, the codes are read in all rows, or there is an
// error.
func FuzzBnBState(f *testing.F) {
	f.Add([]byte(`{"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": [3, 5]}`))
	f.Add([]byte(`{"quant_type": "nf4", "blocksize": 4, "shape": [3, 5], "nested_blocksize": 256, "nested_offset": 0.25}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		all := map[string]stored{
			"m.weight":                   {dtype: "U8", shape: []int{8, 1}, data: make([]byte, 8)},
			"m.weight.nested_absmax":     {dtype: "F32", shape: []int{1}, data: make([]byte, 4)},
			"m.weight.nested_quant_map":  {dtype: "F32", shape: []int{256}, data: make([]byte, 1024)},
			"m" + bnbStateSuffix + "nf4": {dtype: "U8", shape: []int{len(object)}, data: object},
		}
		for _, n := range []int{1, 4} {
			all["m.weight.absmax"] = stored{dtype: "U8", shape: []int{n}, data: make([]byte, n)}
			b := &binder{shards: &shards{tensors: all}, quant: &quantization{method: methodBnB}, used: map[string]bool{}}
			m := &module{b: b, name: "m", rows: 3, cols: 5}
			p, err := m.codebook("m" + bnbStateSuffix + "nf4")
			if err != nil {
				continue
			}
			for row := range 3 {
				p.values.rows(row, 1, make([]float32, 5))
			}
		}
	})
}
