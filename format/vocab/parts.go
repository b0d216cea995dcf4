package vocab

import (
	"encoding/base64"
)

// Part is a step of a tokenizer: its settings, of which the first is its type, in the order in which they are
// written.
type Part []setting

type setting struct {
	name  string
	value any // as writer.value takes it
}

// Pattern is what Replace and Split look for.
type Pattern Part

// Literal is a string that is looked for as it is.
func Literal(s string) Pattern { return Pattern{{"String", s}} }

// Regex is a regular expression of Oniguruma.
func Regex(s string) Pattern { return Pattern{{"Regex", s}} }

// all joins steps: none is nil, one is itself.
func all(list string, parts []Part) Part {
	switch len(parts) {
	case 0:
		return nil
	case 1:
		return parts[0]
	}
	return Part{{"type", "Sequence"}, {list, parts}}
}

// Normalizers are steps one after the other.
func Normalizers(parts ...Part) Part { return all("normalizers", parts) }

// PreTokenizers are steps one after the other.
func PreTokenizers(parts ...Part) Part { return all("pretokenizers", parts) }

// Decoders are steps one after the other.
func Decoders(parts ...Part) Part { return all("decoders", parts) }

// Processors are steps one after the other.
func Processors(parts ...Part) Part { return all("processors", parts) }

// NFC is a normalizer, Unicode's composed form.
func NFC() Part { return Part{{"type", "NFC"}} }

// Prepend is a normalizer that puts s before a text.
func Prepend(s string) Part { return Part{{"type", "Prepend"}, {"prepend", s}} }

// Precompiled is a normalizer, the table of a SentencePiece model.
func Precompiled(charsmap []byte) Part {
	return Part{{"type", "Precompiled"}, {"precompiled_charsmap", base64.StdEncoding.EncodeToString(charsmap)}}
}

// Replace is a normalizer and a decoder.
func Replace(find Pattern, content string) Part {
	return Part{{"type", "Replace"}, {"pattern", Part(find)}, {"content", content}}
}

// Split is a pre-tokenizer that makes each match a piece of its own.
func Split(find Pattern) Part {
	return Part{{"type", "Split"}, {"pattern", Part(find)}, {"behavior", "Isolated"}, {"invert", false}}
}

// SplitAfter is a pre-tokenizer that cuts behind each match.
func SplitAfter(find Pattern) Part {
	return Part{{"type", "Split"}, {"pattern", Part(find)}, {"behavior", "MergedWithPrevious"}, {"invert", false}}
}

// WhitespaceSplit is a pre-tokenizer that cuts at white space, which it removes.
func WhitespaceSplit() Part { return Part{{"type", "WhitespaceSplit"}} }

// Digits is a pre-tokenizer that cuts before and behind digits.
func Digits(individual bool) Part {
	return Part{{"type", "Digits"}, {"individual_digits", individual}}
}

// Metaspace is a pre-tokenizer and a decoder. It turns spaces into ▁ and prepends one as the scheme says: always,
// first or never.
func Metaspace(scheme string, split bool) Part {
	return Part{{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}, {"split", split}}
}

// ByteLevel is a pre-tokenizer, a decoder and a post-processor. It spells each byte as a visible character; with
// regex, it cuts as GPT-2 does.
func ByteLevel(prefixSpace, trimOffsets, regex bool) Part {
	return Part{{"type", "ByteLevel"}, {"add_prefix_space", prefixSpace}, {"trim_offsets", trimOffsets}, {"use_regex", regex}}
}

// ByteFallback is a decoder of <0x00> … <0xFF>.
func ByteFallback() Part { return Part{{"type", "ByteFallback"}} }

// Fuse is a decoder that joins all tokens into one.
func Fuse() Part { return Part{{"type", "Fuse"}} }

// Strip is a decoder that takes up to start spaces from the start of each token.
func Strip(start int) Part {
	return Part{{"type", "Strip"}, {"content", " "}, {"start", start}, {"stop", 0}}
}

// Special is a token that a post-processor adds.
type Special struct {
	Token string
	ID    int
}

// Template is a post-processor that puts special tokens around a text.
func Template(before, after []Special) Part {
	around := func(text string, kind int) (parts []Part) {
		for _, s := range before {
			parts = append(parts, templatePiece("SpecialToken", s.Token, kind))
		}
		parts = append(parts, templatePiece("Sequence", text, kind))
		for _, s := range after {
			parts = append(parts, templatePiece("SpecialToken", s.Token, kind))
		}
		return parts
	}
	tokens, seen := Part{}, map[string]bool{}
	for _, list := range [][]Special{before, after} {
		for _, s := range list {
			if !seen[s.Token] {
				tokens = append(tokens, setting{s.Token, Part{{"id", s.Token}, {"ids", []int{s.ID}}, {"tokens", []string{s.Token}}}})
			}
			seen[s.Token] = true
		}
	}
	return Part{
		{"type", "TemplateProcessing"},
		{"single", around("A", 0)},
		{"pair", append(around("A", 0), around("B", 1)...)},
		{"special_tokens", tokens},
	}
}

func templatePiece(kind, id string, typeID int) Part {
	return Part{{kind, Part{{"id", id}, {"type_id", typeID}}}}
}
