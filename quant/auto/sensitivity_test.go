package auto

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/internal/fixture"
	"github.com/llama-webgpu/llama-webgpu/quant/convert"
)

// TestSensitivityFile writes a file and reads it again, and changes what must not be different.
func TestSensitivityFile(t *testing.T) {
	src, err := openCheckpoint(fixture.Family(t, "llama"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	path := filepath.Join(t.TempDir(), "file.json")
	ctx, o := t.Context(), convert.Options{Format: "int2", Text: "2 windows"}
	s, err := openSensitivity(ctx, path, src, &o, extent{3, 100})
	if err != nil {
		t.Fatal(err)
	}
	name := src.Weights.Tensors()[2].Name
	for _, scheme := range []struct{ bits, block int }{{2, 256}, {2, 128}, {2, 64}, {2, 32}, {4, 256}, {4, 128}, {4, 64}, {4, 32}, {8, 128}, {8, 64}} {
		s.Matrices[name] = append(s.Matrices[name], convert.Cost{Bits: scheme.bits, Block: scheme.block, Error: 1.5, Drift: 1e-7})
	}
	if err := s.write(); err != nil {
		t.Fatal(err)
	}
	again, err := openSensitivity(ctx, path, src, &o, extent{3, 100})
	if err != nil || len(again.Matrices[name]) != 10 || again.Matrices[name][8] != s.Matrices[name][8] {
		t.Fatalf("%v: read %+v", err, again)
	}
	if other, err := openSensitivity(ctx, path, src, &o, extent{4, 500}); err != nil || other.DriftTokens != 100 || other.DriftWindows != 3 {
		t.Errorf("%v: drifts on %d windows of %d tokens, the file has those on 3 of 100", err, other.DriftWindows, other.DriftTokens)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, pattern, to, want string }{
		{"the version", `"version": 4`, `"version": 3`, "version: it has 3, this run has 4"},
		{"the checkpoint", `"checkpoint": "..`, `"checkpoint": "zz`, "checkpoint: it has zz"},
		{"the text", `2 windows`, `3 windows`, "calibration: it has 3 windows, this run has 2 windows"},
		{"rotation", `"rotated": false`, `"rotated": true`, "rotated: it has true"},
		{"the windows", `"drift_windows": .`, `"drift_windows": 0`, "drift_windows and drift_tokens: 0 and 100"},
		{"the tokens", `"drift_tokens": .*,`, `"drift_tokens": 1,`, "drift_windows and drift_tokens: 3 and 1,"},
		{"a name", regexp.QuoteMeta(name), "other", `tensor "other": is no matrix`},
		{"a number", `1\.5`, `-1.5`, "want 0 or more"},
		{"an unknown member", `"version"`, `"versions"`, "versions"},
		{"no JSON", `^.`, ``, "JSON"},
		{"nothing", `(?s).*`, ``, "JSON"},
	} {
		changed := regexp.MustCompile(c.pattern).ReplaceAllString(string(text), c.to)
		if err := os.WriteFile(path, []byte(changed), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := openSensitivity(ctx, path, src, &o, extent{3, 100})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "remove the file") {
			t.Errorf("%s is changed: %v, want %q", c.what, err, c.want)
		}
	}
	if _, err := openSensitivity(ctx, filepath.Join(path, "none", "file"), src, &o, extent{3, 100}); err == nil {
		t.Error("a file that cannot be: no error")
	}
	if s, err := openSensitivity(ctx, "", src, &o, extent{3, 100}); err != nil || s.write() != nil {
		t.Errorf("no file: %v", err)
	}
}
