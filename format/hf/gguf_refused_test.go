package hf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/llama-webgpu/llama-webgpu/format/gguf/gguftest"
)

// TestNoGGUF are files that are called .gguf and are something else.
func TestNoGGUF(t *testing.T) {
	for content, want := range map[string]string{
		"":     "is cut off: it has 0 bytes; fetch it again",
		"GGUF": "is cut off: it has 4 bytes; fetch it again",
		"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12\n": pointerAdvice,
		"<!doctype html><html>":                "is a page of a website",
		"a text that is neither this nor that": "not a GGUF file: it begins with",
	} {
		path := filepath.Join(t.TempDir(), "model.gguf")
		write(t, path, []byte(content))
		if _, err := Open(path); err == nil || !strings.HasPrefix(err.Error(), path+": "+want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

// TestGGUFPredictors: layers that predict further tokens are left out.
func TestGGUFPredictors(t *testing.T) {
	of, err := Open(fixtureOf(t, "glm4_moe"))
	if err != nil {
		t.Fatal(err)
	}
	defer of.Close()
	f := converted(t, of, readConverted(t)["glm4_moe"])
	for i, v := range f.Values {
		switch v.Key {
		case "glm4moe.block_count":
			f.Values[i].Value = uint32(len(of.Spec().Layers) + 1)
		case "glm4moe.nextn_predict_layers":
			f.Values[i].Value = uint32(1)
		}
	}
	for _, name := range []string{"attn_norm.weight", "nextn.eh_proj.weight"} {
		f.Tensors = append(f.Tensors, gguftest.Tensor{Name: fmt.Sprintf("blk.%d.%s", len(of.Spec().Layers), name), Shape: []int{1}, Data: make([]byte, 4)})
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	writeFile(t, path, f.Bytes())
	if d := cmp.Diff(of.Spec(), mustOpen(t, path).Spec()); d != "" {
		t.Error(d)
	}
}

// TestGGUFElsewhere: what is said to be read from other files is not read here, and its families exist.
func TestGGUFElsewhere(t *testing.T) {
	for arch, names := range ggufElsewhere {
		if ggufArchs[arch] != nil {
			t.Errorf("%s is read", arch)
		}
		for name := range strings.SplitSeq(names, " or ") {
			if families[name] == nil {
				t.Errorf("%s: no family %s", arch, name)
			}
		}
	}
}

// TestGGUFRefused: what cannot be read is named.
func TestGGUFRefused(t *testing.T) {
	type change func(f *gguftest.File)
	set := func(key string, v any) change {
		return func(f *gguftest.File) {
			for i := range f.Values {
				if f.Values[i].Key == key {
					f.Values[i].Value = v
					return
				}
			}
			f.Values = append(f.Values, gguftest.Value{Key: key, Value: v})
		}
	}
	drop := func(name string) change {
		return func(f *gguftest.File) {
			f.Tensors = slices.DeleteFunc(f.Tensors, func(x gguftest.Tensor) bool { return x.Name == name })
		}
	}
	of, err := Open(fixtureOf(t, "qwen2"), edited(ggufUnsaid["qwen2"]))
	if err != nil {
		t.Fatal(err)
	}
	defer of.Close()
	want := readConverted(t)["qwen2"]
	for text, edit := range map[string]change{
		`architecture "mamba" is not supported; supported: afmoe`:                                              set("general.architecture", "mamba"),
		`"deepseek32" is not read from GGUF files, but from the model's safetensors (model_type deepseek_v32)`: set("general.architecture", "deepseek32"),
		`metadata "qwen2.expert_gating_func": 2 is not supported; the experts of qwen2 are chosen by 1`:        set("qwen2.expert_gating_func", uint32(2)),
		`metadata "qwen2.expert_group_count": 2: groups of experts are not supported`:                          set("qwen2.expert_group_count", uint32(2)),
		`metadata "qwen2.expert_weights_scale": 2.5 is not supported for qwen2`:                                set("qwen2.expert_weights_scale", float32(2.5)),
		`metadata "qwen2.nextn_predict_layers": 3 of 3 layers`:                                                 set("qwen2.nextn_predict_layers", uint32(3)),
		`the part of a model that sees or hears`:                                                               set("general.architecture", "clip"),
		`it holds no model but an adapter`:                                                                     set("general.type", "adapter"),
		`metadata "qwen2.block_count": want a whole number, have "two"`:                                        set("qwen2.block_count", "two"),
		`layers that differ, here [48 48 50], are not supported`:                                               set("qwen2.feed_forward_length", []int32{48, 48, 50}),
		`metadata "qwen2.attention.causal"`:                                                                    set("qwen2.attention.causal", false),
		`metadata "qwen2.rope.scaling.type": "su" is not supported`:                                            set("qwen2.rope.scaling.type", "su"),
		`this architecture rotates whole heads`:                                                                set("qwen2.rope.dimension_count", uint32(4)),
		`it is part 2 of 3 of a model`:                                                                         func(f *gguftest.File) { set("split.count", uint32(3))(f); set("split.no", uint32(1))(f) },
		`tensor "blk.1.ffn_up.weight" is missing`:                                                              drop("blk.1.ffn_up.weight"),
		`tensor "token_embd.weight" is missing`:                                                                drop("token_embd.weight"),
		`tensor "blk.0.attn_sinks.weight": unexpected`: func(f *gguftest.File) {
			f.Tensors = append(f.Tensors, gguftest.Tensor{Name: "blk.0.attn_sinks.weight", Shape: []int{1}, Data: make([]byte, 4)})
		},
		`tensor "output.weight": type IQ2_XXS is not supported; supported: F32`: func(f *gguftest.File) {
			f.Tensors = append(f.Tensors, gguftest.Tensor{Name: "output.weight", Shape: []int{1, 256}, Type: 16, Data: make([]byte, 66)})
		},
	} {
		f := converted(t, of, want)
		edit(f)
		path := filepath.Join(t.TempDir(), "model.gguf")
		writeFile(t, path, f.Bytes())
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), text) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%v, want %q", err, text)
		}
	}
}

// TestGGUFShortLists: a list must have an entry for each layer.
func TestGGUFShortLists(t *testing.T) {
	for family, key := range map[string]string{
		"exaone4": "exaone4.attention.sliding_window_pattern", "qwen3_5": "qwen35.attention.recurrent_layers",
	} {
		of := mustOpen(t, fixtureOf(t, family))
		f := converted(t, of, readConverted(t)[family])
		at := slices.IndexFunc(f.Values, func(v gguftest.Value) bool { return v.Key == key })
		f.Values[at].Value = f.Values[at].Value.([]bool)[1:]
		path := filepath.Join(t.TempDir(), "model.gguf")
		writeFile(t, path, f.Bytes())
		layers := len(of.Spec().Layers)
		want := fmt.Sprintf("metadata %q: %d entries for %d layers", key, layers-1, layers)
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestGGUFFiles: a file, a directory with one, a model in parts; what is none.
func TestGGUFFiles(t *testing.T) {
	of, err := Open(fixtureOf(t, "qwen2"), edited(ggufUnsaid["qwen2"]))
	if err != nil {
		t.Fatal(err)
	}
	defer of.Close()
	whole := converted(t, of, readConverted(t)["qwen2"])
	dir := t.TempDir()
	half := len(whole.Tensors) / 2
	part := func(no int, values []gguftest.Value, tensors []gguftest.Tensor) {
		f := gguftest.File{Values: append(slices.Clone(values), gguftest.Value{Key: "split.no", Value: uint32(no)}, gguftest.Value{Key: "split.count", Value: uint32(2)}), Tensors: tensors}
		writeFile(t, filepath.Join(dir, fmt.Sprintf("m-%05d-of-00002.gguf", no+1)), f.Bytes())
	}
	part(0, whole.Values, whole.Tensors[:half])
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "m-00002-of-00002.gguf: missing: the model is in 2 files") {
		t.Error(err)
	}
	part(1, nil, whole.Tensors[half:])
	writeFile(t, filepath.Join(dir, "mmproj-m.gguf"), nil)
	for _, path := range []string{dir, filepath.Join(dir, "m-00001-of-00002.gguf"), filepath.Join(dir, "m-00002-of-00002.gguf")} {
		c, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		sameTensors(t, of, c)
		if n := len(c.Files()); n != 2 {
			t.Errorf("%s: %d files", path, n)
		}
		c.Close()
	}
	bare := filepath.Join(t.TempDir(), "sha256-0123")
	writeFile(t, bare, whole.Bytes())
	c, err := Open(bare)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	writeFile(t, filepath.Join(dir, "other.gguf"), whole.Bytes())
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "there are several GGUF models: name one of the files m-00001-of-00002.gguf, other.gguf") {
		t.Error(err)
	}
}
