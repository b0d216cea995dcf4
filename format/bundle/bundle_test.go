package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/quant"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// formats are conversions that between them use every type.
var formats = map[string]convert.Options{
	"int8": {Format: "int8", Block: 32},
	"int4": {Format: "int4", Method: quant.RTN, EmbedFormat: "int8", HeadFormat: "f16"},
	"int2": {Format: "int2", Block: 64},
	"many": {Format: "int4", MaxFile: 10 << 10, Overrides: []convert.Override{{Match: regexp.MustCompile("down"), Format: "int8", Block: 64}}},
	"f16":  {Format: "f16"},
}

func open(t *testing.T, dir string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// TestRows compares what a bundle returns with the weights that it was made from, as closely as the
// manifest says.
func TestRows(t *testing.T) {
	src := newFake()
	for name, o := range formats {
		b := open(t, store(t, files(t, o)))
		if diff := cmp.Diff(src.Spec(), b.Spec()); diff != "" {
			t.Fatalf("%s: spec: %s", name, diff)
		}
		for i, mt := range src.Tensors() {
			if diff := cmp.Diff(mt, b.Tensors()[i]); diff != "" {
				t.Fatalf("%s: %s", name, diff)
			}
			got := make([]float32, mt.Rows()*mt.Cols())
			if err := b.Rows(i, 0, mt.Rows(), got); err != nil {
				t.Fatal(err)
			}
			var loss, power float64
			for k, v := range src.values[i] {
				r := float64(v) - float64(got[k])
				loss, power = loss+r*r, power+float64(v)*float64(v)
			}
			if e := math.Sqrt(loss / power); math.Abs(e-b.Manifest.Tensors[i].Error) > 1e-7 { // what was encoded fast is summed up in float32
				t.Errorf("%s: %s: error %g, the manifest says %g", name, mt.Name, e, b.Manifest.Tensors[i].Error)
			}
			one := make([]float32, mt.Cols())
			if err := b.Rows(i, mt.Rows()-1, 1, one); err != nil {
				t.Fatal(err)
			}
			if !cmp.Equal(one, got[len(got)-len(one):]) {
				t.Errorf("%s: %s: the last row alone differs", name, mt.Name)
			}
		}
	}
}

func TestRowsOutOfRange(t *testing.T) {
	b := open(t, store(t, files(t, formats["int4"])))
	rows, cols := b.Tensors()[0].Rows(), b.Tensors()[0].Cols()
	for _, c := range []struct{ i, row0, n, size int }{
		{-1, 0, 1, cols},
		{len(b.Tensors()), 0, 1, cols},
		{0, -1, 1, cols},
		{0, 0, -1, 0},
		{0, rows, 1, cols},
		{0, math.MaxInt, 1, cols},
		{0, 0, 2, cols},
		{0, 0, 1, cols + 1},
	} {
		if err := b.Rows(c.i, c.row0, c.n, make([]float32, c.size)); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

// TestWithoutMapping reads a bundle through an io.ReaderAt.
func TestWithoutMapping(t *testing.T) {
	f := files(t, formats["int2"])
	mapped := open(t, store(t, f))
	b, err := bundle.New(f[bundle.ManifestName], bytes.NewReader(f[bundle.BlobName]), int64(len(f[bundle.BlobName])))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	for i, mt := range b.Tensors() {
		x, y := make([]float32, mt.Rows()*mt.Cols()), make([]float32, mt.Rows()*mt.Cols())
		if err := errors.Join(b.Rows(i, 0, mt.Rows(), x), mapped.Rows(i, 0, mt.Rows(), y)); err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(x, y) {
			t.Errorf("%s differs", mt.Name)
		}
		raw := make([]byte, b.Manifest.Tensors[i].Length)
		if err := mapped.ReadAt(i, raw, 0); err != nil {
			t.Fatal(err)
		}
		if off := b.Manifest.Tensors[i].Offset; !bytes.Equal(raw, f[bundle.BlobName][off:][:len(raw)]) {
			t.Errorf("%s: raw bytes differ", mt.Name)
		}
	}
}

func TestCheckProgress(t *testing.T) {
	b := open(t, store(t, files(t, formats["int4"])))
	var last, total int64
	err := b.Check(context.Background(), func(done, all int64) {
		if done < last {
			t.Errorf("%d after %d", done, last)
		}
		last, total = done, all
	})
	if err != nil || last != total || total == 0 {
		t.Errorf("%v; %d of %d", err, last, total)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Check(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if v, err := b.Vocab(); string(v) != `{"model":{}}` || err != nil {
		t.Errorf("vocab: %q, %v", v, err)
	}
}

func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	valid := func(data []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
	for name, o := range formats {
		data := files(t, o)[bundle.ManifestName]
		if err := valid(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, edit := range []struct{ old, new string }{
			{`"offset": 256`, `"offset": 257`},
			{`"type": "`, `"type": "x`},
			{`"generator"`, `"genrator"`},
			{`"format_version": 1`, `"format_version": "1"`},
			{`"role": "embed"`, `"role": "imbed"`},
		} {
			bad := bytes.Replace(data, []byte(edit.old), []byte(edit.new), 1)
			if bytes.Equal(bad, data) || valid(bad) == nil {
				t.Errorf("%s: %s is valid", name, edit.new)
			}
		}
	}
}

func TestParity(t *testing.T) {
	f := files(t, formats["int8"])
	m, err := bundle.ParseManifest(f[bundle.ManifestName])
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.Marshal(); err != nil || !bytes.Equal(again, f[bundle.ManifestName]) {
		t.Errorf("parsed and written, the manifest differs: %v", err)
	}
	want := &bundle.Parity{Pass: true, Runtime: &bundle.Runtime{MaxAbs: 1e-4}, Drift: &bundle.Drift{PPL: 30}}
	dir := store(t, f)
	for i, layers := range [][]int{nil, {1}, {0, 1}} {
		if err := bundle.SetParity(dir, want, layers); err != nil {
			t.Fatal(err)
		}
		b := open(t, dir)
		if got := b.Manifest.Parity; !cmp.Equal(got, want) {
			t.Errorf("parity is %+v", got)
		}
		if got := b.Spec().KVFloat32; !slices.Equal(got, layers) || b.Manifest.ID != m.ID {
			t.Errorf("%d: layers %v are in float32, the id is %s", i, got, b.Manifest.ID)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, bundle.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	layers := regexp.MustCompile(`("kv_float32": )\[[^]]*\]`)
	for _, bad := range []string{"[1, 0]", "[0, 0]", "[-1]", "[99]", `["1"]`} {
		changed := layers.ReplaceAll(data, []byte("${1}"+bad))
		if _, err := bundle.ParseManifest(changed); !errors.Is(err, bundle.ErrCorrupt) || bytes.Equal(changed, data) {
			t.Errorf("kv_float32 %s: error %v", bad, err)
		}
	}
}

func TestWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	vector := bundle.Tensor{Name: "x", Role: "final_norm", Layer: -1, Shape: []int{3}, Type: bundle.F16}
	for name, misuse := range map[string]func(w *bundle.Writer) error{
		"write outside": func(w *bundle.Writer) error { _, err := w.Write([]byte{1}); return err },
		"end outside":   func(w *bundle.Writer) error { return w.End(bundle.Outcome{}) },
		"begin twice":   func(w *bundle.Writer) error { return errors.Join(w.Begin(vector), w.Begin(vector)) },
		"begin another": func(w *bundle.Writer) error { return w.Begin(bundle.Tensor{Name: "y"}) },
		"too short":     func(w *bundle.Writer) error { return errors.Join(w.Begin(vector), w.End(bundle.Outcome{})) },
		"no tensors":    func(w *bundle.Writer) error { return w.Commit(&bundle.Manifest{}) },
		"no vocab":      func(w *bundle.Writer) error { return w.Vocab(nil) },
	} {
		w, err := bundle.Create(context.Background(), dir, []bundle.Tensor{vector}, bundle.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := misuse(w); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := w.Abort(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string]bundle.Tensor{
		"shape":  {Name: "x", Type: bundle.F16},
		"type":   {Name: "x", Role: "q", Shape: []int{3, 3}, Type: "int3"},
		"number": {Name: "x", Role: "q", Shape: []int{1 << 40, 1 << 40}, Type: bundle.F16},
	} {
		_, err := bundle.Create(context.Background(), dir, []bundle.Tensor{bad}, bundle.Options{})
		if err == nil || !strings.Contains(err.Error(), `tensor "x"`) {
			t.Errorf("bad %s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := bundle.Create(context.Background(), dir, nil, bundle.Options{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("existing directory: %v", err)
	}
	file := filepath.Join(dir, "thesis.tex")
	if err := os.WriteFile(file, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{dir, file, filepath.Join(file, "out")} {
		if _, err := bundle.Create(context.Background(), target, nil, bundle.Options{Force: true}); err == nil {
			t.Errorf("%s: no error", target)
		}
	}
}
