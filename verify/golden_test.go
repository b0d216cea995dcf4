package verify

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"
)

// tensors are the content of a golden file: by name, type, shape and values.
type tensors map[string]struct {
	dtype  safetensors.DType
	shape  []uint64
	values any
}

func (ts tensors) bytes(t testing.TB) []byte {
	t.Helper()
	views := map[string]safetensors.TensorView{}
	for name, x := range ts {
		data, err := binary.Append(nil, binary.LittleEndian, x.values)
		if err != nil {
			t.Fatal(err)
		}
		if views[name], err = safetensors.NewTensorView(x.dtype, x.shape, data); err != nil {
			t.Fatal(err)
		}
	}
	b, err := safetensors.Serialize(views, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func small() tensors {
	return tensors{
		"input_ids": {safetensors.I64, []uint64{2}, []int64{1, 2}},
		"logits":    {safetensors.F32, []uint64{2, 3}, []float32{1, 2, 3, 4, 5, 6}},
	}
}

// goldenOf records what a toy computes.
func goldenOf(t testing.TB, m *toy, ids []int32) tensors {
	t.Helper()
	stages := make([][]float32, m.layers+2)
	m.Reset()
	m.SetTrace(func(i int, h []float32) { stages[i] = append(stages[i], h...) })
	defer m.SetTrace(nil)
	var logits []float32
	err := m.Forward(t.Context(), ids, 0, func(_ int, l []float32) error {
		logits = append(logits, l...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(len(ids))
	g := tensors{
		"input_ids": {safetensors.I32, []uint64{n}, ids},
		"logits":    {safetensors.F32, []uint64{n, uint64(m.vocab)}, logits},
	}
	stages = slices.Delete(stages, m.layers, m.layers+1) // the last golden one is the final norm
	for i, h := range stages {
		x := g["logits"]
		x.shape, x.values = []uint64{n, toyHidden}, h
		g[fmt.Sprintf("hidden.%d", i)] = x
	}
	return g
}

func TestGoldenRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "golden.safetensors")
	ids := toyTokens(20, 30)
	if err := os.WriteFile(path, goldenOf(t, newToy(30), ids).bytes(t), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := ReadGolden(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.IDs, ids) || g.Vocab != 30 || len(g.Logits) != 600 || len(g.Hidden) != 4 {
		t.Fatalf("read %d ids, vocabulary %d, %d logits, %d hidden", len(g.IDs), g.Vocab, len(g.Logits), len(g.Hidden))
	}
	r, err := g.Compare(t.Context(), "bundle", newToy(30))
	if err != nil {
		t.Fatal(err)
	}
	if r.MaxAbs != 0 || r.RelRMS != 0 || r.MeanKLD != 0 || r.Top1 != 1 || r.Tokens != 20 {
		t.Errorf("a model differs from itself: %+v", r)
	}
	var names []string
	for _, s := range r.Layers {
		names = append(names, s.Name)
		if s.MaxAbs != 0 {
			t.Errorf("%s differs: %+v", s.Name, s)
		}
	}
	if got := strings.Join(names, ", "); got != "embedding, layer 0, layer 1, final norm" {
		t.Errorf("stages %s", got)
	}
	if _, err := g.Compare(t.Context(), "bundle", newToy(31)); err == nil {
		t.Error("another vocabulary was compared")
	}
	deeper := newToy(30)
	deeper.layers = 5
	if _, err := g.Compare(t.Context(), "bundle", deeper); err == nil || !strings.Contains(err.Error(), "hidden states of 3 layers, bundle has 5") {
		t.Errorf("error %v", err)
	}
	if r, err = g.Compare(t.Context(), "bundle", opaque{newToy(30)}); err != nil || r.Layers != nil {
		t.Errorf("%+v, %v", r, err)
	}
	bad := newToy(30)
	bad.badStage, bad.badToken, bad.badValue = 2, 7, float32(math.NaN())
	if _, err = g.Compare(t.Context(), "bundle", bad); err == nil || !strings.Contains(err.Error(), "bundle: NaN at token 7, first in layer 1") {
		t.Errorf("error %v", err)
	}
}

func TestGoldenByHand(t *testing.T) {
	g := &Golden{IDs: []int32{0, 1}, Vocab: 3, Logits: append(lnOf(.5, .25, .25), lnOf(.5, .25, .25)...)}
	r, err := g.Compare(t.Context(), "bundle", lnOf(.25, .25, .5))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "KLD", r.MeanKLD, math.Ln2/4, 1e-7)
	near(t, "max", r.MaxAbs, math.Ln2, 1e-6)
	near(t, "relative RMS", r.RelRMS, math.Sqrt(2.0/9), 1e-6)
	near(t, "top-1", r.Top1, 0, 0)
}

func TestGoldenIsStrict(t *testing.T) {
	f32, nan := safetensors.F32, float32(math.NaN())
	for want, change := range map[string]func(tensors){
		`"input_ids": missing`:                     func(x tensors) { delete(x, "input_ids") },
		`"logits": missing`:                        func(x tensors) { delete(x, "logits") },
		`"input_ids": type F32`:                    func(x tensors) { y := x["input_ids"]; y.dtype, y.values = f32, []float32{1, 2}; x["input_ids"] = y },
		`"input_ids": shape [1 2]`:                 func(x tensors) { y := x["input_ids"]; y.shape = []uint64{1, 2}; x["input_ids"] = y },
		`"input_ids": shape [0]`:                   func(x tensors) { y := x["input_ids"]; y.shape, y.values = []uint64{0}, []int64{}; x["input_ids"] = y },
		`"input_ids": token 1 is -1`:               func(x tensors) { y := x["input_ids"]; y.values = []int64{0, -1}; x["input_ids"] = y },
		`"input_ids": token 0 is 4294967296`:       func(x tensors) { y := x["input_ids"]; y.values = []int64{1 << 32, 0}; x["input_ids"] = y },
		`"input_ids": token 1 is 3`:                func(x tensors) { y := x["input_ids"]; y.values = []int64{0, 3}; x["input_ids"] = y },
		`"logits": type I32`:                       func(x tensors) { y := x["logits"]; y.dtype = safetensors.I32; x["logits"] = y },
		`"logits": shape [3 2], want [2][columns]`: func(x tensors) { y := x["logits"]; y.shape = []uint64{3, 2}; x["logits"] = y },
		`"logits": shape [6]`:                      func(x tensors) { y := x["logits"]; y.shape = []uint64{6}; x["logits"] = y },
		`"logits": value 1 is NaN`:                 func(x tensors) { y := x["logits"]; y.values = []float32{0, nan, 0, 0, 0, 0}; x["logits"] = y },
		`"weights": unexpected`:                    func(x tensors) { x["weights"] = x["logits"] },
		`"hidden.1": unexpected`:                   func(x tensors) { x["hidden.1"] = x["logits"] },
		`"hidden.00": unexpected`:                  func(x tensors) { x["hidden.00"] = x["logits"] },
		`"hidden.0": shape [6]`:                    func(x tensors) { y := x["logits"]; y.shape = []uint64{6}; x["hidden.0"] = y },
		`"hidden.1": 1 columns, "hidden.0" has 3`: func(x tensors) {
			x["hidden.0"] = x["logits"]
			y := x["logits"]
			y.shape, y.values = []uint64{2, 1}, []float32{1, 2}
			x["hidden.1"] = y
		},
	} {
		x := small()
		change(x)
		if _, err := parseGolden(x.bytes(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	good := small().bytes(t)
	for n := range good {
		if _, err := parseGolden(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(good))
		}
	}
	if _, err := parseGolden(append(good, 0)); err == nil {
		t.Error("a byte too many was accepted")
	}
	if _, err := ReadGolden(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file was read")
	}
}

func FuzzGolden(f *testing.F) {
	f.Add(small().bytes(f))
	f.Add(goldenOf(f, newToy(5), toyTokens(3, 5)).bytes(f))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := parseGolden(data)
		if err != nil {
			return
		}
		if len(g.IDs) == 0 || len(g.Logits) != len(g.IDs)*g.Vocab || firstNonFinite(g.Logits) >= 0 {
			t.Fatalf("%d ids, vocabulary %d, %d logits", len(g.IDs), g.Vocab, len(g.Logits))
		}
		for _, id := range g.IDs {
			if id < 0 || int(id) >= g.Vocab {
				t.Fatalf("token %d of %d", id, g.Vocab)
			}
		}
		for _, h := range g.Hidden {
			if len(h) != len(g.Hidden[0]) || len(h)%len(g.IDs) != 0 || firstNonFinite(h) >= 0 {
				t.Fatalf("%d hidden values for %d tokens", len(h), len(g.IDs))
			}
		}
	})
}
