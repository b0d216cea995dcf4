package calibrate

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/transformer"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	cpu "github.com/llama-webgpu/llama-webgpu/quant/calibrate"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestExpertsCalibrated quantizes a mixture of experts of every family that has them by the search and with calibration,
// compares the GPU's logits with the CPU reference's on the calibrated weights, and the outputs of both bundles for
// the calibration text with the checkpoint's: the calibrated one must be the nearer. After few tokens, the bundle
// must say so.
func TestExpertsCalibrated(t *testing.T) {
	dev := gputest.Open(t)
	for _, name := range []string{"mixtral", "llama4", "qwen3_moe", "gpt_oss", "qwen3_5_moe", "gemma4_moe"} {
		t.Run(name, func(t *testing.T) {
			checkpoint, windows := familyAndTexts(t, name, 16)
			search := calibrated(t, dev, checkpoint, nil)
			gptq := calibrated(t, dev, checkpoint, windows)
			if notes := gptq.Manifest.Notes; len(notes) > 0 {
				t.Errorf("notes: %v", notes)
			}
			tr, err := transformer.New(context.Background(), dev, gptq, transformer.Options{MaxSeqLen: 64, Chunk: 32})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			if d := modeltest.RelRMS(t, modeltest.Run(t, tr, windows[0]), modeltest.Run(t, reference(t, gptq), windows[0])); !(d <= 1e-3) {
				t.Errorf("relative RMS %.2g", d)
			}
			before, after := drift(t, checkpoint, search, windows), drift(t, checkpoint, gptq, windows)
			if t.Logf("KL divergence on the calibration text: search %.4f, gptq %.4f", before, after); !(after < 0.9*before) {
				t.Errorf("calibration does not help: KL divergence %.4f, by the search %.4f", after, before)
			}

			few := calibrated(t, dev, checkpoint, [][]int32{windows[0][:9]})
			if notes := few.Manifest.Notes; len(notes) != 2 || !strings.Contains(notes[0], "gate and up projections") || !strings.Contains(notes[1], "down projections") {
				t.Errorf("after few tokens, notes: %q", notes)
			}
		})
	}
}

// familyAndTexts opens a family's checkpoint until the test ends, and makes up texts of 64 tokens for it.
func familyAndTexts(t *testing.T, name string, texts int) (*hf.Checkpoint, [][]int32) {
	t.Helper()
	checkpoint, err := hf.Open(fixture.Family(t, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkpoint.Close() })
	return checkpoint, slices.Collect(slices.Chunk(modeltest.Tokens(texts*64, checkpoint.Spec().Vocab), 64))
}

// calibrated converts a checkpoint to int4, calibrated with windows unless there are none.
func calibrated(t *testing.T, dev *gpu.Device, checkpoint *hf.Checkpoint, windows [][]int32) *bundle.Bundle {
	t.Helper()
	if windows == nil {
		return inInt4(t, checkpoint, nil)
	}
	c, err := New(t.Context(), dev, checkpoint, windows, true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return inInt4(t, checkpoint, c)
}

// inInt4 converts a checkpoint to int4 with what a calibrator says, or by the search without one.
func inInt4(t *testing.T, checkpoint *hf.Checkpoint, c convert.Calibration) *bundle.Bundle {
	t.Helper()
	o := convert.Options{Format: "int4", EmbedFormat: "f16", HeadFormat: "f16", Block: 32}
	if c != nil {
		o.Method, o.Calibration, o.Correction = convert.GPTQ, c, 0.5
	}
	return modeltest.Bundle(t, checkpoint, o)
}

func reference(t *testing.T, w model.Weights) verify.Forwarder {
	t.Helper()
	ref, err := verify.NewReference(w, verify.ReferenceOptions{KVFloat16: true, MaxSeqLen: 64})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// drift returns the mean KL divergence of b from the checkpoint.
func drift(t *testing.T, checkpoint *hf.Checkpoint, b *bundle.Bundle, windows [][]int32) float64 {
	t.Helper()
	d, err := verify.MeasureDrift(context.Background(), reference(t, checkpoint), reference(t, b), windows, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.MeanKLD
}

// TestBesideCalibrated is TestExpertsCalibrated for models whose layers read more than the residual stream, with both calibrators.
func TestBesideCalibrated(t *testing.T) {
	dev := gputest.Open(t)
	for _, name := range []string{"gemma4_inputs", "gemma3n"} {
		t.Run(name, func(t *testing.T) {
			checkpoint, windows := familyAndTexts(t, name, 8)
			before := drift(t, checkpoint, calibrated(t, dev, checkpoint, nil), windows)
			after := drift(t, checkpoint, calibrated(t, dev, checkpoint, windows), windows)
			onCPU, err := cpu.New(checkpoint, windows, true)
			if err != nil {
				t.Fatal(err)
			}
			defer onCPU.Close()
			byCPU := drift(t, checkpoint, inInt4(t, checkpoint, onCPU), windows)
			t.Logf("KL divergence on the calibration text: search %.4f, gptq %.4f, on the CPU %.4f", before, after, byCPU)
			if !(after < 0.9*before) || !(byCPU < 0.9*before) {
				t.Errorf("calibration does not help: KL divergence %.4f on the GPU, %.4f on the CPU, by the search %.4f", after, byCPU, before)
			}
		})
	}
}
