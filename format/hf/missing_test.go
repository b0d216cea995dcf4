package hf

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMissing(t *testing.T) {
	index := `{"weight_map": {"a": "model-00001-of-00003.safetensors", "b": "model-00003-of-00003.safetensors", "c": "model-00002-of-00003.safetensors", "d": "model-00003-of-00003.safetensors"}}`
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"nothing":  {nil, []string{"model.safetensors"}},
		"one file": {map[string]string{"model.safetensors": ""}, nil},
		"index only": {
			map[string]string{"model.safetensors.index.json": index},
			[]string{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"},
		},
		"under way": {
			map[string]string{"model.safetensors.index.json": index, "model-00002-of-00003.safetensors": ""},
			[]string{"model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"},
		},
		"all": {map[string]string{
			"model.safetensors.index.json": index, "model-00001-of-00003.safetensors": "", "model-00002-of-00003.safetensors": "", "model-00003-of-00003.safetensors": "",
		}, nil},
		"no index yet": {
			map[string]string{"model-00002-of-00002.safetensors": ""},
			[]string{"model-00001-of-00002.safetensors"},
		},
		"another name":   {map[string]string{"weights.safetensors": ""}, nil},
		"another format": {map[string]string{"pytorch_model.bin": ""}, []string{"model.safetensors"}},
	} {
		dir := t.TempDir()
		for file, text := range test.files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Missing(dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, append([]string(nil), got...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, indexFile), []byte(`{"weight_map"`), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Missing(dir); err == nil {
		t.Error("a damaged index: no error")
	}
}
