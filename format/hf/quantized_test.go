package hf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// quantized are fixtures made by testdata/make_quantized.py.
const quantized = "../../testdata/quantized/"

// values returns all rows of the tensor with this name.
func valuesOf(t testing.TB, c *Checkpoint, name string) []float32 {
	t.Helper()
	i := indexOf(t, c, name)
	x := c.Tensors()[i]
	all := make([]float32, x.Rows()*x.Cols())
	if err := c.Rows(i, 0, x.Rows(), all); err != nil {
		t.Fatal(err)
	}
	return all
}

// indexOf returns which tensor has a name.
func indexOf(t testing.TB, c *Checkpoint, name string) int {
	t.Helper()
	i := slices.IndexFunc(c.Tensors(), func(x model.Tensor) bool { return x.Name == name })
	if i < 0 {
		t.Fatalf("no tensor %q", name)
	}
	return i
}

// What the libraries dequantize to, bit for bit: where they compute in float16, after that rounding.
func TestDequantized(t *testing.T) {
	for name, kind := range map[string]string{
		"fp8_block":  "F8_E4M3 with blocks of 128×128",
		"fp8_tensor": "F8_E5M2 with one scale",
		"ct_fp8":     "F8_E4M3 with a scale for each row",
		"ct_int8":    "compressed-tensors int8",
		"ct_int4":    "compressed-tensors int4 with groups of 32",
		"gptq":       "gptq int4 with groups of 64",
		"gptq_act":   "gptq int4 with groups of 32 in act-order",
		"awq":        "awq int4 with groups of 64",
		"bnb_nf4":    "bitsandbytes nf4 with blocks of 64 and quantized scales",
		"bnb_fp4":    "bitsandbytes fp4 with blocks of 64",
		"bnb_int8":   "bitsandbytes int8 with a scale for each row",
		"ct_nvfp4":   "nvfp4 with groups of 16",
		"ct_mxfp4":   "mxfp4 with groups of 32",
		"ct_mxfp8":   "F8_E4M3 with groups of 32",
		"mo_nvfp4":   "nvfp4 with groups of 16",
		"mo_fp8":     "F8_E4M3 with one scale",
		"mlx":        "mlx int4 with groups of ",
		"mlx_mixed":  "mlx int",
		"mlx_floats": "", // mxfp4, nvfp4 and mxfp8
		"gptq3":      "gptq int3 with groups of 32",
		"ct_int3":    "compressed-tensors int3 with groups of 32",
		"ct_whole":   "compressed-tensors int4",
	} {
		t.Run(name, func(t *testing.T) {
			c := mustOpen(t, quantized+name)
			var golden map[string]struct{ F32, F16 string }
			if err := json.Unmarshal(read(t, quantized+name+"/golden.json"), &golden); err != nil || len(golden) < 7 {
				t.Fatalf("%d matrices, %v", len(golden), err)
			}
			for i, tensor := range c.Tensors() {
				want, ok := golden[tensor.Name]
				if !ok {
					continue
				}
				if !strings.HasPrefix(c.SourceType(i), kind) {
					t.Errorf("%s: type %q, want %q", tensor.Name, c.SourceType(i), kind)
				}
				single, half := sha256.New(), sha256.New()
				for _, v := range valuesOf(t, c, tensor.Name) {
					single.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
					half.Write(binary.LittleEndian.AppendUint16(nil, float16.Fromfloat32(v).Bits()))
				}
				if have := hex.EncodeToString(single.Sum(nil)); have != want.F32 {
					t.Errorf("%s: the values differ", tensor.Name)
				}
				if have := hex.EncodeToString(half.Sum(nil)); want.F16 != "" && have != want.F16 {
					t.Errorf("%s: the values differ as float16", tensor.Name)
				}
				delete(golden, tensor.Name)
			}
			if len(golden) > 0 {
				t.Errorf("not there: %v", golden)
			}
		})
	}
}

// Rows that are asked for one by one are those of the whole, and Raw shows no codes.
func TestQuantizedRows(t *testing.T) {
	for _, name := range []string{"fp8_block", "ct_int8", "ct_int4", "gptq", "gptq_act", "awq", "bnb_nf4", "bnb_int8", "mo_nvfp4", "mlx_mixed", "gptq3"} {
		c := mustOpen(t, quantized+name)
		for i, tensor := range c.Tensors() {
			all := valuesOf(t, c, tensor.Name)
			if _, raw := c.Raw(i); raw == (c.bound[i].parts[0].values != nil) {
				t.Errorf("%s: %s: raw bytes: %v", name, tensor.Name, raw)
			}
			row := make([]float32, tensor.Cols())
			for r := range tensor.Rows() {
				if err := c.Rows(i, r, 1, row); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(row, all[r*len(row):(r+1)*len(row)]) {
					t.Fatalf("%s: %s: row %d differs from that of the whole", name, tensor.Name, r)
				}
			}
		}
	}
}

func TestBytes(t *testing.T) {
	for _, dir := range []string{quantized + "gptq", quantized + "awq", quantized + "ct_int4", quantized + "fp8_block", quantized + "bnb_nf4", quantized + "bnb_int8", quantized + "mo_nvfp4", quantized + "mlx", fixtureOf(t, "phi3"), fixtureOf(t, "mixtral")} {
		c := mustOpen(t, dir)
		var have, want int64
		for i := range c.Tensors() {
			have += c.Bytes(i)
		}
		for name, d := range unpack(t, filepath.Join(dir, "model.safetensors")) {
			if !strings.HasSuffix(name, "proj.bias") && !strings.HasSuffix(name, ".input_scale") { // what is left out
				want += int64(len(d.data))
			}
		}
		if have != want {
			t.Errorf("%s: %d bytes, want %d", dir, have, want)
		}
	}
}

// Every byte, by the definition of float16: E5M2 is its upper half, and E4M3 has its form with a bias
// that differs by 8 and one bit less.
func TestFloat8Tables(t *testing.T) {
	for b := range 256 {
		want := float16.Frombits(uint16(b) << 8).Float32()
		if have := e5m2[b]; have != want && !(math.IsNaN(float64(have)) && math.IsNaN(float64(want))) {
			t.Errorf("E5M2 %#x is %g, want %g", b, have, want)
		}
		want = 0x1p8 * float16.Frombits(uint16(b&0x80)<<8|uint16(b&0x7f)<<7).Float32()
		if b&0x7f == 0x7f {
			want = float32(math.NaN())
		}
		if have := e4m3[b]; math.Float32bits(have) != math.Float32bits(want) && !(math.IsNaN(float64(have)) && math.IsNaN(float64(want))) {
			t.Errorf("E4M3 %#x is %g, want %g", b, have, want)
		}
		want = math.Float32frombits(uint32(b) << 23)
		if b == 0 {
			want = 0x1p-127
		}
		if have := e8m0[b]; have != want && b != 255 || b == 255 && have == have {
			t.Errorf("E8M0 %#x is %g, want %g", b, have, want)
		}
	}
}

// makeFloat8 turns the matrices of a fixture with the given names into bytes that are read as E4M3, with
// scales of the shape, and returns the values that they stand for, by name.
func makeFloat8(t *testing.T, dir, method string, pick func(name string) bool, high, wide int, suffix string) map[string][]float32 {
	t.Helper()
	rnd := rand.New(rand.NewPCG(3, 4))
	path := filepath.Join(dir, "model.safetensors")
	all, want := unpack(t, path), map[string][]float32{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d := all[name]
		if len(d.Shape) != 2 || !pick(name) {
			continue
		}
		rows, cols := d.Shape[0], d.Shape[1]
		down, across := (rows+high-1)/high, (cols+wide-1)/wide
		d.DType, d.data = "F8_E4M3", make([]byte, rows*cols)
		scales := make([]float32, down*across)
		s := &tensorData{DType: "F32", Shape: []int{down, across}}
		for i := range scales {
			scales[i] = rnd.Float32()
			s.data = binary.LittleEndian.AppendUint32(s.data, math.Float32bits(scales[i]))
		}
		values := make([]float32, rows*cols)
		for i := range values {
			d.data[i] = byte(rnd.IntN(127)) | byte(rnd.IntN(2))<<7
			values[i] = e4m3[d.data[i]] * scales[i/cols/high*across+i%cols/wide]
		}
		want[name], all[name+suffix] = values, s
	}
	if len(want) == 0 {
		t.Fatal("no such matrix")
	}
	pack(t, path, all)
	edit(t, configOf(dir), set("quantization_config", map[string]any{"quant_method": method, "weight_block_size": []int{high, wide}}))
	return want
}

// Blocks that do not divide the matrix, in a matrix that holds several, and in experts.
func TestFloat8Blocks(t *testing.T) {
	for _, c := range []struct{ family, part, name, of string }{
		{"mistral", "mlp.down_proj", "model.layers.1.mlp.down_proj.weight", "model.layers.1.mlp.down_proj.weight"},
		{"phi3", "qkv_proj", "model.layers.2.self_attn.qkv_proj.weight[32:48]", "model.layers.2.self_attn.qkv_proj.weight"},
		{"mixtral", "experts", "model.layers.1.block_sparse_moe.experts.*.w2.weight", "model.layers.1.block_sparse_moe.experts.2.w2.weight"},
	} {
		dir := copyOf(t, c.family)
		want := makeFloat8(t, dir, "fp8", func(name string) bool { return strings.Contains(name, c.part) }, 20, 12, "_scale_inv")[c.of]
		have := valuesOf(t, mustOpen(t, dir), c.name)
		switch c.family {
		case "phi3":
			want = want[32*32 : 48*32]
		case "mixtral":
			have = have[2*len(want) : 3*len(want)]
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: %s: the values differ", c.family, c.name)
		}
	}
}

// The same tensors as other tools call them: a scale for each row of fbgemm_fp8, and powers of two.
func TestFloat8Relatives(t *testing.T) {
	dir := copyOf(t, "mistral")
	want := makeFloat8(t, dir, "fbgemm_fp8", func(name string) bool { return name == qProj }, 1, 32, "_scale")[qProj]
	edit(t, configOf(dir), set("quantization_config", map[string]any{"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}))
	if !slices.Equal(valuesOf(t, mustOpen(t, dir), qProj), want) {
		t.Error("fbgemm_fp8: the values differ")
	}

	dir = copyOf(t, "mistral")
	makeFloat8(t, dir, "fp8", func(name string) bool { return name == qProj }, 20, 12, "_scale_inv")
	path := filepath.Join(dir, "model.safetensors")
	all := unpack(t, path)
	s := all[qProj+"_scale_inv"]
	s.DType, s.data = "F8_E8M0", make([]byte, len(s.data)/4)
	for i := range s.data {
		s.data[i] = byte(120 + i)
	}
	pack(t, path, all)
	for i, v := range valuesOf(t, mustOpen(t, dir), qProj) {
		r, c := i/32, i%32
		if want := e4m3[all[qProj].data[i]] * float32(math.Ldexp(1, r/20*3+c/12-7)); v != want {
			t.Fatalf("element %d is %g, want %g", i, v, want)
		}
	}
}

// 8-bit floats without a quantization_config are weights of a type like any other.
func TestFloat8WithoutScales(t *testing.T) {
	dir := copyOf(t, "mistral")
	path := filepath.Join(dir, "model.safetensors")
	all := unpack(t, path)
	d := all[qProj]
	d.DType, d.data = "F8_E5M2", d.data[:len(d.data)/2]
	pack(t, path, all)
	have := valuesOf(t, mustOpen(t, dir), qProj)
	for i, v := range have {
		if v != e5m2[d.data[i]] && v == v {
			t.Fatalf("element %d is %g, want %g", i, v, e5m2[d.data[i]])
		}
	}
}

// packWords packs numbers along rows, or along columns, of a matrix [rows][cols].
func packWords(codes []int, rows, cols, bits int, alongRows bool, order []int) []byte {
	per := 32 / bits
	wordRows, wordCols := rows, (cols+per-1)/per
	if alongRows {
		wordRows, wordCols = (rows+per-1)/per, cols
	}
	words := make([]uint32, wordRows*wordCols)
	for r := range rows {
		for c := range cols {
			word, place := r*wordCols+c/per, c%per
			if alongRows {
				word, place = r/per*wordCols+c, r%per
			}
			if order != nil {
				place = slices.Index(order, place)
			}
			words[word] |= uint32(codes[r*cols+c]) << (place * bits)
		}
	}
	var out []byte
	for _, w := range words {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	return out
}

// matrix is a random grid: code [rows][cols], zero and scale [rows][groups].
type matrix struct {
	rows, cols, groups, bits int
	codes, zeros             []int
	scales                   []float32
	group                    []int
}

func newMatrix(rnd *rand.Rand, rows, cols, size, bits int, scattered bool) *matrix {
	m := &matrix{rows: rows, cols: cols, groups: (cols + size - 1) / size, bits: bits}
	for c := range cols {
		m.group = append(m.group, c/size)
	}
	if scattered {
		rnd.Shuffle(cols, func(i, j int) { m.group[i], m.group[j] = m.group[j], m.group[i] })
	}
	for range rows * cols {
		m.codes = append(m.codes, rnd.IntN(1<<bits))
	}
	for range rows * m.groups {
		m.zeros = append(m.zeros, rnd.IntN(1<<bits))
		m.scales = append(m.scales, float16.Fromfloat32(.01+rnd.Float32()).Float32())
	}
	m.scales[0] = 0
	return m
}

func (m *matrix) values() []float32 {
	var list []float32
	for i, q := range m.codes {
		k := i/m.cols*m.groups + m.group[i%m.cols]
		list = append(list, float32(q-m.zeros[k])*m.scales[k])
	}
	return list
}

func transpose[T any](list []T, rows, cols int) []T {
	out := make([]T, len(list))
	for i, v := range list {
		out[i%cols*rows+i/cols] = v
	}
	return out
}

func halves(list []float32) []byte {
	var out []byte
	for _, v := range list {
		out = binary.LittleEndian.AppendUint16(out, float16.Fromfloat32(v).Bits())
	}
	return out
}

// gptq stores the matrix under a name; offset is what the format subtracts from zero-points, word by word.
func (m *matrix) gptq(all map[string]*tensorData, name string, offset int) {
	all[name+".qweight"] = &tensorData{DType: "I32", Shape: []int{m.cols * m.bits / 32, m.rows}, data: packWords(transpose(m.codes, m.rows, m.cols), m.cols, m.rows, m.bits, true, nil)}
	all[name+".qzeros"] = &tensorData{DType: "I32", Shape: []int{m.groups, m.rows * m.bits / 32}, data: packWords(transpose(m.zeros, m.rows, m.groups), m.groups, m.rows, m.bits, false, nil)}
	if 32%m.bits != 0 {
		m.gptqStreams(all, name, offset)
	}
	less := map[int]uint32{2: 0x55555555, 4: 0x11111111, 8: 0x01010101}[m.bits] * uint32(offset)
	for word := range slices.Chunk(all[name+".qzeros"].data, 4) {
		binary.LittleEndian.PutUint32(word, binary.LittleEndian.Uint32(word)-less)
	}
	all[name+".scales"] = &tensorData{DType: "F16", Shape: []int{m.groups, m.rows}, data: halves(transpose(m.scales, m.rows, m.groups))}
	g := &tensorData{DType: "I32", Shape: []int{m.cols}}
	for _, k := range m.group {
		g.data = binary.LittleEndian.AppendUint32(g.data, uint32(k))
	}
	all[name+".g_idx"] = g
}

// gptqStreams replaces codes and zero-points by those of widths that words hold no whole number of.
func (m *matrix) gptqStreams(all map[string]*tensorData, name string, offset int) {
	down := m.cols * m.bits / 32
	words, zeros := make([]byte, 4*down*m.rows), []byte{}
	for r := range m.rows {
		for k, word := range slices.Collect(slices.Chunk(packBits(m.codes[r*m.cols:(r+1)*m.cols], m.bits), 4)) {
			copy(words[4*(k*m.rows+r):], word)
		}
	}
	list := transpose(m.zeros, m.rows, m.groups)
	for i := range list {
		list[i] = (list[i] - offset) & (1<<m.bits - 1)
	}
	for line := range slices.Chunk(list, m.rows) {
		zeros = append(zeros, packBits(line, m.bits)...)
	}
	all[name+".qweight"].data, all[name+".qzeros"].data = words, zeros
}

// packBits packs numbers bit after bit, the lowest first.
func packBits(list []int, bits int) []byte {
	out := make([]byte, len(list)*bits/8)
	for i, v := range list {
		for b := range bits {
			at := i*bits + b
			out[at/8] |= byte(v>>b&1) << (at % 8)
		}
	}
	return out
}

// GPTQ of all widths, with per-module widths, in a matrix that holds several, in experts, and beside
// matrices that a family stores by columns.
func TestGPTQ(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, bits := range []int{2, 3, 4, 8} {
		for _, format := range []string{"gptq", "gptq_v2"} {
			for _, c := range []struct {
				family, stored, name string
				rows, cols           int
				first, last          int // rows of the tensor
			}{
				{"mistral", "model.layers.1.mlp.down_proj", "model.layers.1.mlp.down_proj.weight", 32, 48, 0, 32},
				{"phi3", "model.layers.1.mlp.gate_up_proj", "model.layers.1.mlp.gate_up_proj.weight[48:96]", 96, 32, 48, 96},
				{"gpt2", "transformer.h.1.attn.c_attn", "transformer.h.1.attn.c_attn.weight[64:96]", 96, 32, 64, 96},
			} {
				for _, size := range []int{16, 64} {
					if c.cols*bits%32 != 0 {
						continue
					}
					dir := copyOf(t, c.family)
					path := filepath.Join(dir, "model.safetensors")
					all := unpack(t, path)
					delete(all, c.stored+".weight")
					m := newMatrix(rnd, c.rows, c.cols, size, bits, size == 16 && bits == 4)
					m.gptq(all, c.stored, map[string]int{"gptq": 1, "gptq_v2": 0}[format])
					pack(t, path, all)
					q := map[string]any{"quant_method": "gptq", "bits": bits, "group_size": size, "checkpoint_format": format}
					if bits == 8 {
						q["bits"], q["dynamic"] = 4, map[string]any{"+:.*": map[string]any{"bits": 8}}
					}
					edit(t, configOf(dir), set("quantization_config", q))
					want := m.values()[c.first*c.cols : c.last*c.cols]
					if have := valuesOf(t, mustOpen(t, dir), c.name); !slices.Equal(have, want) {
						t.Errorf("%d bits, %s, %s, groups of %d: the values differ", bits, format, c.name, size)
					}
				}
			}
		}
	}
}

// Columns of compressed-tensors in act-order, of which the library made checkpoints until 0.15.
func TestCompressedActOrder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		write(t, filepath.Join(dir, name), read(t, quantized+"ct_int4/"+name))
	}
	path := filepath.Join(dir, "model.safetensors")
	all := unpack(t, path)
	const module = "model.layers.0.mlp.up_proj"
	rnd := rand.New(rand.NewPCG(7, 8))
	m := newMatrix(rnd, 160, 64, 32, 4, true)
	g := &tensorData{DType: "I32", Shape: []int{64}}
	for _, k := range m.group {
		g.data = binary.LittleEndian.AppendUint32(g.data, uint32(k))
	}
	all[module+".weight_packed"].data = packWords(m.codes, 160, 64, 4, false, nil)
	all[module+".weight_zero_point"].data = packWords(m.zeros, 160, 2, 4, true, nil)
	all[module+".weight_scale"].data = halves(m.scales)
	all[module+".weight_g_idx"] = g
	pack(t, path, all)
	c := mustOpen(t, dir)
	if have := valuesOf(t, c, module+".weight"); !slices.Equal(have, m.values()) {
		t.Error("the values differ")
	}
	i := slices.IndexFunc(c.Tensors(), func(x model.Tensor) bool { return x.Name == module+".weight" })
	if ok, why := c.Ready(i, 4, 32); ok || !strings.Contains(why, "act-order") {
		t.Errorf("ready: %v, %q", ok, why)
	}
}

// Where blocks are taken over, they decode to the same values bit for bit; elsewhere the reason is said.
func TestReady(t *testing.T) {
	for _, c := range []struct {
		name        string
		bits, block int
		want        string // why not
	}{
		{"gptq", 4, 64, ""},
		{"gptq", 4, 32, ""},
		{"gptq", 8, 32, ""},
		{"gptq", 4, 128, "groups of 64 do not fill blocks of 128"},
		{"gptq", 2, 64, "codes 0 to 15 do not fit in 2 bits"},
		{"gptq_act", 4, 32, "act-order"},
		{"awq", 4, 64, ""},
		{"awq", 4, 32, ""},
		{"ct_int4", 4, 32, ""},
		{"ct_int4", 4, 64, "groups of 32 do not fill blocks of 64"},
		{"ct_int8", 8, 32, ""},
		{"ct_int8", 8, 256, ""},
		{"ct_int8", 4, 64, "codes -128 to 127 do not fit in 4 bits"},
		{"ct_mxfp4", 8, 32, ""},
		{"ct_mxfp4", 8, 64, "groups of 32 do not fill blocks of 64"},
		{"ct_mxfp4", 4, 32, "codes -12 to 12 do not fit in 4 bits"},
		{"ct_nvfp4", 8, 32, "groups of 16 do not fill blocks of 32"},
		{"bnb_nf4", 4, 64, "the values of nf4 are not evenly spaced"},
		{"gptq3", 4, 32, ""},
		{"ct_int3", 4, 32, ""},
		{"ct_whole", 4, 32, ""},
	} {
		t.Run(fmt.Sprintf("%s int%d/%d", c.name, c.bits, c.block), func(t *testing.T) {
			checkReady(t, mustOpen(t, quantized+c.name), c.bits, c.block, c.want)
		})
	}
}

func checkReady(t *testing.T, c *Checkpoint, bits, block int, want string) {
	t.Helper()
	matrices := 0
	for i, tensor := range c.Tensors() {
		ok, why := c.Ready(i, bits, block)
		if c.bound[i].parts[0].values == nil {
			if ok || why != "" {
				t.Errorf("%s: ready: %v, %q", tensor.Name, ok, why)
			}
			continue
		}
		matrices++
		if want != "" {
			if ok || !strings.Contains(why, want) {
				t.Errorf("%s: ready: %v, %q, want %q", tensor.Name, ok, why, want)
			}
			continue
		}
		if !ok {
			t.Errorf("%s: not ready: %s", tensor.Name, why)
			continue
		}
		checkBlocks(t, c, i, bits, block)
	}
	if matrices != 7 {
		t.Errorf("%d quantized matrices", matrices)
	}
}

// checkBlocks compares the values of blocks with those of the checkpoint.
func checkBlocks(t *testing.T, c *Checkpoint, i, bits, length int) {
	t.Helper()
	tensor, scheme := c.Tensors()[i], block.Scheme{Bits: bits, Block: length}
	rows, size := tensor.Rows(), scheme.RowBytes(tensor.Cols())
	blocks := make([]byte, rows*size)
	for r := 0; r < rows; r += 7 {
		n := min(7, rows-r)
		if err := c.Blocks(i, bits, length, r, n, blocks[r*size:(r+n)*size]); err != nil {
			t.Fatal(err)
		}
	}
	have, want := make([]float32, tensor.Cols()), valuesOf(t, c, tensor.Name)
	for r := range rows {
		if err := scheme.Check(blocks[r*size:(r+1)*size], tensor.Cols()); err != nil {
			t.Fatal(err)
		}
		scheme.DecodeRow(have, blocks[r*size:(r+1)*size])
		if !slices.Equal(have, want[r*len(have):(r+1)*len(have)]) {
			t.Fatalf("%s: row %d of the blocks is another", tensor.Name, r)
		}
	}
	if err := c.Blocks(i, bits, length, rows, 1, blocks[:size]); err == nil {
		t.Errorf("%s: a row after the last has blocks", tensor.Name)
	}
}

// hasName reports whether a tensor has a name.
func hasName(name string) func(model.Tensor) bool {
	return func(x model.Tensor) bool { return x.Name == name }
}

// Codes of 8 bits without a sign become signed ones; parts of a fused matrix have the blocks of their
// rows; scales that a block cannot have are refused.
func TestReadyOfGPTQ8(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	const stored, name = "model.layers.1.mlp.gate_up_proj", "model.layers.1.mlp.gate_up_proj.weight[48:96]"
	for _, scale := range []float32{.5, -1, 0x1p-15, 60000, float32(math.Inf(1)), float32(math.NaN())} {
		dir := copyOf(t, "phi3")
		path := filepath.Join(dir, "model.safetensors")
		all := unpack(t, path)
		delete(all, stored+".weight")
		m := newMatrix(rnd, 96, 32, 32, 8, false)
		m.scales[60] = scale
		m.gptq(all, stored, 1)
		pack(t, path, all)
		edit(t, configOf(dir), set("quantization_config", map[string]any{"quant_method": "gptq", "bits": 8, "group_size": 32}))
		c := mustOpen(t, dir)
		i := slices.IndexFunc(c.Tensors(), func(x model.Tensor) bool { return x.Name == name })
		ok, why := c.Ready(i, 8, 64)
		if scale != .5 {
			if ok || !strings.Contains(why, "none that a block may have") {
				t.Errorf("scale %v: ready: %v, %q", scale, ok, why)
			}
			continue
		}
		if !ok {
			t.Fatal(why)
		}
		scheme := block.Scheme{Bits: 8, Block: 64}
		blocks := make([]byte, 48*scheme.RowBytes(32))
		if err := c.Blocks(i, 8, 64, 0, 48, blocks); err != nil {
			t.Fatal(err)
		}
		have := make([]float32, 32)
		for r := range 48 {
			scheme.DecodeRow(have, blocks[r*scheme.RowBytes(32):][:scheme.RowBytes(32)])
			if !slices.Equal(have, m.values()[(48+r)*32:(49+r)*32]) {
				t.Fatalf("row %d of the blocks is another", r)
			}
		}
	}
}

// The note of what is left out, and the files that were read.
func TestQuantizedNotes(t *testing.T) {
	for name, want := range map[string][]string{
		"gptq": {
			"quantized in the checkpoint: 7 tensors as gptq int4 with groups of 64",
			"left out: biases of zeros that quantization added (7)",
		},
		"fp8_tensor": {
			"quantized in the checkpoint: 7 tensors as F8_E5M2 with one scale",
			"left out: scales of activations, which are not quantized here (7)",
		},
	} {
		c := mustOpen(t, quantized+name)
		if !slices.Equal(c.Notes(), want) {
			t.Errorf("%s: notes %q, want %q", name, c.Notes(), want)
		}
		read := slices.ContainsFunc(c.Files(), func(f File) bool { return filepath.Base(f.Path) == "quantize_config.json" })
		if read != (name == "gptq") {
			t.Errorf("%s: files %v", name, c.Files())
		}
	}
}
