package main

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/hf"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

const made = "../../testdata/quantized/" // by testdata/make_quantized.py

// logits returns what the CPU reference computes for the tokens.
func logits(t *testing.T, w model.Weights, ids []int32) []float32 {
	t.Helper()
	ref, err := verify.NewReference(w, verify.ReferenceOptions{MaxSeqLen: len(ids)})
	if err != nil {
		t.Fatal(err)
	}
	var all []float32
	err = ref.Forward(t.Context(), ids, 0, func(_ int, l []float32) error {
		all = append(all, l...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Both sides compute in float32 on the same weights and sum in different orders: for each of some 8 sums in
// a row a few 2⁻²⁴ of the largest of some ten.
const ofOrder = 10 * 8 * 8 / float64(1<<24)

// TestQuantizedCheckpoints compares the CPU reference with what PyTorch computes with the weights that the
// libraries dequantize, and bundles with the checkpoints that they were made from.
func TestQuantizedCheckpoints(t *testing.T) {
	for _, c := range []struct {
		name, format string
		exact        bool // the matrices are repacked
	}{
		{"gptq", "int4", true},
		{"gptq", "int8", true},
		{"gptq_act", "int8", false},
		{"awq", "int4", true},
		{"ct_int4", "int4", true},
		{"ct_int8", "int8", true},
		{"ct_fp8", "int8", false},
		{"fp8_block", "int8", false},
		{"fp8_tensor", "int8", false},
		{"bnb_nf4", "int8", false},
		{"bnb_fp4", "int8", false},
		{"bnb_int8", "int8", false},
		{"ct_nvfp4", "int8", false},
		{"ct_mxfp4", "int8", true},
		{"ct_mxfp8", "int8", false},
		{"mo_nvfp4", "int8", false},
		{"mo_fp8", "int8", false},
		{"mlx", "int8", false},
		{"mlx_mixed", "int8", false},
		{"mlx_floats", "int8", false},
		{"gptq3", "int4", true},
		{"ct_int3", "int4", true},
		{"ct_whole", "int4", true},
	} {
		t.Run(c.name+" "+c.format, func(t *testing.T) {
			golden, err := verify.ReadGolden(filepath.Join(made, c.name, "golden.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			if d := distance(t, filepath.Join(made, c.name), golden); d.MaxAbs > ofOrder {
				t.Errorf("logits differ by %.2g from PyTorch's", d.MaxAbs)
			}
			out := filepath.Join(t.TempDir(), "out")
			if _, err := output(context.Background(), t, "quantize", "-i", filepath.Join(made, c.name), "-o", out, "-f", c.format, "--embed-format", "f16", "-q"); err != nil {
				t.Fatal(err)
			}
			if !c.exact {
				// Each of seven matrices errs by less than .006 of its output at int8.
				if d := distance(t, out, golden); d.RelRMS > 7*.006 || d.RelRMS == 0 {
					t.Errorf("relative RMS %.2g", d.RelRMS)
				}
				return
			}
			ids := golden.IDs
			from, to := mustOpenSource(t, filepath.Join(made, c.name)), mustOpenSource(t, out)
			if !slices.Equal(logits(t, from.Weights, ids), logits(t, to.Weights, ids)) {
				t.Error("the bundle has other logits than its checkpoint")
			}
		})
	}
}

func mustOpenSource(t *testing.T, dir string) *source.Model {
	t.Helper()
	s, err := source.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestMergedAdapters compares the CPU reference with what PEFT computes: with pairs merged, and with all
// else beside the model.
func TestMergedAdapters(t *testing.T) {
	for adapter, family := range map[string]string{
		"lora_llama": "llama", "lora_phi3": "phi3", "lora_gpt2": "gpt2",
		"lora_dora": "gpt2", "lora_tied": "llama", "lora_head": "mistral", "lora_whole": "qwen2", "lora_tokens": "qwen3",
		"lora_experts": "qwen3_moe", "lora_expert": "mixtral", "lora_transposed": "llama4",
		"lora_in_out": "gpt_oss", "lora_tied_tokens": "llama",
	} {
		golden, err := verify.ReadGolden(made + adapter + "/golden.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		c, err := hf.Open(fixture.Family(t, family))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Merge(made+adapter, 1); err != nil {
			t.Errorf("%s: %v", adapter, err)
			continue
		}
		ref, err := verify.NewReference(c, verify.ReferenceOptions{MaxSeqLen: len(golden.IDs)})
		if err != nil {
			t.Fatal(err)
		}
		d, err := golden.Compare(t.Context(), family, ref)
		if err != nil {
			t.Fatal(err)
		}
		if d.MaxAbs > 3*ofOrder { // three layers
			t.Errorf("%s: logits differ by %.2g from PEFT's", adapter, d.MaxAbs)
		}
	}
}
