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

	"github.com/google/go-cmp/cmp"
	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/format/gguf/gguftest"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

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
