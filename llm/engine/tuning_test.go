package engine

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/tune"
)

// TestTuningFile writes entries and reads them back: those of this device and of the kernels as they are.
func TestTuningFile(t *testing.T) {
	dev := gputest.Open(t)
	path := filepath.Join(t.TempDir(), "a", "b", "tuning.json")
	f, err := ReadTuning(path)
	if err != nil || len(f.Entries) != 0 {
		t.Fatalf("%v, %v of a file that is not there", f, err)
	}
	key := graph.TuningKey{Kernel: "matvec", Class: "int4/128 64×64, 1 tokens"}
	result := func(rows int) []tune.Result {
		return []tune.Result{{TuningKey: key, Best: graph.Tuned{"ROWS": rows, "LANES": 64, "STEP": 1}, After: time.Millisecond}}
	}
	f.Put(dev, result(2))
	f.Put(dev, result(8)) // in its place
	other, old := f.Entries[0], f.Entries[0]
	twin := dev.Info() // the same adapter in the other engine
	twin.Engine = map[string]string{gpu.EngineDawn: gpu.EngineBuiltin, gpu.EngineBuiltin: gpu.EngineDawn}[twin.Engine]
	other.Adapter, other.Class = adapterID(twin), "another"
	old.Text, old.Class = "an older kernel", "old"
	f.Entries = append(f.Entries, other, old)
	if err := f.Write(path); err != nil {
		t.Fatal(err)
	}
	back, err := ReadTuning(path)
	if err != nil || !reflect.DeepEqual(back, f) {
		t.Fatalf("read back %v, %v", back, err)
	}
	got, err := back.For(dev)
	if want := (graph.Tuning{key: {"ROWS": 8, "LANES": 64, "STEP": 1}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("for this device %v, %v: want %v", got, err, want)
	}
	back.Entries[0].Use["ROWS"] = 3
	if _, err := back.For(dev); err == nil || !strings.Contains(err.Error(), "ROWS") {
		t.Errorf("three rows: %v", err)
	}
	for text, want := range map[string]string{`{"version": 2}`: "version 2", `{`: "unexpected", `{"versoin": 1}`: "versoin", `{"version": 1}}`: "behind its end"} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadTuning(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want the path and %q", text, err, want)
		}
	}
}
