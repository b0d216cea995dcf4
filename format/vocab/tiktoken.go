package vocab

import (
	"fmt"
	"slices"
)

const (
	regexCL100K = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s`
	// regexKimi takes Chinese characters out of the letters of GPT-4o, and gives them words of their own.
	regexKimi = `[\p{Han}]+` +
		`|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])*(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])+` + contractions + `?` +
		`|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])+(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])*` + contractions + `?` +
		`|\p{N}{1,3}|` + signs + `|` + spacesBehind
)

// encoding is a vocabulary of tiktoken that is known.
type encoding struct {
	name    string // as people know it
	is      func(file, class string, tokens int) bool
	pattern string
	nfc     bool
	special func() []string // the ids follow on the ranks
	bos     string          // goes before each text; "": nothing does
	eos     string
}

// encodings are those that are known, the first that fits counts.
var encodings = []encoding{
	{
		name: "Llama 3", pattern: regexLlama3, special: llama3Tokens, bos: "<|begin_of_text|>", eos: "<|end_of_text|>",
		is: func(file, _ string, tokens int) bool { return file == "tokenizer.model" && tokens == 128000 },
	},
	{
		name: "Llama 4", pattern: regexGPT4o, special: llama4Tokens, bos: "<|begin_of_text|>", eos: "<|end_of_text|>",
		is: func(file, _ string, tokens int) bool { return file == "tokenizer.model" && tokens == 200000 },
	},
	{
		name: "Qwen", pattern: regexQwen2, nfc: true, special: qwenTokens, eos: endOfText,
		is: func(file, class string, _ int) bool { return file == "qwen.tiktoken" || class == "QWenTokenizer" },
	},
	{
		name: "Kimi", pattern: regexKimi,
		is: func(file, class string, _ int) bool { return file == tiktokenName && class == "TikTokenTokenizer" },
	},
	{
		name: "cl100k_base", pattern: regexCL100K,
		is: func(file, _ string, _ int) bool { return file == "cl100k_base.tiktoken" },
	},
	{
		name: "o200k_base", pattern: regexGPT4o,
		is: func(file, _ string, _ int) bool { return file == "o200k_base.tiktoken" },
	},
}

// tiktokenName is what some call a vocabulary of tiktoken.
const tiktokenName = "tiktoken.model"

// convertRanks builds the tokenizer of a vocabulary of tiktoken. Where it is none that is known, text is cut as
// transformers cuts it for any such file. The second value says how.
func convertRanks(file string, r *ranks, s *settings) (*Tokenizer, string) {
	e := encoding{pattern: regexLlama3}
	how := "cut as transformers cuts text for such files"
	if at := slices.IndexFunc(encodings, func(e encoding) bool { return e.is(file, s.class, len(r.rank)) }); at >= 0 {
		e = encodings[at]
		how = "of " + e.name
	}
	t := cutBy(e.pattern)
	if e.nfc {
		t.Normalizer = NFC()
	}
	model, ids := r.model(0)
	t.Model = model
	a := newAdder(ids)
	p := profile{named: map[string]string{}}
	switch {
	case len(s.placed) > 0 && s.placed[len(s.placed)-1].id >= len(r.rank):
		for _, name := range s.contiguous(len(r.rank)) {
			a.add(plain(name).Added)
		}
	case e.special != nil:
		for _, name := range e.special() {
			a.add(plain(name).Added)
		}
	}
	p.otherwise = beginBy(a, e.bos)
	for role, text := range map[string]string{"bos_token": e.bos, "eos_token": e.eos} {
		if _, ok := a.id(text); ok {
			p.named[role] = text
		}
	}
	for _, x := range s.extra {
		a.add(plain(x.Content).Added)
	}
	s.finish(t, a, p)
	return t, how
}

// beginBy returns the post-processor of a vocabulary of bytes whose texts begin with a token, if it is there.
func beginBy(a *adder, token string) Part {
	if id, ok := a.id(token); ok {
		return Processors(ByteLevel(true, false, true), Template([]Special{{token, id}}, nil))
	}
	return ByteLevel(true, false, true)
}

// contiguous returns the names of the added tokens from an id on, with names for those between them that have none.
func (s *settings) contiguous(from int) (names []string) {
	for _, p := range s.placed {
		if p.id < from {
			continue
		}
		for from+len(names) < p.id && len(names) < maxReserved {
			names = append(names, fmt.Sprintf("<|reserved_token_%d|>", from+len(names)))
		}
		names = append(names, p.Content)
	}
	return names
}

// maxReserved is how many tokens may be between two that have names.
const maxReserved = 1 << 16

// numbered returns names with numbers from first to last in them.
func numbered(format string, first, last int) (names []string) {
	for i := first; i <= last; i++ {
		names = append(names, fmt.Sprintf(format, i))
	}
	return names
}

func llama3Tokens() []string {
	const reserved = "<|reserved_special_token_%d|>"
	return slices.Concat(
		[]string{"<|begin_of_text|>", "<|end_of_text|>"}, numbered(reserved, 0, 1), []string{"<|finetune_right_pad_id|>"}, numbered(reserved, 2, 2),
		[]string{"<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"}, numbered(reserved, 3, 247),
	)
}

func llama4Tokens() []string {
	const text, vision = "<|text_post_train_reserved_special_token_%d|>", "<|vision_reserved_special_token_%d|>"
	names := slices.Concat(
		[]string{"<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"},
		[]string{"<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>"}, numbered(text, 0, 5),
		[]string{"<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"}, numbered(text, 8, 68),
		[]string{"<|image_start|>", "<|image_end|>"}, numbered(vision, 0, 1), []string{"<|tile_x_separator|>", "<|tile_y_separator|>"}, numbered(vision, 2, 5),
		[]string{"<|image|>"}, numbered(vision, 6, 6), []string{"<|patch|>"}, numbered(vision, 7, 1047),
		numbered("<|reasoning_reserved_special_token_%d|>", 0, 7), []string{"<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"},
	)
	return append(names, numbered("<|reserved_special_token_%d|>", 0, 2047-len(names))...)
}

func qwenTokens() []string {
	return append([]string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, numbered("<|extra_%d|>", 0, 204)...)
}
