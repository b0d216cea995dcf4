package hf

import (
	"cmp"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/vocab"
)

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

// tokenizerClass returns the class that transformers would load: the one of the files, unless that of the family is
// known to be right in its place; "" is the one that takes a tokenizer.json as it is.
func (c *Checkpoint) tokenizerClass(settings *object, s spelling) string {
	family, class := c.config.top.string("model_type", ""), ""
	if settings != nil {
		class = settings.string("tokenizer_class", "")
	}
	class = cmp.Or(class, c.config.top.string("tokenizer_class", ""))
	if strings.TrimSuffix(class, "Fast") == "LlamaTokenizer" && s.byteLevel && !vocab.Misnamed(family) {
		return ""
	}
	return vocab.Class(family, class)
}
