package hf

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// foreigners are files that other programs want, and what they are.
var foreigners = []struct{ patterns, what string }{
	{"tf_model.h5 flax_model.msgpack *.h5.index.json *.msgpack.index.json", "weights of TensorFlow or Flax (%s): save them as safetensors with transformers 4: from_pretrained(DIR, from_tf=True) or from_flax=True, then save_pretrained"},
	{"zero_to_fp32.py global_step*", "a checkpoint of DeepSpeed (%s): make weights of it with: python zero_to_fp32.py DIR OUT --safe_serialization"},
	{"*.onnx *.onnx_data onnx", "an ONNX model" + made},
	{"openvino*", "an OpenVINO model" + made},
	{"*.mlpackage *.mlmodelc *.mlmodel", "a Core ML model" + made},
	{"*.tflite *.litertlm *.task", "a LiteRT model" + made},
	{"params_shard_* mlc-chat-config.json ndarray-cache.json tensor-cache.json", "an MLC model" + made},
	{"*.engine *.plan", "a TensorRT engine" + made},
	{"*.npz", "an old MLX model" + made},
	{"ggml* *.ggml *.llamafile", "a model of llama.cpp" + made},
	{"*.nemo *.mar *.pte *.rkllm *.distcp *.orbax*", "a model for another program" + made},
}

const made = " (%s): want the checkpoint that it was made from"

// foreign says what a file is that another program wants, "" if it is nothing of the kind.
func foreign(name string) string {
	for _, f := range foreigners {
		for _, pattern := range strings.Fields(f.patterns) {
			if ok, _ := filepath.Match(pattern, name); ok { // the patterns are well-formed
				return fmt.Sprintf(f.what, name)
			}
		}
	}
	return ""
}

// otherModels are values of model_type that are no decoder-only language model.
var otherModels = []struct{ types, what string }{
	{
		`albert bert big_bird camembert canine convbert deberta deberta-v2 distilbert electra ernie esm eurobert flaubert funnel
		data2vec-text bert-generation gte-new ibert layoutlm layoutlmv2 layoutlmv3 lilt longformer luke megatron-bert mobilebert modernbert mpnet mra new
		nomic_bert nystromformer rembert roberta roberta-prelayernorm roc_bert roformer squeezebert xlm xlm-roberta xlm-roberta-xl xmod yoso`,
		"an encoder, as embedding models and classifiers are: it writes no text",
	},
	{
		`bart bigbird_pegasus blenderbot blenderbot-small encoder-decoder fsmt led longt5 m2m_100 marian mbart mt5 mvp nllb-moe pegasus
		pegasus_x plbart prophetnet switch_transformers t5 t5gemma t5gemma2 umt5 xlm-prophetnet`,
		"an encoder-decoder, which has an encoder and cross-attention besides",
	},
	{`audio-spectrogram-transformer moshi moss_transcribe_diarize musicgen_melody bark clap csm dac dia encodec hubert kyutai_speech_to_text mimi moonshine musicgen parakeet seamless_m4t
		seamless_m4t_v2 speech_to_text speecht5 unispeech vits wav2vec2 wav2vec2-bert wavlm whisper`, "a model of speech or sound"},
	{
		`align beit blip emu3 fuyu git got_ocr2 trocr chinese_clip clip clip_text_model clip_vision_model clipseg convnext convnextv2 deit detr dinov2 dinov3_vit dpt
		grounding-dino mobilenet_v2 owlvit resnet sam sam2 segformer siglip siglip2 swin timm_wrapper vit vit_mae`,
		"a model of images",
	},
	{"gpt-sw3", "the name of a tokenizer, whose models are of model_type gpt2"},
	{"gpt_neox_reward_model", "a reward model: it rates texts and writes none"},
	{"gemma4_assistant gemma4_unified_assistant", "an assistant that reads the keys and values of another model"},
}

// missingParts are decoder-only language models with a part that is not computed here.
var missingParts = []struct{ types, part string }{
	{"deepseek_v4", "attention to compressed positions"},
	{"dots3_note dots3_note_text", "attention to those positions that an indexer chooses, beside windows"},
	{"minimax_m3_vl_text minimax_m3_vl", "attention to those blocks of positions that an indexer chooses"},
	{"doge", "attention to those positions that a learned mask keeps"},
	{"phi3small rugpt3xl", "attention to blocks of positions by a pattern"},
	{"reformer", "attention by hashes"},
	{"jetmoe", "mixtures of attention heads"},
	{"laguna step3p5 step3p7 lfm3", "gates of a head as a whole"},
	{"skt_omni_supreme skt_omni", "experts that its configuration does not describe"},
	{"mimo_v2_flash", "values of another width than keys"},
	{"persimmon", "norms of queries and keys with biases"},
	{"beam", "sums of branches that are scaled by depth"},
	{"zaya", "attention in a compressed space, with convolutions"},
	{"xlnet", "attention over permutations of the positions"},
	{"cpmant inkling_text inkling2_text inkling2_loop_text", "scores by learned positions relative to the query"},
	{"ctrl xglm", "sines of the position that are added to the embedding"},
	{"dory hrm_text", "layers that a token passes through several times"},
	{"hy_v4", "several residual streams (hyper-connections)"},
	{"axk1", "a norm behind the experts alone"},
	{"axk2", "norms with gates"},
	{"openai-gpt", "norms of the residual stream behind each branch"},
	{"gpt_neox_japanese", "a bias behind attention in the last layer alone"},
	{"modernbert-decoder", "a matrix and a norm before the head"},
	{"kolibri1", "a bias that chooses experts by the router's logits"},
	{"aria_text dbrx", "stacks of experts as this family stores them"},
	{"phi4_multimodal", "adapters that are switched on for images and sounds"},
	{"cohere_compass_text", "a RoPE in three dimensions"},
	{"apertus1p5_text apertus1p5", "a head for a part of the vocabulary"},
	{"blt", "patches of bytes in place of tokens"},
	{"yuan", "a filter over neighboring positions"},
	{"lara_mini", "gated delta nets as this family stores them"},
	{"qwen4_exp qwen4_exp_text", "embeddings of sequences of tokens"},
	{"longcat_flash", "layers of two attentions, and experts that hand their input on"},
	{"minimax", "linear attention that fades at a fixed rate in each head"},
	{"kimi_linear kimi_k3 bailing_hybrid", "linear attention with gates of its own"},
	{"olmo_hybrid", "gated delta nets with convolutions of their own"},
	{"mamba falcon_mamba jamba zamba", "state space layers whose elements fade each at a rate of their own (Mamba 1)"},
	{"zamba2", "blocks that layers share, with adapters of their own"},
	{"rwkv xlstm recurrent_gemma", "recurrent layers"},
	{"bitnet", "weights of three values, and rounded activations"},
	{"diffllama", "attention as a difference of two"},
	{"mistral4", "latent attention whose temperature depends on the position"},
	{"mllama", "cross-attention"},
}

// missingPart says which part of a decoder-only language model is not computed here, "" if that is not known.
func missingPart(name string) string {
	for _, m := range missingParts {
		if slices.Contains(strings.Fields(m.types), name) {
			return m.part
		}
	}
	return ""
}

// otherModel says what a model_type is that is no decoder-only language model, "" if it may be one.
func otherModel(name string) string {
	for _, o := range otherModels {
		if slices.Contains(strings.Fields(o.types), name) {
			return o.what
		}
	}
	return ""
}

// again is how to finish a download.
const again = "run the same download again, it goes on where it stopped"

// unfinished says, behind an error, that a download into dir has not come to its end.
func unfinished(dir string) string {
	for _, at := range []string{dir, filepath.Join(dir, ".cache", "huggingface", "download"), filepath.Join(dir, "..", "..", "blobs")} {
		for _, n := range filesIn(at) {
			if strings.HasSuffix(n, ".incomplete") || strings.HasSuffix(n, ".part") || strings.HasSuffix(n, ".crdownload") || strings.HasSuffix(n, ".aria2") {
				return "; a download is not finished: " + again
			}
		}
	}
	return ""
}

// onlyConfig begins what is said of a directory that has nothing in place of the weights.
const onlyConfig = "has a config.json but no weights"

// Instead says what a directory has instead of weights, and what to do with it; "" if there is nothing.
func Instead(dir string) string {
	if len(weightsIn(dir)) > 0 && unfinished(dir) == "" {
		return ""
	}
	if advice := noWeights(dir); !strings.HasPrefix(advice, onlyConfig) {
		return advice
	}
	return ""
}

// noWeights says why a directory with a config.json has no weights to read.
func noWeights(dir string) string {
	return recognizeWeights(dir, filesIn(dir)).Advice
}

// adapterAdvice says how to use the adapter in dir.
func adapterAdvice(dir string) string {
	var config struct {
		Base string `json:"base_model_name_or_path"`
	}
	if data, err := os.ReadFile(filepath.Join(dir, adapterConfig)); err == nil {
		_ = json.Unmarshal(data, &config) // what cannot be read names no base
	}
	base := cmp.Or(config.Base, "the base model")
	return fmt.Sprintf("get its base model (%s), and merge it with: llama-webgpu quantize -i BASE --lora %s -o OUT -f int4", base, word(dir))
}

// pickleAdvice says how to make safetensors of what PyTorch wrote.
func pickleAdvice(dir string) string {
	return fmt.Sprintf(`only safetensors are read. Convert it with Python: from transformers import AutoModelForCausalLM, AutoTokenizer; `+
		`AutoModelForCausalLM.from_pretrained(%[1]q, dtype="auto").save_pretrained(%[2]q); AutoTokenizer.from_pretrained(%[1]q).save_pretrained(%[2]q)`,
		dir, strings.TrimRight(dir, `/\`)+"-safetensors")
}

const pointerAdvice = "is a Git LFS pointer, not the file itself: fetch it with git lfs pull in the clone, or get the model with llama-webgpu fetch"

// disguised says what a file is that begins like this and is not what its name says, "" if it may be.
func disguised(head []byte) string {
	switch {
	case IsPointer(head):
		return pointerAdvice
	case isPage(head):
		return "is a page of a website, not the file itself: get the model with llama-webgpu fetch"
	case bytes.HasPrefix(head, []byte("GGUF")):
		return "is a GGUF file under another name: give it as NAME.gguf"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return "is an archive or a file of PyTorch under another name; only safetensors are read"
	}
	return ""
}

// isPage reports whether a file that begins like this is a page, as servers send one in place of a file.
func isPage(head []byte) bool {
	return bytes.HasPrefix(head, []byte("<!")) || bytes.HasPrefix(head, []byte("<html"))
}

// IsPointer reports whether data begins like the pointer that Git LFS stores in place of a large
// file.
func IsPointer(data []byte) bool {
	return bytes.HasPrefix(data, []byte("version https://git-lfs.github.com/spec/"))
}

// ofMLX says how to merge an adapter of mlx_lm, "" if there is none in dir.
func ofMLX(dir string) string {
	if !present(dir, "adapters.safetensors") || present(dir, adapterWeights) {
		return ""
	}
	return "is an adapter of mlx_lm; supported: those of PEFT. Merge it with: mlx_lm.fuse --model BASE --adapter-path " + dir + " --save-path OUT"
}

// noAdapter says what is in a directory that has an adapter_config.json but no weights to read.
func noAdapter(dir string) string {
	if present(dir, "adapter_model.bin") {
		return "adapter_model.bin is a file of PyTorch. Save it as safetensors with Python: import torch, safetensors.torch as s; " +
			`s.save_file(torch.load("adapter_model.bin", map_location="cpu", weights_only=True), "adapter_model.safetensors")`
	}
	if why := unfinished(dir); why != "" {
		return strings.TrimPrefix(why, "; ")
	}
	return "want the directory that PEFT's save_pretrained wrote"
}
