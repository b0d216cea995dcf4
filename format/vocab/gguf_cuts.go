package vocab

// cut is how a tokenizer of byte pairs cuts a text, and what else its name in a GGUF file says of it.
type cut struct {
	normalizer   Part
	steps        []Part // pre-tokenizers
	ignoreMerges bool
	bos          bool // a text begins with the first token, where the file does not say it
}

// bytesOnly spells bytes as characters, and does not cut.
func bytesOnly() Part { return ByteLevel(false, true, false) }

// splits cuts by expressions, one after the other.
func splits(expressions ...string) (steps []Part) {
	for _, e := range expressions {
		steps = append(steps, Split(Regex(e)))
	}
	return append(steps, bytesOnly())
}

// The expressions are those of the tokenizer.json of the models that the names stand for.
const (
	contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
	spacesBehind = `\s*[\r\n]+|\s+(?!\S)|\s+`
	upperLower   = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`
	upper        = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`
	signs        = ` ?[^\s\p{L}\p{N}]+[\r\n]*`
	signsSlashes = ` ?[^\s\p{L}\p{N}]+[\r\n/]*`

	regexLlama3 = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|` + signs + `|` + spacesBehind
	regexQwen2  = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|` + signs + `|` + spacesBehind
	regexQwen35 = contractions + `|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|` + spacesBehind
	regexGPT4o  = upperLower + contractions + `?|` + upper + contractions + `?|\p{N}{1,3}|` + signsSlashes + `|` + spacesBehind
	regexTekken = upperLower + `|` + upper + `|\p{N}|` + signsSlashes + `|` + spacesBehind
	regexSeed   = contractions + "|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
	regexBloom  = ` ?[^(\s|.,!?…。，、।۔،)]+`

	regexDeepSeek3 = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)

var (
	cutGPT2     = cut{steps: []Part{ByteLevel(false, true, true)}}
	cutDigits   = cut{steps: []Part{Digits(true), ByteLevel(false, true, true)}}
	cutCommand  = cut{normalizer: NFC(), steps: cutDigits.steps}
	cutLlama3   = cut{steps: splits(regexLlama3), ignoreMerges: true, bos: true}
	cutGPT4     = cut{steps: splits(regexLlama3)}
	cutQwen2    = cut{normalizer: NFC(), steps: splits(regexQwen2)}
	cutQwen35   = cut{normalizer: NFC(), steps: splits(regexQwen35)}
	cutGPT4o    = cut{steps: splits(regexGPT4o)}
	cutTekken   = cut{steps: splits(regexTekken), ignoreMerges: true, bos: true}
	cutSeed     = cut{steps: splits(regexSeed)}
	cutBloom    = cut{steps: splits(regexBloom)}
	cutViking   = cut{steps: []Part{Split(Regex(regexBloom)), Digits(true), bytesOnly()}}
	cutCoder    = cut{steps: []Part{Split(Regex("[\r\n]")), Split(Regex(`\s?\p{L}+`)), Split(Regex(`\s?\p{P}+`)), Split(Regex("[一-龥ࠀ-一가-퟿]+")), Digits(true), bytesOnly()}}
	cutDeepSeek = cut{steps: splits(`\p{N}{1,3}`, `[一-龥぀-ゟ゠-ヿ]+`, regexDeepSeek3)}
)

// ggufCuts are the known values of tokenizer.ggml.pre.
var ggufCuts = map[string]cut{
	"gpt-2": cutGPT2, "phi-2": cutGPT2, "olmo": cutGPT2, "mpt": cutGPT2, "gigachat": cutGPT2, "a.x-4.0": cutGPT2, "mellum": cutGPT2,
	"jais": cutGPT2, "trillion": cutGPT2, "exaone4": cutGPT2, "granite-docling": cutGPT2, "roberta-bpe": cutGPT2,
	"smollm": cutDigits, "starcoder": cutDigits, "refact": cutDigits, "codeshell": cutDigits, "exaone": cutDigits, "minerva-7b": cutDigits,
	"command-r": cutCommand,
	"llama3":    cutLlama3, "llama-v3": cutLlama3, "llama-bpe": cutLlama3, "falcon3": cutLlama3, "falcon-h1": cutLlama3, "pixtral": cutLlama3,
	"midm-2.0": cutLlama3, "lfm2": cutLlama3,
	"dbrx": cutGPT4, "smaug-bpe": cutGPT4, "glm4": cutGPT4, "chatglm-bpe": cutGPT4,
	"qwen2": cutQwen2, "deepseek-r1-qwen": cutQwen2, "kormo": cutQwen2, "megrez": cutQwen2, "stablelm2": cutQwen2, "hunyuan": cutQwen2, "grok-2": cutQwen2,
	"qwen35": cutQwen35,
	"gpt-4o": cutGPT4o, "llama4": cutGPT4o, "minimax-m2": cutGPT4o,
	"tekken":     cutTekken,
	"seed-coder": cutSeed,
	"bloom":      cutBloom, "poro-chat": cutBloom, "gpt3-finnish": cutBloom, "viking": cutViking,
	"deepseek-coder": cutCoder, "deepseek-v3": cutDeepSeek, "hunyuan-dense": cutDeepSeek, "joyai-llm": cutDeepSeek,
}
