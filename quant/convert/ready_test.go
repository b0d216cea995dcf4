package convert

import (
	"context"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
)

// quantized is the folder of checkpoints that were quantized before.
const quantized = "../../testdata/quantized/"

func checkpoint(t *testing.T, dir string) (*hf.Checkpoint, Source) {
	t.Helper()
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, sourceOf(c)
}

func sourceOf(c *hf.Checkpoint) Source {
	src := Source{Weights: c, BOS: -1, Notes: c.Notes()}
	for i := range c.Tensors() {
		src.Bytes = append(src.Bytes, c.Bytes(i))
	}
	for _, f := range c.Files() {
		src.Files = append(src.Files, f.Path)
	}
	return src
}

// differences converts a checkpoint and returns, for matrices that were quantized before, whether the
// bundle has their values, bit for bit.
func differences(t *testing.T, c *hf.Checkpoint, src Source, o Options) (same, other int, m *bundle.Manifest) {
	t.Helper()
	out, _, err := run(t, src, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Check(context.Background(), nil); err != nil {
		t.Error(err)
	}
	for i, x := range c.Tensors() {
		if !x.Quantizable() || x.Role == model.RoleEmbed {
			continue
		}
		have, want := make([]float32, x.Rows()*x.Cols()), make([]float32, x.Rows()*x.Cols())
		if err := b.Rows(i, 0, x.Rows(), have); err != nil {
			t.Fatal(err)
		}
		if err := c.Rows(i, 0, x.Rows(), want); err != nil {
			t.Fatal(err)
		}
		e := &b.Manifest.Tensors[i]
		if slices.Equal(have, want) {
			same++
			if e.Error != 0 || e.Method != Repacked {
				t.Errorf("%s: method %s, error %g", e.Name, e.Method, e.Error)
			}
			continue
		}
		other++
		if rounded := e.Method == Repacked && e.Error < 0.004; e.Error == 0 || e.Method == Repacked && !rounded {
			t.Errorf("%s: method %s, error %g, but the values differ", e.Name, e.Method, e.Error)
		}
	}
	return same, other, b.Manifest
}

// Where the grid of a checkpoint is one of blocks, its values are those of the bundle; elsewhere the notes
// say why they are quantized a second time.
func TestRepack(t *testing.T) {
	for _, c := range []struct {
		name   string
		o      Options
		block  int
		repack bool
		note   string
	}{
		{"gptq", Options{Format: "int4"}, 64, true, "taken over as they are in the checkpoint, without a second loss: 7 matrices"},
		{"gptq", Options{Format: "int4", Fit: true}, 64, true, "taken over as they are in the checkpoint, without a second loss: 7 matrices"},
		{"ct_int4", Options{Format: "int4", Fit: true}, 32, true, "taken over"},
		{"gptq", Options{Format: "int4", Block: 32}, 32, true, "taken over"},
		{"gptq", Options{Format: "int4", Block: 128}, 128, false, "their groups of 64 do not fill blocks of 128"},
		{"gptq", Options{Format: "int8", EmbedFormat: "f16"}, 64, true, "taken over"},
		{"gptq", Options{Format: "int2"}, 256, false, "do not fit in 2 bits"},
		{"gptq_act", Options{Format: "int4"}, 128, false, "7 matrices: their columns are in act-order"},
		{"awq", Options{Format: "int4"}, 64, true, "taken over"},
		{"ct_int4", Options{Format: "int4", Overrides: []Override{{Match: regexp.MustCompile("."), Format: "int4", Block: 32}}}, 32, true, "taken over"},
		{"ct_int4", Options{Format: "int4"}, 32, true, "taken over"},
		{"ct_int8", Options{Format: "int8"}, 128, true, "taken over"},
		{"ct_int8", Options{Format: "int4"}, 128, false, "codes -128 to 127 do not fit in 4 bits"},
		{"fp8_block", Options{Format: "int8"}, 128, false, "7 tensors as F8_E4M3"},
		{"ct_mxfp4", Options{Format: "int8"}, 32, true, "taken over"},
		{"ct_mxfp4", Options{Format: "int4"}, 128, false, "codes -12 to 12 do not fit in 4 bits, but in 8"},
		{"bnb_nf4", Options{Format: "int4"}, 128, false, "the values of nf4 are not evenly spaced"},
		{"bnb_int8", Options{Format: "int8"}, 128, false, "taken over from the checkpoint (scales and zero-points are rounded"},
		{"mlx", Options{Format: "int4"}, 128, false, "taken over from the checkpoint (scales and zero-points are rounded"},
	} {
		ck, src := checkpoint(t, quantized+c.name)
		same, other, m := differences(t, ck, src, c.o)
		if c.repack != (same == 7) || c.repack == (other == 7) {
			t.Errorf("%s to %+v: %d matrices have their values, %d have not", c.name, c.o, same, other)
		}
		e := m.Tensors[slices.IndexFunc(m.Tensors, func(e bundle.Tensor) bool { return e.Role == model.RoleUp })]
		if e.Block != c.block {
			t.Errorf("%s to %+v: blocks of %d, want %d", c.name, c.o, e.Block, c.block)
		}
		if !strings.Contains(strings.Join(m.Notes, "\n"), c.note) {
			t.Errorf("%s to %+v: notes %q, want one with %q", c.name, c.o, m.Notes, c.note)
		}
	}
}

// What is quantized a second time gets blocks of the size of its groups, unless somebody asked for another, and loses
// less that way.
func TestFollowsGroups(t *testing.T) {
	lost := map[bool]float64{}
	for _, fit := range []bool{false, true} {
		_, src := checkpoint(t, quantized+"ct_mxfp4")
		_, _, m := differences(t, src.Weights.(*hf.Checkpoint), src, Options{Format: "int4", Fit: fit})
		e := m.Tensors[slices.IndexFunc(m.Tensors, func(e bundle.Tensor) bool { return e.Role == model.RoleUp })]
		lost[fit] = e.Error
		noted := strings.Contains(strings.Join(m.Notes, "\n"), "blocks are as large as the groups in the checkpoint")
		if want := map[bool]int{false: 128, true: 32}[fit]; e.Block != want || noted != fit {
			t.Errorf("fit %v: blocks of %d, want %d; notes %q", fit, e.Block, want, m.Notes)
		}
	}
	if !(lost[true] < 0.9*lost[false]) {
		t.Errorf("blocks as large as the groups lose %.3g, larger ones %.3g", lost[true], lost[false])
	}
}

// f16 holds the values of a checkpoint up to its rounding, and that is no second quantization.
func TestDequantizeToF16(t *testing.T) {
	ck, src := checkpoint(t, quantized+"awq")
	out, r, err := run(t, src, Options{Format: "f16"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i, x := range ck.Tensors() {
		have, want := make([]float32, x.Rows()*x.Cols()), make([]float32, x.Rows()*x.Cols())
		if err := b.Rows(i, 0, x.Rows(), have); err != nil {
			t.Fatal(err)
		}
		if err := ck.Rows(i, 0, x.Rows(), want); err != nil {
			t.Fatal(err)
		}
		for k := range have {
			if have[k] != block.FromFloat16(block.Float16(want[k])) {
				t.Fatalf("%s: element %d is %g, want %g", x.Name, k, have[k], want[k])
			}
		}
	}
	if notes := strings.Join(r.Manifest.Notes, "\n"); strings.Contains(notes, "second") {
		t.Errorf("notes %q", r.Manifest.Notes)
	}
}

// The bytes do not depend on the number of workers, and a preview says what will be.
func TestRepackThreads(t *testing.T) {
	_, src := checkpoint(t, quantized+"gptq")
	var want []byte
	for _, threads := range []int{1, 3} {
		_, r, err := run(t, src, Options{Format: "int4", Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		text, err := r.Manifest.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if want != nil && string(want) != string(text) {
			t.Error("the manifest depends on the number of workers")
		}
		want = text
	}
	p, err := Look(context.Background(), src, Options{Format: "int4"})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.Planned, func(e bundle.Tensor) bool { return e.Role == model.RoleUp })
	if e := p.Planned[i]; e.Method != Repacked || e.Block != 64 {
		t.Errorf("planned %+v", e)
	}
}

// Adapters are listed with their hashes, under names that differ, and change the weights.
func TestMergedAdapters(t *testing.T) {
	c, _ := checkpoint(t, fixture.Family(t, "llama"))
	plain, _ := checkpoint(t, fixture.Family(t, "llama"))
	for _, scale := range []float64{1, -.5} {
		if err := c.Merge(quantized+"lora_llama", scale); err != nil {
			t.Fatal(err)
		}
	}
	src := sourceOf(c)
	out, r, err := run(t, src, Options{Format: "f16", Saturate: true})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range r.Manifest.Source.Files {
		names = append(names, f.Name)
		if len(f.SHA256) != 64 {
			t.Errorf("%s: hash %q", f.Name, f.SHA256)
		}
	}
	for _, want := range []string{"config.json", "adapter_config.json", "adapter_model.safetensors", "lora_llama/adapter_config.json"} {
		if n := len(slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s != want })); n != 1 {
			t.Errorf("%d files %q of %q", n, want, names)
		}
	}
	notes := strings.Join(r.Manifest.Notes, "\n")
	for _, want := range []string{"LoRA adapter lora_llama, scale 1, into", "LoRA adapter lora_llama, scale -0.5, into"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes %q, want one with %q", r.Manifest.Notes, want)
		}
	}
	b, err := bundle.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	moved := 0.0
	for i, x := range c.Tensors() {
		have, want, before := make([]float32, x.Rows()*x.Cols()), make([]float32, x.Rows()*x.Cols()), make([]float32, x.Rows()*x.Cols())
		for _, w := range []struct {
			from model.Weights
			to   []float32
		}{{b, have}, {c, want}, {plain, before}} {
			if err := w.from.Rows(i, 0, x.Rows(), w.to); err != nil {
				t.Fatal(err)
			}
		}
		for k := range have {
			if have[k] != block.FromFloat16(block.Float16(want[k])) {
				t.Fatalf("%s: element %d is %g, want %g", x.Name, k, have[k], want[k])
			}
			moved = max(moved, math.Abs(float64(want[k]-before[k])))
		}
	}
	if moved < .1 {
		t.Errorf("the adapters move weights by %g", moved)
	}
}

// Names of files are those of the paths, with as much of them as tells them apart.
func TestFileNames(t *testing.T) {
	f := &files{}
	var have []string
	for _, path := range []string{"/m/config.json", "/a/x/config.json", "/b/x/config.json", "/b/x/config.json"} {
		name := f.name(filepath.FromSlash(path))
		f.list = append(f.list, bundle.SourceFile{Name: name})
		have = append(have, name)
	}
	want := []string{"config.json", "x/config.json", "b/x/config.json", "/b/x/config.json (3)"}
	if !slices.Equal(have, want) {
		t.Errorf("%q, want %q", have, want)
	}
}

// Where all matrices are taken over, nothing is said of what would have been chosen for them.
func TestNothingIsChosen(t *testing.T) {
	for name, chosen := range map[string]bool{"mlx": false, "gptq": true} { // its embedding is no integers
		_, src := checkpoint(t, quantized+name)
		_, r, err := run(t, src, Options{Format: "int4", Fit: true})
		if err != nil {
			t.Fatal(err)
		}
		if have := slices.ContainsFunc(r.Manifest.Notes, func(n string) bool { return strings.Contains(n, "chosen for a model") }); have != chosen {
			t.Errorf("%s: notes %q", name, r.Manifest.Notes)
		}
	}
}
