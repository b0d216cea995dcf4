package hf

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/format/gguf/gguftest"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// TestNoGGUF are files that are called .gguf and are something else.
func TestNoGGUF(t *testing.T) {
	for content, want := range map[string]string{
		"":     "is cut off: it has 0 bytes; fetch it again",
		"GGUF": "is cut off: it has 4 bytes; fetch it again",
		"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12\n": pointerAdvice,
		"<!doctype html><html>":                "is a page of a website",
		"a text that is neither this nor that": "not a GGUF file: it begins with",
	} {
		path := filepath.Join(t.TempDir(), "model.gguf")
		write(t, path, []byte(content))
		if _, err := Open(path); err == nil || !strings.HasPrefix(err.Error(), path+": "+want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

// convertedGGUF is what llama.cpp's converter made of a fixture: testdata/gguf.json.
type convertedGGUF struct {
	Metadata map[string][2]any `json:"metadata"` // type and value
	Tensors  map[string][]any  `json:"tensors"`  // type, shape, the beginning of the SHA-256; values, of factors of RoPE
}

func readConverted(t testing.TB) map[string]convertedGGUF {
	t.Helper()
	text, err := os.ReadFile("../../testdata/gguf.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]convertedGGUF
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// ggufUnsaid are what a fixture has and a GGUF file cannot say, so that it is read as llama.cpp computes it.
var ggufUnsaid = map[string]string{
	"gemma2":                 `{"query_pre_attn_scalar": 12}`,
	"gemma3":                 `{"query_pre_attn_scalar": 12, "layer_types": null}`,
	"gpt2":                   `{"scale_attn_by_inverse_layer_idx": false}`,
	"lfm2_moe":               `{"routed_scaling_factor": 1.0}`,
	"granitemoehybrid_mamba": `{"time_step_limit": null, "max_position_embeddings": 1048576}`,
	"afmoe":                  `{"layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]}`,
	"qwen2_5_vl":             `{"text_config": {"use_sliding_window": false, "layer_types": null}}`,
	"nemotron":               `{"rope_parameters": {"partial_rotary_factor": 0.25}}`,
	"deepseek_v2":            `{"topk_method": "greedy", "rope_parameters": {"mscale": 0.9}}`,
	"llama_bias":             `{"hidden_act": "silu"}`,
	"mistral":                `{"model_type": "llama", "sliding_window": null}`,
	"mixtral":                `{"sliding_window": null}`,
	"qwen2":                  `{"use_sliding_window": false, "layer_types": null}`,
	"qwen3":                  `{"use_sliding_window": false, "layer_types": null}`,
	"smollm3":                `{"use_sliding_window": false, "layer_types": null, "no_rope_layers": null, "no_rope_layer_interval": 4}`,
	"starcoder2":             `{"sliding_window": null}`,
	"dots1":                  `{"sliding_window": null, "layer_types": null}`,
	"gpt_oss":                `{"swiglu_limit": 7.0}`,
	"olmoe":                  `{"clip_qkv": null}`,
	"llama4": `{"attention_chunk_size": 8192, "no_rope_layers": [1, 1, 1, 0], "layer_types": null,
		"attn_scale": 0.1, "floor_scale": 8192}`,
}

// edited merges members into a configuration, also into those of its objects.
func edited(more string) Edit {
	return func(config []byte) ([]byte, error) {
		if more == "" {
			return config, nil
		}
		var c, m map[string]json.RawMessage
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(more), &m); err != nil {
			return nil, err
		}
		for key, v := range m {
			if nested, ok := c[key]; ok && v[0] == '{' && nested[0] == '{' {
				inner, err := edited(string(v))(nested)
				if err != nil {
					return nil, err
				}
				v = inner
			}
			c[key] = v
		}
		return json.Marshal(c)
	}
}

// TestGGUF makes GGUF files of the fixtures, tensor by tensor those of llama.cpp's converter, and
// reads the fixtures out of them again.
func TestGGUF(t *testing.T) {
	for name, want := range readConverted(t) {
		t.Run(name, func(t *testing.T) {
			of, err := Open(fixtureOf(t, name), edited(ggufUnsaid[name]))
			if err != nil {
				t.Fatal(err)
			}
			defer of.Close()
			path := filepath.Join(t.TempDir(), "model.gguf")
			writeFile(t, path, converted(t, of, want).Bytes())
			c, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			spec := *of.Spec()
			if spec.Family+"_text" == c.Spec().Family { // the language model of a multimodal one
				spec.Family = c.Spec().Family
			}
			if d := cmp.Diff(&spec, c.Spec()); d != "" {
				t.Error(d)
			}
			sameTensors(t, of, c)
		})
	}
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sameTensors compares all values.
func sameTensors(t *testing.T, of, c *Checkpoint) {
	arch := ggufArchs[c.gguf.arch]
	for i, x := range of.Tensors() {
		y := c.Tensors()[i]
		name := strings.Replace(x.Name, "language_model.", "", 1)
		if arch.sources == nil && arch.experts == nil && arch.memories == nil && name != y.Name {
			t.Errorf("tensor %q is called %q", x.Name, y.Name)
		}
		want, have := allRows(t, of, i), inPieces(t, c, i, 7)
		for j, v := range want {
			if arch.plusOne && strings.HasSuffix(string(x.Role), "norm") && x.Role != model.RoleHeadsNorm {
				v = float16.Fromfloat32(v+1).Float32() - 1 // the converter adds in float16
			}
			if x.Role == model.RoleDecayLog && math.Abs(float64(have[j]-v)) < 0x1p-11 { // the converter rounds the exponential to float16
				continue
			}
			if have[j] != v {
				t.Errorf("tensor %q: element %d is %g, want %g", x.Name, j, have[j], v)
				break
			}
		}
	}
}

// inPieces reads all rows, a few at a time.
func inPieces(t testing.TB, c *Checkpoint, i, few int) []float32 {
	t.Helper()
	x := c.Tensors()[i]
	var all []float32
	for row := 0; row < x.Rows(); row += few {
		n := min(few, x.Rows()-row)
		piece := make([]float32, n*x.Cols())
		if err := c.Rows(i, row, n, piece); err != nil {
			t.Fatal(err)
		}
		all = append(all, piece...)
	}
	return all
}

func allRows(t testing.TB, c *Checkpoint, i int) []float32 {
	t.Helper()
	x := c.Tensors()[i]
	dst := make([]float32, x.Rows()*x.Cols())
	if err := c.Rows(i, 0, x.Rows(), dst); err != nil {
		t.Fatal(err)
	}
	return dst
}

// converted returns what the converter makes of a fixture. Each tensor is compared with the converter's.
func converted(t *testing.T, of *Checkpoint, want convertedGGUF) *gguftest.File {
	f := &gguftest.File{}
	for _, key := range slices.Sorted(maps.Keys(want.Metadata)) {
		f.Values = append(f.Values, gguftest.Value{Key: key, Value: typedValue(t, want.Metadata[key])})
	}
	arch := want.Metadata["general.architecture"][1].(string)
	for _, name := range slices.Sorted(maps.Keys(want.Tensors)) {
		entry := want.Tensors[name]
		x := gguftest.Tensor{Name: name}
		for _, d := range entry[1].([]any) {
			x.Shape = append(x.Shape, int(d.(float64)))
		}
		values := forward(t, of, arch, name)
		if len(entry) > 3 {
			for _, v := range entry[3].([]any) {
				values = append(values, float32(v.(float64)))
			}
		}
		if entry[0] == "F16" {
			x.Type = 1
			for _, v := range values {
				x.Data = binary.LittleEndian.AppendUint16(x.Data, float16.Fromfloat32(v).Bits())
			}
		} else {
			for _, v := range values {
				x.Data = binary.LittleEndian.AppendUint32(x.Data, math.Float32bits(v))
			}
		}
		if sum := sha256.Sum256(x.Data); hex.EncodeToString(sum[:8]) != entry[2] {
			t.Errorf("tensor %q is not what the converter makes", name)
		}
		f.Tensors = append(f.Tensors, x)
	}
	return f
}

func typedValue(t testing.TB, v [2]any) any {
	t.Helper()
	switch v[0] {
	case "UINT32":
		return uint32(v[1].(float64))
	case "INT32":
		return int32(v[1].(float64))
	case "FLOAT32":
		return float32(v[1].(float64))
	}
	list, _ := v[1].([]any)
	switch v[0] {
	case "ARRAY:BOOL":
		return listOf(list, func(x any) bool { return x.(bool) })
	case "ARRAY:UINT32", "ARRAY:INT32":
		return listOf(list, func(x any) int32 { return int32(x.(float64)) })
	case "ARRAY:FLOAT32":
		return listOf(list, func(x any) float32 { return float32(x.(float64)) })
	}
	return v[1] // strings, bools
}

func listOf[T any](list []any, as func(any) T) []T {
	out := make([]T, len(list))
	for i, x := range list {
		out[i] = as(x)
	}
	return out
}

// forward computes the values of a tensor as the converter does.
func forward(t *testing.T, of *Checkpoint, arch, name string) []float32 {
	layer := model.NoLayer
	generic := name
	if p := strings.Split(name, "."); p[0] == "blk" {
		layer, _ = strconv.Atoi(p[1])
		generic = "blk.{l}." + strings.Join(p[2:], ".")
	}
	var parts [][]float32
	for _, role := range rolesOf(arch, generic) {
		for i, x := range of.Tensors() {
			if x.Layer == layer && x.Role == role {
				parts = append(parts, permuted(of, arch, x, allRows(t, of, i)))
			}
		}
	}
	turns := 1
	switch generic {
	case "blk.{l}.attn_q.weight":
		turns = of.Spec().Layer(layer).Attention.Heads // whose gates lie behind them, if there are any
	case "blk.{l}.ssm_ba.weight":
		turns = of.Spec().Layer(layer).Recurrence.KeyHeads
	}
	var values []float32
	for turn := range turns {
		for _, p := range parts {
			n := len(p) / turns
			values = append(values, p[turn*n:(turn+1)*n]...)
		}
	}
	return values
}

// recurrentRoles are the roles whose rows lie in tensors of layers with a recurrence. Decays are stored as values.
var recurrentRoles = map[string][]model.Role{
	"ssm_in.weight":             {model.RoleOutGate, model.RoleV, model.RoleK, model.RoleQ, model.RoleDecay},
	"ssm_conv1d.weight":         {model.RoleConvV, model.RoleConvK, model.RoleConvQ},
	"ssm_conv1d.bias":           {model.RoleConvVBias, model.RoleConvKBias, model.RoleConvQBias},
	"ssm_dt.bias":               {model.RoleDecayBias},
	"ssm_a":                     {},
	"ssm_ba.weight":             {model.RoleWrite, model.RoleDecay},
	"ssm_alpha.weight":          {model.RoleDecay},
	"ssm_beta.weight":           {model.RoleWrite},
	"attn_gate.weight":          {model.RoleOutGate},
	"ssm_d":                     {model.RoleSkip},
	"ssm_norm.weight":           {model.RoleHeadsNorm},
	"ssm_out.weight":            {model.RoleO},
	"shortconv.in_proj.weight":  {model.RoleInGate, model.RoleOutGate, model.RoleV},
	"shortconv.conv.weight":     {model.RoleConvV},
	"shortconv.out_proj.weight": {model.RoleO},
}

// rolesOf lists the roles whose rows lie in a tensor, in the order in which they do.
func rolesOf(arch, name string) (roles []model.Role) {
	switch {
	case strings.HasPrefix(arch, "qwen") && strings.HasSuffix(name, "ssm_conv1d.weight"):
		return []model.Role{model.RoleConvQ, model.RoleConvK, model.RoleConvV}
	case strings.HasSuffix(name, "attn_q.weight") && ggufArchs[arch].names[model.RoleOutGate] == name:
		return []model.Role{model.RoleQ, model.RoleOutGate}
	case strings.HasSuffix(name, "attn_qkv.weight"):
		return []model.Role{model.RoleQ, model.RoleK, model.RoleV}
	case strings.HasSuffix(name, "attn_qkv.bias"):
		return []model.Role{model.RoleQBias, model.RoleKBias, model.RoleVBias}
	case (arch == "phi3" || arch == "glm4") && strings.HasSuffix(name, "ffn_up.weight"):
		return []model.Role{model.RoleGate, model.RoleUp}
	}
	if roles, ok := recurrentRoles[strings.TrimPrefix(name, "blk.{l}.")]; ok {
		return roles
	}
	for role, n := range ggufArchs[arch].names {
		if n == name {
			return []model.Role{role}
		}
	}
	for _, names := range []map[model.Role]string{ggufNames, ggufExperts} {
		for role, n := range names {
			if n == name {
				roles = append(roles, role)
			}
		}
	}
	return roles
}

// byColumns lists the columns of matrices that lie one below the other.
func byColumns(values []float32, rows, cols int) []float32 {
	var out []float32
	for m := range slices.Chunk(values, rows*cols) {
		for c := range cols {
			for r := range rows {
				out = append(out, m[r*cols+c])
			}
		}
	}
	return out
}

// byTurns lets the value heads of memories take turns by their key heads.
func byTurns(r model.Recurrence, x model.Tensor, values []float32) []float32 {
	if r.KeyHeads == 0 {
		return values
	}
	per := r.Heads / r.KeyHeads
	turn := func(list []float32) []float32 {
		var out []float32
		size := len(list) / r.Heads
		for j := range per {
			for key := range r.KeyHeads {
				head := key*per + j
				out = append(out, list[head*size:(head+1)*size]...)
			}
		}
		return out
	}
	switch x.Role {
	case model.RoleV, model.RoleConvV, model.RoleOutGate, model.RoleWrite, model.RoleDecay, model.RoleDecayBias:
		return turn(values)
	case model.RoleO:
		var out []float32
		for row := range slices.Chunk(values, x.Cols()) {
			out = append(out, turn(row)...)
		}
		return out
	}
	return values
}

// permuted puts the rows of queries and keys into pairs, and adds 1 to norms.
func permuted(of *Checkpoint, arch string, x model.Tensor, values []float32) []float32 {
	if x.Role == model.RoleKUp {
		a := of.Spec().Layer(x.Layer).Attention
		return byColumns(values, a.HeadDim-a.SharedDim, a.KVRank)
	}
	if strings.HasPrefix(arch, "qwen35") && x.Layer != model.NoLayer {
		values = byTurns(of.Spec().Layer(x.Layer).Recurrence, x, values)
	}
	if ggufArchs[arch].plusOne && strings.HasSuffix(string(x.Role), "norm") && x.Role != model.RoleHeadsNorm {
		for i, v := range values {
			values[i] = float16.Fromfloat32(v + 1).Float32()
		}
	}
	if !slices.Contains([]string{"llama", "granite", "granitemoe", "granitehybrid", "smollm3", "arcee"}, arch) || !slices.Contains([]model.Role{model.RoleQ, model.RoleK, model.RoleQBias, model.RoleKBias}, x.Role) {
		return values
	}
	dim := of.Spec().Layer(x.Layer).Attention.HeadDim
	if dim == 0 { // a recurrence
		return values
	}
	cols := 1
	if len(x.Shape) > 1 {
		cols = x.Cols()
	}
	out := make([]float32, 0, len(values))
	for head := 0; head < len(values)/cols; head += dim {
		for j := range dim / 2 {
			for _, row := range []int{head + j, head + j + dim/2} {
				out = append(out, values[row*cols:(row+1)*cols]...)
			}
		}
	}
	return out
}

// quantizedGGUF makes a file of the fixture "qwen2" or "llama" whose matrices of 32 columns are random blocks of
// a type.
func quantizedGGUF(t testing.TB, id uint32, size, scale int, fixture string) []byte {
	t.Helper()
	of, err := Open(fixtureOf(t, fixture))
	if err != nil {
		t.Fatal(err)
	}
	defer of.Close()
	want := readConverted(t)[fixture]
	f := &gguftest.File{}
	for _, key := range slices.Sorted(maps.Keys(want.Metadata)) {
		f.Values = append(f.Values, gguftest.Value{Key: key, Value: typedValue(t, want.Metadata[key])})
	}
	r := rand.New(rand.NewPCG(1, uint64(id)))
	for _, name := range slices.Sorted(maps.Keys(want.Tensors)) {
		x := gguftest.Tensor{Name: name}
		elements := 1
		for _, d := range want.Tensors[name][1].([]any) {
			x.Shape = append(x.Shape, int(d.(float64)))
			elements *= int(d.(float64))
		}
		if len(x.Shape) == 2 && x.Shape[1] == 32 {
			x.Type, x.Data = id, randomBlocks(r, elements/32, size, scale)
		} else {
			x.Data = make([]byte, 4*elements)
			for i := range elements {
				binary.LittleEndian.PutUint32(x.Data[4*i:], math.Float32bits(r.Float32()))
			}
		}
		f.Tensors = append(f.Tensors, x)
	}
	return f.Bytes()
}

// randomBlocks are blocks with a float16 at scale that is not too small, of either sign; −1: with an exponent at 0.
func randomBlocks(r *rand.Rand, n, size, scale int) []byte {
	data := make([]byte, n*size)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for at := 0; at < len(data); at += size {
		if scale < 0 {
			data[at] = byte(116 + r.IntN(10))
			continue
		}
		binary.LittleEndian.PutUint16(data[at+scale:], float16.Fromfloat32(float32(r.NormFloat64()/50)+0.001).Bits()|0x1000)
	}
	return data
}

// TestGGUFReady: blocks of whole numbers are handed out as blocks of ours with the same values.
func TestGGUFReady(t *testing.T) {
	for _, test := range []struct {
		name        string
		id          uint32
		size, scale int
		bits        []int
	}{
		{"Q8_0", 8, 34, 0, []int{8}},
		{"Q4_0", 2, 18, 0, []int{8, 4}},
		{"Q5_0", 6, 22, 0, []int{8}},
		{"IQ4_NL", 20, 18, 0, []int{8}},
		{"MXFP4", 39, 17, -1, []int{8}},
	} {
		for _, fixture := range []string{"llama_bias", "qwen2"} { // with rows in pairs, and without
			t.Run(test.name+"/"+fixture, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "model.gguf")
				writeFile(t, path, quantizedGGUF(t, test.id, test.size, test.scale, fixture))
				c, err := Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				checkGGUFReady(t, c, test.name, test.bits)
			})
		}
	}
}

func checkGGUFReady(t *testing.T, c *Checkpoint, kind string, widths []int) {
	found := false
	for i, x := range c.Tensors() {
		if c.SourceType(i) != kind {
			continue
		}
		found = true
		want := allRows(t, c, i)
		for _, bits := range []int{2, 4, 8} {
			ok, why := c.Ready(i, bits, 32)
			if ok != slices.Contains(widths, bits) || !ok && why == "" {
				t.Errorf("tensor %q: ready for %d bits: %t %s", x.Name, bits, ok, why)
			}
			if !ok {
				continue
			}
			size := 3 + 32*bits/8
			blocks := make([]byte, x.Rows()*size)
			if err := c.Blocks(i, bits, 32, 0, x.Rows(), blocks); err != nil {
				t.Fatal(err)
			}
			for j, v := range want {
				if have := weightOf(blocks[j/32*size:][:size], bits, j%32); have != v {
					t.Fatalf("tensor %q in %d bits: element %d is %g, want %g", x.Name, bits, j, have, v)
				}
			}
		}
	}
	if !found {
		t.Errorf("no tensor is %s", kind)
	}
}

// TestGGUFSmallScales: blocks whose scales are subnormal are rounded for the smallest scale, the others stay.
func TestGGUFSmallScales(t *testing.T) {
	data := quantizedGGUF(t, 8, 34, 0, "llama_bias")
	path := filepath.Join(t.TempDir(), "model.gguf")
	writeFile(t, path, data)
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	embed := c.bound[0].parts[0].data
	at := bytes.Index(data, embed)
	binary.LittleEndian.PutUint16(data[at+34:], 0x0123)
	binary.LittleEndian.PutUint16(data[at+68:], 0x8123)
	c.Close()
	writeFile(t, path, data)
	if c, err = Open(path); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ok, why := c.Ready(0, 8, 32); !ok || why != Least {
		t.Fatal(ok, why)
	}
	want, blocks := allRows(t, c, 0), make([]byte, 96*35)
	if err := c.Blocks(0, 8, 32, 0, 96, blocks); err != nil {
		t.Fatal(err)
	}
	for i, v := range want {
		have := weightOf(blocks[i/32*35:][:35], 8, i%32)
		if row := i / 32; math.Abs(float64(have-v)) > 0x1p-15 || row != 1 && row != 2 && have != v {
			t.Fatalf("row %d: %g, want %g", row, have, v)
		}
	}
}

// weightOf returns a weight of a block as docs/format.md describes it.
func weightOf(block []byte, bits, i int) float32 {
	s := float16.Frombits(binary.LittleEndian.Uint16(block)).Float32()
	q := int(block[3+i*bits/8]) >> (i * bits % 8) & (1<<bits - 1)
	if bits == 8 {
		q = int(int8(q))
	}
	return float32(q-int(int8(block[2]))) * s
}

// TestGGUFUnlike: other blocks are refused with a reason.
func TestGGUFUnlike(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.gguf")
	writeFile(t, path, quantizedGGUF(t, 3, 20, 0, "qwen2"))
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ok, why := c.Ready(0, 4, 32); ok || !strings.Contains(why, "Q4_1") {
		t.Error(ok, why)
	}
	if notes := strings.Join(c.Notes(), "\n"); !strings.Contains(notes, "as Q4_1") {
		t.Error(notes)
	}
}

// TestGGUFGuesses: layers that guess at further tokens are left out.
func TestGGUFGuesses(t *testing.T) {
	of, err := Open(fixtureOf(t, "glm4_moe"))
	if err != nil {
		t.Fatal(err)
	}
	defer of.Close()
	f := converted(t, of, readConverted(t)["glm4_moe"])
	for i, v := range f.Values {
		switch v.Key {
		case "glm4moe.block_count":
			f.Values[i].Value = uint32(len(of.Spec().Layers) + 1)
		case "glm4moe.nextn_predict_layers":
			f.Values[i].Value = uint32(1)
		}
	}
	for _, name := range []string{"attn_norm.weight", "nextn.eh_proj.weight"} {
		f.Tensors = append(f.Tensors, gguftest.Tensor{Name: fmt.Sprintf("blk.%d.%s", len(of.Spec().Layers), name), Shape: []int{1}, Data: make([]byte, 4)})
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	writeFile(t, path, f.Bytes())
	if d := cmp.Diff(of.Spec(), mustOpen(t, path).Spec()); d != "" {
		t.Error(d)
	}
}

// TestGGUFElsewhere: what is said to be read from other files is not read here, and its families exist.
func TestGGUFElsewhere(t *testing.T) {
	for arch, names := range ggufElsewhere {
		if ggufArchs[arch] != nil {
			t.Errorf("%s is read", arch)
		}
		for name := range strings.FieldsFuncSeq(strings.Split(names, " and others")[0], func(r rune) bool { return r == ' ' || r == ',' }) {
			if name != "or" && families[name] == nil {
				t.Errorf("%s: no family %s", arch, name)
			}
		}
	}
}

// TestGGUFRefused: what cannot be read is named.
func TestGGUFRefused(t *testing.T) {
	type change func(f *gguftest.File)
	set := func(key string, v any) change {
		return func(f *gguftest.File) {
			for i := range f.Values {
				if f.Values[i].Key == key {
					f.Values[i].Value = v
					return
				}
			}
			f.Values = append(f.Values, gguftest.Value{Key: key, Value: v})
		}
	}
	drop := func(name string) change {
		return func(f *gguftest.File) {
			f.Tensors = slices.DeleteFunc(f.Tensors, func(x gguftest.Tensor) bool { return x.Name == name })
		}
	}
	of, err := Open(fixtureOf(t, "qwen2"), edited(ggufUnsaid["qwen2"]))
	if err != nil {
		t.Fatal(err)
	}
	defer of.Close()
	want := readConverted(t)["qwen2"]
	for text, edit := range map[string]change{
		`architecture "mamba" is not supported; supported: afmoe`:                                              set("general.architecture", "mamba"),
		`"deepseek32" is not read from GGUF files, but from the model's safetensors (model_type deepseek_v32)`: set("general.architecture", "deepseek32"),
		`metadata "qwen2.expert_gating_func": 2 is not supported; the experts of qwen2 are chosen by 1`:        set("qwen2.expert_gating_func", uint32(2)),
		`metadata "qwen2.expert_group_count": 2: groups of experts are not supported`:                          set("qwen2.expert_group_count", uint32(2)),
		`metadata "qwen2.expert_weights_scale": 2.5 is not supported for qwen2`:                                set("qwen2.expert_weights_scale", float32(2.5)),
		`metadata "qwen2.nextn_predict_layers": 3 of 3 layers`:                                                 set("qwen2.nextn_predict_layers", uint32(3)),
		`the part of a model that sees or hears`:                                                               set("general.architecture", "clip"),
		`it holds no model but an adapter`:                                                                     set("general.type", "adapter"),
		`metadata "qwen2.block_count": want a whole number, have "two"`:                                        set("qwen2.block_count", "two"),
		`layers that differ, here [48 48 50], are not supported`:                                               set("qwen2.feed_forward_length", []int32{48, 48, 50}),
		`metadata "qwen2.attention.causal"`:                                                                    set("qwen2.attention.causal", false),
		`metadata "qwen2.rope.scaling.type": "su" is not supported`:                                            set("qwen2.rope.scaling.type", "su"),
		`this architecture rotates whole heads`:                                                                set("qwen2.rope.dimension_count", uint32(4)),
		`it is part 2 of 3 of a model`:                                                                         func(f *gguftest.File) { set("split.count", uint32(3))(f); set("split.no", uint32(1))(f) },
		`tensor "blk.1.ffn_up.weight" is missing`:                                                              drop("blk.1.ffn_up.weight"),
		`tensor "token_embd.weight" is missing`:                                                                drop("token_embd.weight"),
		`tensor "blk.0.attn_sinks.weight": unexpected`: func(f *gguftest.File) {
			f.Tensors = append(f.Tensors, gguftest.Tensor{Name: "blk.0.attn_sinks.weight", Shape: []int{1}, Data: make([]byte, 4)})
		},
		`tensor "output.weight": type IQ2_XXS is not supported; supported: F32`: func(f *gguftest.File) {
			f.Tensors = append(f.Tensors, gguftest.Tensor{Name: "output.weight", Shape: []int{1, 256}, Type: 16, Data: make([]byte, 66)})
		},
	} {
		f := converted(t, of, want)
		edit(f)
		path := filepath.Join(t.TempDir(), "model.gguf")
		writeFile(t, path, f.Bytes())
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), text) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%v, want %q", err, text)
		}
	}
}

// TestGGUFFiles: a file, a directory with one, a model in parts; what is none.
func TestGGUFFiles(t *testing.T) {
	of, err := Open(fixtureOf(t, "qwen2"), edited(ggufUnsaid["qwen2"]))
	if err != nil {
		t.Fatal(err)
	}
	defer of.Close()
	whole := converted(t, of, readConverted(t)["qwen2"])
	dir := t.TempDir()
	half := len(whole.Tensors) / 2
	part := func(no int, values []gguftest.Value, tensors []gguftest.Tensor) {
		f := gguftest.File{Values: append(slices.Clone(values), gguftest.Value{Key: "split.no", Value: uint32(no)}, gguftest.Value{Key: "split.count", Value: uint32(2)}), Tensors: tensors}
		writeFile(t, filepath.Join(dir, fmt.Sprintf("m-%05d-of-00002.gguf", no+1)), f.Bytes())
	}
	part(0, whole.Values, whole.Tensors[:half])
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "m-00002-of-00002.gguf: missing: the model is in 2 files") {
		t.Error(err)
	}
	part(1, nil, whole.Tensors[half:])
	writeFile(t, filepath.Join(dir, "mmproj-m.gguf"), nil)
	for _, path := range []string{dir, filepath.Join(dir, "m-00001-of-00002.gguf"), filepath.Join(dir, "m-00002-of-00002.gguf")} {
		c, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		sameTensors(t, of, c)
		if n := len(c.Files()); n != 2 {
			t.Errorf("%s: %d files", path, n)
		}
		c.Close()
	}
	bare := filepath.Join(t.TempDir(), "sha256-0123")
	writeFile(t, bare, whole.Bytes())
	c, err := Open(bare)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	writeFile(t, filepath.Join(dir, "other.gguf"), whole.Bytes())
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "there are several GGUF models: name one of the files m-00001-of-00002.gguf, other.gguf") {
		t.Error(err)
	}
}

// FuzzGGUF: nothing panics, and what opens can be read.
func FuzzGGUF(f *testing.F) {
	f.Add(quantizedGGUF(f, 2, 18, 0, "llama_bias"))
	f.Add(quantizedGGUF(f, 12, 144, 0, "qwen2"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "model.gguf")
		writeFile(t, path, data)
		c, err := Open(path)
		if err != nil {
			return
		}
		defer c.Close()
		for i := range c.Tensors() {
			allRows(t, c, i)
			c.Ready(i, 4, 32)
		}
		_, _, _ = c.Tokenizer()
	})
}
