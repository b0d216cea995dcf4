package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// TestExportedLogits compares what transformers computed with exported checkpoints with what the CPU
// reference computes with them and with their bundles. testdata/check_export.py, which makes them,
// runs it.
func TestExportedLogits(t *testing.T) {
	dir := os.Getenv("EXPORTED")
	if dir == "" {
		t.Skip("testdata/check_export.py runs it")
	}
	cases, err := filepath.Glob(filepath.Join(dir, "*", "cases", "*", "case.json"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("%s: no cases: %v", dir, err)
	}
	for _, path := range cases {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var c struct{ Bundle, Checkpoint, Type string }
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		golden, err := verify.ReadGolden(filepath.Join(filepath.Dir(path), "golden.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(filepath.Dir(path))
		itself, bundle := distance(t, c.Checkpoint, golden), distance(t, c.Bundle, golden)
		t.Logf("%-32s from the checkpoint %.1e, relative RMS %.1e; from the bundle %.1e, %.1e", name, itself.MaxAbs, itself.RelRMS, bundle.MaxAbs, bundle.RelRMS)
		if itself.MaxAbs > 2e-3 || itself.RelRMS > 1e-4 || c.Type == "f32" && (bundle.MaxAbs > 2e-3 || bundle.RelRMS > 1e-4) {
			t.Errorf("%s: the logits differ", name)
		}
	}
}

// distance reports how far the logits of the CPU reference are from the golden ones.
func distance(t *testing.T, dir string, golden *verify.Golden) *verify.GoldenResult {
	t.Helper()
	s, err := source.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ref, err := verify.NewReference(s.Weights, verify.ReferenceOptions{MaxSeqLen: len(golden.IDs)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := golden.Compare(context.Background(), dir, ref)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
