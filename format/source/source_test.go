package source

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

const tiny = "../../testdata/tiny"

func open(t *testing.T, path string) *Model {
	t.Helper()
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// Paths where no model is say what is there instead.
func TestOpenMistakes(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "nowhere"): "nowhere: ",
		dir:                           dir + ": ",
	} {
		if m, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", path, m, err)
		}
	}
	if _, err := OpenBundle(tiny); err == nil || !strings.Contains(err.Error(), "is a checkpoint") {
		t.Errorf("a checkpoint as a bundle: %v", err)
	}
}

// doubled is a model with all weights twice as large.
type doubled struct{ model.Weights }

func (d doubled) Rows(i, row0, n int, dst []float32) error {
	err := d.Weights.Rows(i, row0, n, dst)
	for k := range dst {
		dst[k] *= 2
	}
	return err
}

// TestFloats reads rows as the GPU does: matrices as the float16 that the checkpoint has, the rest as float32.
func TestFloats(t *testing.T) {
	m := open(t, tiny)
	f := m.Floats()
	for i, tensor := range m.Weights.Tensors() {
		bits, size := f.Packing(i)
		if want := map[bool]int{true: 16, false: 32}[tensor.Quantizable()]; bits != want || size != 0 {
			t.Fatalf("%s: %d bits in blocks of %d, want %d bits", tensor.Name, bits, size, want)
		}
	}
	for _, i := range []int{0, 1} { // embedding, norm
		bits, _ := f.Packing(i)
		cols := m.Weights.Tensors()[i].Cols()
		row := min(3, m.Weights.Tensors()[i].Rows()-1)
		want, p := make([]float32, cols), make([]byte, cols*bits/8)
		if err := m.Weights.Rows(i, row, 1, want); err != nil {
			t.Fatal(err)
		}
		for name, by := range map[string]struct {
			f      Floats
			factor float32
		}{"itself": {f, 1}, "doubled": {f.With(doubled{m.Weights}), 2}} {
			if err := by.f.ReadAt(i, p, int64(row*len(p))); err != nil {
				t.Fatal(err)
			}
			if got := values(p, bits); !slices.EqualFunc(got, want, func(a, b float32) bool { return a == b*by.factor }) {
				t.Errorf("tensor %d, %s: other values", i, name)
			}
		}
		if err := f.ReadAt(i, p[:2], 2); err == nil {
			t.Errorf("tensor %d: a part of a row is no error", i)
		}
	}
}

func values(p []byte, bits int) []float32 {
	v := make([]float32, len(p)*8/bits)
	for i := range v {
		if bits == 16 {
			v[i] = block.FromFloat16(binary.LittleEndian.Uint16(p[2*i:]))
		} else {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(p[4*i:]))
		}
	}
	return v
}

// TestHash changes what a checkpoint's weights follow from.
func TestHash(t *testing.T) {
	hash := func(dir string) string {
		m := open(t, dir)
		sum, err := m.Hash(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(fixture.Family(t, "llama"))); err != nil {
		t.Fatal(err)
	}
	before := hash(dir)
	if before != hash(fixture.Family(t, "llama")) {
		t.Error("a copy has another hash")
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	name := names[slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, "model-") })]
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-2] ^= 1
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if hash(dir) == before {
		t.Error("a changed weight leaves the hash as it was")
	}
}

// TestStored adds up tensors in two ways.
func TestStored(t *testing.T) {
	tensors := open(t, tiny).Stored()
	var all Sum
	for _, s := range ByRole(tensors) {
		all.Tensors += s.Tensors
		all.Weights += s.Weights
		all.Bytes += s.Bytes
		if s.Bits() != 16 {
			t.Errorf("%s: %g bits", s.Role, s.Bits())
		}
	}
	if total := Total(tensors); total != all || total.Tensors != len(tensors) {
		t.Errorf("in all %+v, by role %+v, of %d tensors", total, all, len(tensors))
	}
}

// A checkpoint that lacks a file of weights is known by its configuration, a whole one is none of these.
func TestPartial(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	if p, err := OpenPartial(dir); p != nil || err != nil {
		t.Errorf("a whole checkpoint: %+v, %v", p, err)
	}
	const file = "model-00002-of-00002.safetensors"
	if err := os.Remove(filepath.Join(dir, file)); err != nil {
		t.Fatal(err)
	}
	p, err := OpenPartial(dir)
	if err != nil || p == nil || !slices.Equal(p.Missing, []string{file}) || p.Config.Spec.Vocab == 0 {
		t.Errorf("without %s: %+v, %v", file, p, err)
	}
	if p, err := OpenPartial(filepath.Join(dir, TokenizerName)); p != nil || err != nil {
		t.Errorf("a tokenizer: %+v, %v", p, err)
	}
}
