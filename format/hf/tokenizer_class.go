package hf

import "strings"

// classTokens are the special tokens that transformers' classes of tokenizers have where no file names them. Of other
// classes a token that is not named is none. testdata/special.json holds it to them.
var classTokens = map[string]map[string]string{
	"GPT2Tokenizer":      {"bos_token": endOfText, "eos_token": endOfText, "unk_token": endOfText},
	"GPTNeoXTokenizer":   {"bos_token": endOfText, "eos_token": endOfText, "unk_token": endOfText, "pad_token": "<|padding|>"},
	"Qwen2Tokenizer":     {"eos_token": endOfText, "unk_token": endOfText, "pad_token": endOfText},
	"Qwen3_5Tokenizer":   {"eos_token": endOfText, "unk_token": endOfText, "pad_token": endOfText},
	"LlamaTokenizer":     {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
	"CodeLlamaTokenizer": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
	"GemmaTokenizer":     {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"},
	"CohereTokenizer": {
		"bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>", "unk_token": "<UNK>", "pad_token": "<PAD>",
		"cls_token": "<CLS>", "sep_token": "<SEP>", "mask_token": "<MASK_TOKEN>",
	},
}

const endOfText = "<|endoftext|>"

// classes are the classes that transformers has for families, where it has one; backend is the one that takes a
// tokenizer.json as it is.
var classes = map[string]string{
	"gpt2": "GPT2Tokenizer", "gpt_neo": "GPT2Tokenizer", "gptj": "GPT2Tokenizer", "opt": "GPT2Tokenizer", "phi": "GPT2Tokenizer",
	"codegen": "GPT2Tokenizer", "starcoder2": "GPT2Tokenizer", "dbrx": "GPT2Tokenizer", "jais2": "GPT2Tokenizer", "emu3": "GPT2Tokenizer",
	"gpt_neox": "GPTNeoXTokenizer", "mpt": "GPTNeoXTokenizer", "olmo": "GPTNeoXTokenizer", "olmoe": "GPTNeoXTokenizer",
	"qwen2": "Qwen2Tokenizer", "qwen2_moe": "Qwen2Tokenizer", "qwen3": "Qwen2Tokenizer", "qwen3_moe": "Qwen2Tokenizer",
	"qwen3_next": "Qwen2Tokenizer", "qwen3_5_text": "Qwen3_5Tokenizer", "qwen3_5": "Qwen3_5Tokenizer",
	"gemma": "GemmaTokenizer", "gemma2": "GemmaTokenizer", "gemma3": "GemmaTokenizer", "gemma3_text": "GemmaTokenizer",
	"gemma3n": "GemmaTokenizer", "gemma3n_text": "GemmaTokenizer", "recurrent_gemma": "GemmaTokenizer",
	"cohere": "CohereTokenizer", "cohere2": "CohereTokenizer",
	"mistral": backend, "mixtral": backend, "ministral": backend, "ministral3": backend, "phi3": backend, "phimoe": backend,
	"granite": backend, "granitemoe": backend, "granitemoehybrid": backend, "granitemoeshared": backend, "olmo2": backend, "olmo3": backend,
	"stablelm": backend, "gpt_bigcode": backend, "glm": backend, "glm4": backend, "glm4_moe": backend, "ernie4_5": backend,
	"ernie4_5_moe": backend, "nemotron": backend, "minimax_m2": backend, "persimmon": backend, "internlm3": backend, "minicpm3": backend,
	"flex_olmo": backend, "jamba": backend, "kimi_linear": backend,
}

const backend = "TokenizersBackend"

// wrongClass are families whose published files name a class that is not that of the model.
var wrongClass = map[string]bool{"qwen2": true, "phi3": true, "phimoe": true, "nemotron": true}

// tokenizerClass returns the class that transformers would load: the one of the files, unless that of the family is
// known to be right in its place.
func (c *Checkpoint) tokenizerClass(settings *object, s spelling) string {
	family := c.config.top.string("model_type", "")
	registered := classes[family]
	class := ""
	if settings != nil {
		class = settings.string("tokenizer_class", "")
	}
	if class == "" {
		class = c.config.top.string("tokenizer_class", "")
	}
	class = strings.TrimSuffix(class, "Fast")
	switch {
	case class == "":
		return registered
	case class == "LlamaTokenizer" && s.byteLevel && !wrongClass[family]:
		return backend
	case registered == "" || registered == class:
		return class
	case registered == backend:
		return backend
	case wrongClass[family]:
		return registered
	}
	return class
}
