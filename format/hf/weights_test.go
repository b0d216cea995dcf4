package hf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Weights are found where transformers finds them, and where there is only one thing that they can be.
func TestWeightFiles(t *testing.T) {
	move := func(from, to string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	index := func(change func(w map[string]any)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, indexFile), func(m map[string]any) { change(m["weight_map"].(map[string]any)) })
		}
	}
	for _, c := range []struct {
		name, family string
		do           func(t *testing.T, dir string)
		note         string
	}{
		{"a variant", "mistral", move(singleFile, "model.fp16.safetensors"), "weights are read from model.fp16.safetensors"},
		{"another name", "mistral", func(t *testing.T, dir string) {
			move(singleFile, "pytorch_model.safetensors")(t, dir)
			os.Remove(filepath.Join(dir, "golden.safetensors"))
		}, "weights are read from pytorch_model.safetensors"},
		{"one of one", "mistral", move(singleFile, "model-00001-of-00001.safetensors"), "weights are read from model-00001-of-00001.safetensors"},
		{"no index", "llama", func(_ *testing.T, dir string) { os.Remove(filepath.Join(dir, indexFile)) }, "weights are read from model-00001-of-00003.safetensors, model-00002-"},
		{"both", "mistral", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, indexFile), []byte(`{"weight_map": {"x": "nowhere.safetensors"}}`))
		}, "not read: model.safetensors.index.json"},
		{"more files", "llama", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "consolidated.safetensors"), []byte("no such file"))
		}, "does not name them: consolidated.safetensors"},
		{"index without a tensor", "llama", index(func(w map[string]any) { delete(w, qProj) }), "does not list all tensors of its files (1)"},
		{"index names another shard", "llama", index(func(w map[string]any) {
			w["model.norm.weight"] = "model-00001-of-00003.safetensors"
		}), "is wrong about which file has a tensor (1)"},
		{"an adapter beside", "mistral", func(t *testing.T, dir string) {
			move(singleFile, "weights.safetensors")(t, dir)
			move("golden.safetensors", adapterWeights)(t, dir)
		}, "weights are read from weights.safetensors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyOf(t, c.family)
			c.do(t, dir)
			open := mustOpen(t, dir)
			sameModel(t, open, mustOpen(t, fixtureOf(t, c.family)))
			if !hasNote(open, c.note) {
				t.Errorf("notes %q, want one with %q", open.Notes(), c.note)
			}
		})
	}
}

// tree makes files, of which a name that ends with / is a directory; content stands behind a =.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		name, content, _ := strings.Cut(name, "=")
		path := filepath.Join(dir, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, []byte(content))
	}
	return dir
}

// What people give in place of a checkpoint is named, and what helps is said.
func TestRecognize(t *testing.T) {
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
	for _, c := range []struct {
		files []string
		at    string // within the directory
		kind  Kind
		want  []string
	}{
		{[]string{"config.json", "model.safetensors"}, "", CheckpointKind, []string{"is a checkpoint", "llama-webgpu quantize -i "}},
		{[]string{"config.json", "model.safetensors.index.json"}, "", CheckpointKind, nil},
		{[]string{"manifest.json", "model.wgpu", "vocab.json", "config.json"}, "", BundleKind, []string{"is a bundle", "llama-webgpu infer --model "}},
		{[]string{"manifest.json", "model.wgpu", "config.json", "model.safetensors"}, "", CheckpointKind, nil},
		{[]string{`adapter_config.json={"base_model_name_or_path": "org/base"}`, "adapter_model.safetensors"}, "", AdapterKind, []string{"is an adapter", "(org/base)", "--lora "}},
		{[]string{"adapter_config.json={"}, "", AdapterKind, []string{"(the base model)"}},
		{[]string{"adapter_config.json", "adapters.safetensors"}, "", AdapterKind, []string{"is an adapter of mlx_lm", "mlx_lm.fuse --model BASE"}},
		{[]string{"checkpoint-500/adapter_config.json", "README.md"}, "", OtherKind, []string{"checkpoint-500"}},
		{[]string{"config.json", "zero_to_fp32.py", "latest"}, "", OtherKind, []string{"DeepSpeed", "python zero_to_fp32.py"}},
		{[]string{"org/name/x.Q4_K_M.gguf"}, "org", OtherKind, []string{"holds no model itself", "name"}},
		{[]string{"blobs/sha256-0123", "manifests/registry/x"}, "", OtherKind, []string{"Ollama", "GGUF files in"}},
		{[]string{"model_index.json", "unet/config.json"}, "", OtherKind, []string{"diffusers"}},
		{[]string{"config.json", "pytorch_model.bin"}, "", OtherKind, []string{"weights of PyTorch (pytorch_model.bin)", "save_pretrained("}},
		{[]string{"config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"}, "", OtherKind, []string{"weights of PyTorch"}},
		{[]string{"params.json", "consolidated.00.pth", "tokenizer.model"}, "", OtherKind, []string{"Meta's or Mistral's own format (consolidated.00.pth"}},
		{[]string{"params.json", "consolidated.safetensors", "tekken.json"}, "", OtherKind, []string{"Meta's or Mistral's own format (consolidated.safetensors"}},
		{[]string{"a.Q4_K_M.gguf", "b.Q8_0.gguf"}, "", OtherKind, []string{"has GGUF files: make a bundle of one with: llama-webgpu quantize -i ", "a.Q4_K_M.gguf -o OUT"}},
		{[]string{"config.json", "tf_model.h5"}, "", OtherKind, []string{"TensorFlow or Flax (tf_model.h5)", "from_tf=True"}},
		{[]string{"config.json", "flax_model.msgpack"}, "", OtherKind, []string{"from_flax=True"}},
		{[]string{"config.json", "onnx/model.onnx", "tokenizer.json"}, "", OtherKind, []string{"ONNX", "the checkpoint that it was made from"}},
		{[]string{"config.json", "openvino_model.xml", "openvino_model.bin"}, "", OtherKind, []string{"OpenVINO"}},
		{[]string{"Model.mlpackage/"}, "", OtherKind, []string{"Core ML"}},
		{[]string{"mlc-chat-config.json", "params_shard_0.bin"}, "", OtherKind, []string{"MLC"}},
		{[]string{"config.json", "model.safetensors.incomplete"}, "", OtherKind, []string{"not finished", "same download again"}},
		{[]string{"config.json", ".cache/huggingface/download/x.incomplete"}, "", OtherKind, []string{"not finished"}},
		{[]string{"config.json", "tokenizer.json"}, "", OtherKind, []string{"has a config.json but no weights"}},
		{[]string{"tokenizer.model"}, "", OtherKind, []string{"has a tokenizer (tokenizer.model) but no model"}},
		{[]string{"model.safetensors"}, "", OtherKind, []string{"has weights but no config.json"}},
		{[]string{"refs/main=abc", "snapshots/abc/config.json", "blobs/1"}, "", OtherKind, []string{"cache: give the model in it, ", "snapshots/abc"}},
		{[]string{"refs/main=def\n", "snapshots/abc/x", "snapshots/def/x"}, "", OtherKind, []string{"snapshots/def"}},
		{[]string{"snapshots/", "blobs/1.incomplete"}, "", OtherKind, []string{"nothing is whole"}},
		{[]string{"models--org--name/snapshots/abc/x"}, "", OtherKind, []string{"Hugging Face's cache", "models--org--name"}},
		{[]string{"llama/config.json", "notes.txt"}, "", OtherKind, []string{"holds no model itself, but directories in it do: give ", "llama"}},
		{[]string{}, "", OtherKind, []string{"is empty"}},
		{[]string{"notes.txt"}, "", OtherKind, []string{"neither a bundle (no manifest.json) nor a checkpoint (no config.json, no .gguf file)"}},

		{[]string{"config.json", "model.safetensors"}, "model.safetensors", OtherKind, []string{"is a file of weights: give its directory"}},
		{[]string{"x.safetensors"}, "x.safetensors", OtherKind, []string{"without a config.json beside it"}},
		{[]string{"config.json"}, "config.json", OtherKind, []string{"a part of a checkpoint: give its directory"}},
		{[]string{"model.wgpu"}, "model.wgpu", OtherKind, []string{"a part of a bundle: give its directory"}},
		{[]string{"adapter_model.safetensors"}, "adapter_model.safetensors", AdapterKind, []string{"a part of an adapter", "--lora "}},
		{[]string{"x.gguf=GGUF\x03"}, "x.gguf", OtherKind, []string{"is a GGUF file"}},
		{[]string{"x.pth=PK\x03\x04"}, "x.pth", OtherKind, []string{"is a file of PyTorch"}},
		{[]string{"x.bin=\x80\x02"}, "x.bin", OtherKind, []string{"is a file of PyTorch"}},
		{[]string{"x.zip=PK\x03\x04"}, "x.zip", OtherKind, []string{"is an archive"}},
		{[]string{"x.onnx"}, "x.onnx", OtherKind, []string{"is an ONNX model (x.onnx)"}},
		{[]string{"x.safetensors=" + pointer}, "x.safetensors", OtherKind, []string{"Git LFS pointer"}},
		{[]string{"x.safetensors.incomplete"}, "x.safetensors.incomplete", OtherKind, []string{"not finished"}},
		{[]string{"x"}, "x", OtherKind, []string{"is a file, want the directory of a checkpoint or bundle"}},
		{nil, "nothing", OtherKind, []string{"no such file or directory"}},
	} {
		name := strings.Join(c.files, " ") + " " + c.at
		found := Recognize(filepath.Join(tree(t, c.files...), c.at))
		if found.Kind != c.kind {
			t.Errorf("%s: kind %d, want %d", name, found.Kind, c.kind)
		}
		for _, want := range c.want {
			if !strings.Contains(filepath.ToSlash(found.Advice), want) {
				t.Errorf("%s: %q, want %q", name, found.Advice, want)
			}
		}
	}
}

// Paths that lead nowhere may be names on the hub.
func TestRecognizeNames(t *testing.T) {
	t.Chdir(tree(t, "models/"))
	for path, want := range map[string]string{
		"HuggingFaceTB/SmolLM2-135M-Instruct":              "llama-webgpu fetch HuggingFaceTB/SmolLM2-135M-Instruct --local-dir SmolLM2-135M-Instruct; then give the directory SmolLM2-135M-Instruct",
		"https://huggingface.co/Qwen/Qwen3-0.6B/tree/main": "is an address, want a directory: download it with: llama-webgpu fetch Qwen/Qwen3-0.6B --local-dir Qwen3-0.6B",
		"huggingface.co/Qwen/Qwen3-0.6B":                   "llama-webgpu fetch Qwen/Qwen3-0.6B",
		"hf://Qwen/Qwen3-0.6B":                             "llama-webgpu fetch Qwen/Qwen3-0.6B",
		"https://example.com/model.safetensors":            "is an address, want a directory: download the model first",
		"models/no-such-directory":                         "no such file or directory",
		"./HuggingFaceTB/SmolLM2":                          "no such file or directory",
		"/HuggingFaceTB/SmolLM2":                           "no such file or directory",
		"a/b/c":                                            "no such file or directory",
	} {
		if found := Recognize(path); !strings.Contains(found.Advice, want) || found.Kind != OtherKind {
			t.Errorf("%s: %q, want %q", path, found.Advice, want)
		}
	}
}

// The families that this program has are no other models.
func TestOtherModelTypes(t *testing.T) {
	for name := range families {
		if what := otherModel(name); what != "" {
			t.Errorf("%s is %s", name, what)
		}
	}
	for name, want := range map[string]string{"bert": "encoder", "t5": "encoder-decoder", "whisper": "speech", "clip": "images"} {
		dir := copyOf(t, "mistral")
		edit(t, configOf(dir), set("model_type", name))
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
}

func TestEmbeddingModel(t *testing.T) {
	dir := copyOf(t, "qwen3")
	write(t, filepath.Join(dir, "config_sentence_transformers.json"), []byte("{}"))
	if c := mustOpen(t, dir); !hasNote(c, "warning: this is an embedding model") {
		t.Errorf("notes %q", c.Notes())
	}
}

// Nothing that a directory may hold makes Recognize fail.
func FuzzRecognize(f *testing.F) {
	f.Add("config.json", "GGUF")
	f.Add("x.safetensors", "version https://git-lfs")
	f.Fuzz(func(t *testing.T, name, content string) {
		dir := t.TempDir()
		path := filepath.Join(dir, filepath.Base(name))
		if os.WriteFile(path, []byte(content), 0o644) != nil {
			return
		}
		if a, b := Recognize(dir), Recognize(path); a.Advice == "" || b.Advice == "" {
			t.Errorf("%q: %q, %q", name, a.Advice, b.Advice)
		}
	})
}
