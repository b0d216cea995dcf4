package engine

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

const tiny = "../../testdata/tiny"

// bundleOf makes a bundle of the tiny model.
func bundleOf(t *testing.T) *source.Model {
	t.Helper()
	ck, err := hf.Open(tiny)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	out := filepath.Join(t.TempDir(), "tiny")
	if _, err := convert.Run(t.Context(), convert.Source{Weights: ck}, out, convert.Options{Format: "f16"}); err != nil {
		t.Fatal(err)
	}
	m, err := source.OpenBundle(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// TestDevices loads a bundle and a checkpoint on each device.
func TestDevices(t *testing.T) {
	b := bundleOf(t)
	ck, err := source.Open(tiny)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	dev := gputest.Open(t)
	software := dev.OnCPU()
	dev.Close()
	for name, c := range map[string]struct {
		m     *source.Model
		o     Options
		onGPU bool
		fails string
	}{
		"":                 {b, Options{Check: true}, true, ""},
		"gpu":              {b, Options{Device: GPU}, true, ""},
		"auto":             {b, Options{Device: Auto}, !software, ""},
		"cpu":              {b, Options{Device: CPU, Check: true}, false, ""},
		"checkpoint, gpu":  {ck, Options{}, false, "is a checkpoint"},
		"checkpoint, auto": {ck, Options{Device: Auto}, false, ""},
		"checkpoint, cpu":  {ck, Options{Device: CPU, Check: true}, false, ""},
		"another":          {b, Options{Device: "npu"}, false, `"npu"`},
	} {
		var last, total int64
		c.o.Progress, c.o.Tuning = func(n, of int64) { last, total = n, of }, TuningOff
		e, err := Open(t.Context(), c.m, c.o)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: error %v, want %q", name, err, c.fails)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if (e.Device != nil) != c.onGPU || strings.HasPrefix(e.String(), "CPU") == c.onGPU || e.Software() != (c.onGPU && software) {
			t.Errorf("%s: runs on %s", name, e)
		}
		if reports := c.onGPU || c.o.Check && c.m == b; reports && (total == 0 || last <= 0 || last > total) || !reports && total != 0 {
			t.Errorf("%s: progress ended at %d of %d", name, last, total)
		}
		e.Close()
	}
}

// TestReference finds the reference and the CPU engine to be the same model, up to rounding.
func TestReference(t *testing.T) {
	m, err := source.Open(tiny)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r, err := NewReference(m, Options{Context: 8})
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewCPU(m, Options{Context: 8})
	if err != nil {
		t.Fatal(err)
	}
	var logits [2][]float32
	for i, f := range []interface {
		VocabSize() int
	}{r, e} {
		logits[i] = make([]float32, f.VocabSize())
	}
	err = errors.Join(
		r.Forward(t.Context(), []int32{1, 2, 3}, 2, func(_ int, l []float32) error { copy(logits[0], l); return nil }),
		e.Forward(t.Context(), []int32{1, 2, 3}, 2, func(_ int, l []float32) error { copy(logits[1], l); return nil }),
	)
	if err != nil {
		t.Fatal(err)
	}
	exact := true
	for i, l := range logits[0] {
		if d := l - logits[1][i]; d > 1e-3 || d < -1e-3 {
			t.Fatalf("logit %d: %v and %v", i, l, logits[1][i])
		}
		exact = exact && l == logits[1][i]
	}
	if exact {
		t.Error("the same bits: one of them is not what it should be")
	}
}
