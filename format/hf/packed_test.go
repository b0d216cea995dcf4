package hf

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Experts in a stack of 4-bit floats, in a matrix that holds two, of a family that stores the values by
// columns, one half behind the other or row by row.
func TestBlocks(t *testing.T) {
	halves := func(half, row int) int { return half*24 + row }
	turns := func(half, row int) int { return 2*row + half }
	t.Run("llama4", func(t *testing.T) {
		testBlocks(t, "llama4", "model.layers.1.feed_forward.experts.gate_up_proj", 4, []string{"[0:24]", "[24:48]"}, halves)
	})
	t.Run("gpt_oss", func(t *testing.T) {
		testBlocks(t, "gpt_oss", "model.layers.1.mlp.experts.gate_up_proj", 5, []string{"[0:1 of 2]", "[1:2 of 2]"}, turns)
	})
}

// testBlocks stores a stack of two times 24 rows in 4-bit floats; at is where the rows of each half are.
func testBlocks(t *testing.T, family, name string, experts int, parts []string, at func(half, row int) int) {
	const rows, cols = 48, 32
	dir := copyOf(t, family)
	path := filepath.Join(dir, "model.safetensors")
	all := unpack(t, path)
	delete(all, name)
	rnd := rand.New(rand.NewPCG(1, 2))
	blocks := &tensorData{DType: "U8", Shape: []int{experts, rows, 1, 16}, data: make([]byte, experts*rows*16)}
	scales := &tensorData{DType: "U8", Shape: []int{experts, rows, 1}, data: make([]byte, experts*rows)}
	for i := range blocks.data {
		blocks.data[i] = byte(rnd.Uint32())
	}
	for i := range scales.data {
		scales.data[i] = byte(115 + rnd.IntN(12))
	}
	all[name+"_blocks"], all[name+"_scales"] = blocks, scales
	pack(t, path, all)
	edit(t, configOf(dir), set("quantization_config", map[string]any{"quant_method": "mxfp4", "modules_to_not_convert": []string{"lm_head"}}))
	c := mustOpen(t, dir)
	magnitude := []float64{0, .5, 1, 1.5, 2, 3, 4, 6}
	want := func(expert, row, col int) float32 {
		r := expert*rows + row
		q := blocks.data[(r*cols+col)/2] >> (col % 2 * 4) & 15
		v := math.Ldexp(magnitude[q&7], int(scales.data[r])-127)
		if q >= 8 {
			v = -v
		}
		return float32(v)
	}
	for half, part := range parts {
		have := valuesOf(t, c, name+part)
		for i, v := range have {
			if w := want(i/cols/24, at(half, i/cols%24), i%cols); v != w {
				t.Fatalf("%s: element %d is %g, want %g", part, i, v, w)
			}
		}
		i := slices.IndexFunc(c.Tensors(), hasName(name+part))
		ok, why := c.Ready(i, 8, 32)
		if !ok {
			t.Fatal(why)
		}
		checkBlocks(t, c, i, 8, 32)
	}
}

// The same floats in a matrix that is none of a stack, under either name, and in experts that a family may
// have in stacks.
func TestBlocksElsewhere(t *testing.T) {
	const module = "model.layers.0.mlp.up_proj"
	for _, base := range []string{module, module + ".weight"} {
		dir := t.TempDir()
		copyQuantized(t, "ct_mxfp4", dir)
		want := valuesOf(t, mustOpen(t, dir), module+".weight")
		inWeights(func(m map[string]*tensorData) {
			for name, d := range m {
				of, packed := strings.CutSuffix(name, ".weight_packed")
				to := base[len(module):]
				switch {
				case packed:
					d.Shape = []int{d.Shape[0], d.Shape[1] / 16, 16}
					m[of+to+"_blocks"], m[of+to+"_scales"] = d, m[of+".weight_scale"]
					delete(m, name)
					delete(m, of+".weight_scale")
				}
			}
		})(t, dir)
		edit(t, configOf(dir), set("quantization_config", map[string]any{"quant_method": "mxfp4"}))
		if have := valuesOf(t, mustOpen(t, dir), module+".weight"); !slices.Equal(have, want) {
			t.Errorf("%s: the values differ", base)
		}
	}

	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(forms+"mixtral_stacked")); err != nil {
		t.Fatal(err)
	}
	inWeights(func(m map[string]*tensorData) {
		for name, d := range m {
			if strings.HasSuffix(name, ".experts.gate_up_proj") {
				experts, rows := d.Shape[0], d.Shape[1]
				delete(m, name)
				m[name+"_blocks"] = &tensorData{DType: "U8", Shape: []int{experts, rows, 1, 16}, data: bytes.Repeat([]byte{0x52}, experts*rows*16)}
				m[name+"_scales"] = &tensorData{DType: "U8", Shape: []int{experts, rows, 1}, data: bytes.Repeat([]byte{126}, experts*rows)}
			}
		}
	})(t, dir)
	edit(t, configOf(dir), set("quantization_config", map[string]any{"quant_method": "mxfp4"}))
	c := mustOpen(t, dir)
	at := slices.IndexFunc(c.Tensors(), func(x model.Tensor) bool { return len(x.Shape) == 3 && x.Role == model.RoleUp })
	for i, v := range valuesOf(t, c, c.Tensors()[at].Name) {
		if want := []float32{.5, 1.5}[i%2]; v != want {
			t.Fatalf("element %d is %g, want %g", i, v, want)
		}
	}
}

func TestBlocksDamage(t *testing.T) {
	const name = "model.layers.1.feed_forward.experts.gate_up_proj"
	for _, c := range []struct {
		do   func(m map[string]*tensorData)
		want string
	}{
		{func(m map[string]*tensorData) { delete(m, name+"_scales") }, `_scales" is missing; a matrix quantized by mxfp4 has it`},
		{func(m map[string]*tensorData) { m[name+"_scales"].Shape = []int{4, 1, 48} }, `_scales": shape [4 1 48], but config.json makes it [4 48 1]`},
		{func(m map[string]*tensorData) { m[name+"_blocks"].Shape = []int{4, 48, 16} }, `_blocks": shape [4 48 16], but config.json makes it [4 48 1 16]`},
		{func(m map[string]*tensorData) { m[name+"_blocks"].DType = "I8" }, `_blocks": unsupported dtype I8; supported: U8`},
	} {
		dir := copyOf(t, "llama4")
		inWeights(func(m map[string]*tensorData) {
			delete(m, name)
			m[name+"_blocks"] = &tensorData{DType: "U8", Shape: []int{4, 48, 1, 16}, data: make([]byte, 4*48*16)}
			m[name+"_scales"] = &tensorData{DType: "U8", Shape: []int{4, 48, 1}, data: make([]byte, 4*48)}
			c.do(m)
		})(t, dir)
		edit(t, configOf(dir), set("quantization_config", map[string]any{"quant_method": "mxfp4"}))
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

// 4-bit floats in the type that has its own name.
func TestFloat4Type(t *testing.T) {
	dir := t.TempDir()
	copyQuantized(t, "ct_mxfp4", dir)
	want := valuesOf(t, mustOpen(t, dir), upProj+".weight")
	inWeights(func(m map[string]*tensorData) {
		m[upProj+".weight_packed"].DType, m[upProj+".weight_packed"].Shape[1] = float4, 64
		m[upProj+".weight_scale"].DType = float8E8M0
	})(t, dir)
	if have := valuesOf(t, mustOpen(t, dir), upProj+".weight"); !slices.Equal(have, want) {
		t.Error("the values differ")
	}
}

// What AutoRound calls its packings, of the same tensors.
func TestAutoRoundPackings(t *testing.T) {
	for _, c := range []struct {
		fixture string
		config  map[string]any
	}{
		{"gptq3", map[string]any{"quant_method": "auto-round", "packing_format": "auto_round:auto_gptq", "bits": 3, "group_size": 32, "sym": false, "data_type": "int"}},
		{"gptq3", map[string]any{"quant_method": "intel/auto-round", "bits": 3, "group_size": 32, "backend": "auto_round:gptq"}},
		{"gptq3", map[string]any{"quant_method": "auto-round", "bits": 4, "group_size": 64, "extra_config": map[string]any{".*": map[string]any{"bits": 3, "group_size": 32}, "lm_head": map[string]any{"bits": 16, "data_type": "float"}}}},
		{"gptq_act", map[string]any{"quant_method": "auto-round", "packing_format": "auto_round:gptqmodel", "bits": 4, "group_size": 32}},
		{"awq", map[string]any{"quant_method": "auto-round", "packing_format": "auto_round:auto_awq", "bits": 4, "group_size": 64}},
		{"ct_nvfp4", map[string]any{"quant_method": "auto-round", "packing_format": "auto_round:llm_compressor", "data_type": "nv_fp", "bits": 4, "group_size": 16}},
		{"ct_mxfp4", map[string]any{"quant_method": "auto-round", "packing_format": "auto_round:llm_compressor", "data_type": "mx_fp", "bits": 4, "group_size": 32}},
		{"ct_fp8", map[string]any{"quant_method": "auto-round", "packing_format": "auto_round:fp8_static", "data_type": "fp8", "bits": 8, "group_size": -1}},
		{"mlx", map[string]any{"quant_method": "auto-round", "packing_format": "auto_round:mlx", "bits": 4, "group_size": 64}},
	} {
		want := valuesOf(t, mustOpen(t, quantized+c.fixture), upProj+".weight")
		dir := t.TempDir()
		copyQuantized(t, c.fixture, dir)
		q := maps.Clone(c.config)
		q["autoround_version"], q["iters"] = "0.16.1", 200
		edit(t, configOf(dir), set("quantization_config", q))
		if have := valuesOf(t, mustOpen(t, dir), upProj+".weight"); !slices.Equal(have, want) {
			t.Errorf("%s: %v: the values differ", c.fixture, c.config)
		}
	}
}

// A configuration without quant_method says by its other keys what quantized the weights, and may be in
// places where other tools have it.
func TestUnnamedMethods(t *testing.T) {
	for fixture, key := range map[string]string{"bnb_nf4": "quantization_config", "mo_fp8": "quantization_config", "ct_int4": "compression_config", "mlx": "quantization"} {
		dir := t.TempDir()
		copyQuantized(t, fixture, dir)
		edit(t, configOf(dir), func(m map[string]any) {
			q := m["quantization_config"].(map[string]any)
			if key != "compression_config" {
				delete(q, "quant_method")
			}
			delete(m, "quantization_config")
			m[key] = q
		})
		mustOpen(t, dir)
	}
}

// Floats of 8 bits with powers of two, as other tools call them.
func TestMXFP8(t *testing.T) {
	want := valuesOf(t, mustOpen(t, quantized+"ct_mxfp8"), upProj+".weight")
	for suffix, q := range map[string]map[string]any{
		".weight_scale":     {"quant_method": "modelopt", "quant_algo": "MXFP8"},
		".weight_scale_inv": {"quant_method": "mxfp8", "weight_block_size": []int{1, 32}, "activation_scheme": "dynamic"},
	} {
		dir := t.TempDir()
		copyQuantized(t, "ct_mxfp8", dir)
		inWeights(func(m map[string]*tensorData) {
			for _, name := range slices.Collect(maps.Keys(m)) {
				if of, ok := strings.CutSuffix(name, ".weight_scale"); ok {
					d := m[name]
					delete(m, name)
					m[of+suffix] = d
				}
			}
		})(t, dir)
		edit(t, configOf(dir), set("quantization_config", q))
		if have := valuesOf(t, mustOpen(t, dir), upProj+".weight"); !slices.Equal(have, want) {
			t.Errorf("%v: the values differ", q)
		}
	}
}

// Streams of all widths, at every step between words.
func TestStream(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for bits := 2; bits <= 8; bits++ {
		list, want := make([]int, 96), make([]int16, 96)
		for i := range list {
			list[i] = rnd.IntN(1 << bits)
			want[i] = int16(list[i])
		}
		packed := packBits(list, bits)
		for step := 1; step < 4; step++ {
			data := make([]byte, (len(packed)*step + 4))
			for k := range len(packed) / 4 {
				copy(data[4*(1+k*step):4*(2+k*step)], packed[4*k:])
			}
			have := make([]int16, 96)
			words{data, bits}.stream(have, 1, step)
			if !slices.Equal(have, want) {
				t.Errorf("%d bits, step %d: %v, want %v", bits, step, have, want)
			}
		}
	}
}

// Blocks whose scales or zero-points had to be rounded are within an eighth of a step of the values.
func TestReadyRounded(t *testing.T) {
	for _, c := range []struct {
		name        string
		bits, block int
		exact, not  int    // how many matrices are taken over exactly, and how many are not
		why         string // of those
	}{
		{"bnb_int8", 8, 32, 0, 0, ""},
		{"mlx", 4, 32, 0, 0, ""},
		{"mlx", 8, 32, 0, 8, "by more than an eighth of a step"},
		{"mlx_floats", 8, 32, 6, 2, ""},
	} {
		ck := mustOpen(t, quantized+c.name)
		exact, not, matrices := 0, 0, 0
		for i := range ck.Tensors() {
			if ck.bound[i].parts[0].values == nil {
				continue
			}
			matrices++
			ok, why := ck.Ready(i, c.bits, c.block)
			switch {
			case !ok && strings.Contains(why, c.why):
				not++
			case !ok:
				t.Errorf("%s: %s", c.name, why)
			case why == "":
				exact++
				checkBlocks(t, ck, i, c.bits, c.block)
			case why != Rounded:
				t.Errorf("%s: ready: %q", c.name, why)
			default:
				checkNear(t, ck, i, c.bits, c.block)
			}
		}
		if exact != c.exact || not != c.not || matrices < 7 {
			t.Errorf("%s to %d bits: of %d matrices %d exact, %d not, want %d, %d", c.name, c.bits, matrices, exact, not, c.exact, c.not)
		}
	}
}

// checkNear compares the values of blocks with those of the checkpoint.
func checkNear(t *testing.T, c *Checkpoint, i, bits, length int) {
	t.Helper()
	tensor, scheme := c.Tensors()[i], block.Scheme{Bits: bits, Block: length}
	rows, cols := tensor.Rows(), tensor.Cols()
	size := scheme.RowBytes(cols)
	all, want, have := make([]byte, rows*size), valuesOf(t, c, tensor.Name), make([]float32, cols)
	if err := c.Blocks(i, bits, length, 0, rows, all); err != nil {
		t.Fatal(err)
	}
	for r := range rows {
		row := all[r*size : (r+1)*size]
		if err := scheme.Check(row, cols); err != nil {
			t.Fatal(err)
		}
		scheme.DecodeRow(have, row)
		for k, v := range have {
			at := k / length * scheme.BlockBytes()
			step := float64(float16.Frombits(uint16(row[at]) | uint16(row[at+1])<<8).Float32())
			if d := math.Abs(float64(v) - float64(want[r*cols+k])); d > step/8*1.001 {
				t.Fatalf("%s: element %d of row %d is %g, want %g: a step is %g", tensor.Name, k, r, v, want[r*cols+k], step)
			}
		}
	}
}

// Affine groups of both signs, of zeros with the scales that MLX gives them, and such as no block holds.
func TestAffineBlocks(t *testing.T) {
	type group struct{ scale, bias float32 }
	for _, c := range []struct {
		group
		codes func(i int) int
		want  string
	}{
		{group{0.25, -2}, func(i int) int { return i % 16 }, ""},
		{group{-0.25, 2}, func(i int) int { return i % 16 }, ""},
		{group{0.25, 0.5}, func(i int) int { return i % 16 }, ""},
		{group{1e-7, 0}, func(int) int { return 0 }, ""},
		{group{-1e-7, 0}, func(int) int { return 0 }, ""},
		{group{0, 0}, func(i int) int { return i % 16 }, ""},
		{group{0.3, -0.3 * 7}, func(i int) int { return i % 16 }, Rounded},
		{group{0.25, -0.3}, func(i int) int { return i % 16 }, "an eighth of a step"},
		{group{1e-7, 0}, func(i int) int { return i % 16 }, "scales are none"},
		{group{0, 1}, func(i int) int { return i % 16 }, "zero-points are none"},
		{group{0.25, -100}, func(i int) int { return i % 16 }, "zero-points are none"},
		{group{float32(math.NaN()), 0}, func(i int) int { return i % 16 }, "scales are none"},
		{group{1, float32(math.Inf(1))}, func(i int) int { return i % 16 }, "zero-points are none"},
		{group{1, float32(math.NaN())}, func(i int) int { return i % 16 }, "none that a block may have"},
	} {
		dir := t.TempDir()
		copyQuantized(t, "mlx", dir)
		inWeights(func(m map[string]*tensorData) {
			var codes []int
			for i := range 96 * 64 {
				codes = append(codes, c.codes(i))
			}
			m[upProj+".weight"].data = packBits(codes, 4)
			for suffix, v := range map[string]float32{".scales": c.scale, ".biases": c.bias} {
				d := m[upProj+suffix]
				d.DType, d.data = "F32", nil
				for range 96 {
					d.data = binary.LittleEndian.AppendUint32(d.data, math.Float32bits(v))
				}
			}
		})(t, dir)
		ck := mustOpen(t, dir)
		i := slices.IndexFunc(ck.Tensors(), hasName(upProj+".weight"))
		switch ok, why := ck.Ready(i, 4, 64); {
		case ok != (c.want == "" || c.want == Rounded), !strings.Contains(why, c.want):
			t.Errorf("%v: ready: %v, %q, want %q", c.group, ok, why, c.want)
		case ok && why == "":
			checkBlocks(t, ck, i, 4, 64)
		case ok:
			checkNear(t, ck, i, 4, 64)
		}
	}
}

// switched copies the Mixtral with its experts in stacks, as MLX has them.
func switched(t *testing.T) string {
	dir := copyOf(t, "mixtral")
	names := map[string]string{"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
	inWeights(func(m map[string]*tensorData) {
		for _, name := range slices.Sorted(maps.Keys(m)) { // the experts in their order
			block, rest, ok := strings.Cut(name, ".experts.")
			if !ok {
				continue
			}
			to := block + ".switch_mlp." + names[strings.Split(rest, ".")[1]] + ".weight"
			if m[to] == nil {
				m[to] = &tensorData{DType: "F16", Shape: []int{0, m[name].Shape[0], m[name].Shape[1]}}
			}
			m[to].Shape[0]++
			m[to].data = append(m[to].data, m[name].data...)
			delete(m, name)
		}
	})(t, dir)
	return dir
}

// Experts that MLX stacked, quantized or not.
func TestSwitchExperts(t *testing.T) {
	const name = "model.layers.1.block_sparse_moe.switch_mlp.up_proj"
	const experts, rows, cols, bits = 4, 48, 32, 3
	dir := switched(t)
	sameModel(t, mustOpen(t, dir), mustOpen(t, fixtureOf(t, "mixtral")))

	rnd := rand.New(rand.NewPCG(7, 8))
	var codes []int
	scales, biases := make([]float32, experts*rows), make([]float32, experts*rows)
	for range experts * rows * cols {
		codes = append(codes, rnd.IntN(1<<bits))
	}
	for i := range scales {
		scales[i], biases[i] = float32(rnd.IntN(64)-32)/64, float32(rnd.IntN(64))/8
	}
	inWeights(func(m map[string]*tensorData) {
		m[name+".weight"] = &tensorData{DType: "U32", Shape: []int{experts, rows, cols * bits / 32}, data: packBits(codes, bits)}
		m[name+".scales"] = &tensorData{DType: "F16", Shape: []int{experts, rows, 1}, data: halves(scales)}
		m[name+".biases"] = &tensorData{DType: "F16", Shape: []int{experts, rows, 1}, data: halves(biases)}
	})(t, dir)
	edit(t, configOf(dir), set("quantization", map[string]any{"group_size": 64, "bits": 4, "model.layers.1.block_sparse_moe.switch_mlp.up_proj": map[string]any{"group_size": 32, "bits": 3}}))
	c := mustOpen(t, dir)
	for i, v := range valuesOf(t, c, name+".weight") {
		if want := float32(codes[i])*scales[i/cols] + biases[i/cols]; v != want {
			t.Fatalf("element %d is %g, want %g", i, v, want)
		}
	}
	row := make([]float32, cols)
	i := slices.IndexFunc(c.Tensors(), hasName(name+".weight"))
	if err := c.Rows(i, 3*rows+7, 1, row); err != nil {
		t.Fatal(err)
	}
	if want := float32(codes[(3*rows+7)*cols])*scales[3*rows+7] + biases[3*rows+7]; row[0] != want {
		t.Errorf("row 7 of the last expert begins with %g, want %g", row[0], want)
	}
}

// An adapter is merged into weights of 4 bits as it is into others.
func TestMergeIntoCodes(t *testing.T) {
	const module, rank, size = "model.layers.0.self_attn.o_proj", 2, 64
	rnd := rand.New(rand.NewPCG(9, 10))
	random := func(shape ...int) (*tensorData, []float32) {
		d := &tensorData{DType: "F32", Shape: shape}
		list := make([]float32, shape[0]*shape[1])
		for i := range list {
			list[i] = rnd.Float32()
			d.data = binary.LittleEndian.AppendUint32(d.data, math.Float32bits(list[i]))
		}
		return d, list
	}
	first, a := random(rank, size)
	second, b := random(size, rank)
	adapter := t.TempDir()
	write(t, filepath.Join(adapter, adapterConfig), []byte(`{"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["o_proj"]}`))
	pack(t, filepath.Join(adapter, "adapter_model.safetensors"), map[string]*tensorData{
		"base_model.model." + module + ".lora_A.weight": first, "base_model.model." + module + ".lora_B.weight": second,
	})
	for _, fixture := range []string{"bnb_nf4", "mlx", "mo_nvfp4"} {
		base := valuesOf(t, mustOpen(t, quantized+fixture), module+".weight")
		c := mustOpen(t, quantized+fixture)
		if err := c.Merge(adapter, 1); err != nil {
			t.Fatal(err)
		}
		for i, v := range valuesOf(t, c, module+".weight") {
			r, k := i/size, i%size
			want := base[i] + b[r*rank]*a[k] + b[r*rank+1]*a[size+k]
			if math.Abs(float64(v-want)) > 1e-6 {
				t.Fatalf("%s: element %d is %g, want %g", fixture, i, v, want)
			}
		}
	}
}
