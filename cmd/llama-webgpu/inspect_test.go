package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// TestInspectSizes compares what inspect works out from a configuration with what --dry-run and the bundle say.
func TestInspectSizes(t *testing.T) {
	read := func(into any, args ...string) {
		t.Helper()
		text, err := output(t.Context(), t, args...)
		if err == nil {
			err = json.Unmarshal([]byte(text), into)
		}
		if err != nil {
			t.Fatal(args, err)
		}
	}
	var config, checkpoint, bundle inspection
	var dry, chosen dryRun
	out := filepath.Join(t.TempDir(), "out")
	if text, err := hurried(program(t, "quantize", tiny, out, "--format", "int4", "--block-size", "128", "--embed-format", "int4", "-q")); err != nil {
		t.Fatal(text)
	}
	read(&config, "inspect", "--json", "--context", "512", filepath.Join(tiny, "config.json"))
	read(&checkpoint, "inspect", "--json", "--context", "512", tiny)
	read(&bundle, "inspect", "--json", "--context", "512", out)
	read(&dry, "quantize", "--json", "--context", "512", "--format", "int4", "--block-size", "128", "--embed-format", "int4", "--dry-run", tiny)
	read(&chosen, "quantize", "--json", "--context", "512", "--format", "int4", "--dry-run", tiny)
	for i, s := range config.Sizes {
		if s != checkpoint.Sizes[i] {
			t.Errorf("%+v of the configuration, %+v of the checkpoint", s, checkpoint.Sizes[i])
		}
		if s.Stored == "int4/128" && (s.Bytes != dry.After || s.GPU != dry.GPUTotal || s.GPU != bundle.GPU) {
			t.Errorf("%+v; --dry-run has %d, %d, the bundle %d, %d", s, dry.After, dry.GPUTotal, bundle.Bytes, bundle.GPU)
		}
		if s.Stored == "--format int4" && (s.Bytes != chosen.After || s.GPU != chosen.GPUTotal) {
			t.Errorf("%+v; --dry-run has %d, %d", s, chosen.After, chosen.GPUTotal)
		}
	}
	if len(config.Sizes) < 6 {
		t.Errorf("%d sizes", len(config.Sizes))
	}
}
