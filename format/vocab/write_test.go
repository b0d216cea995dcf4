package vocab

import (
	"bytes"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
)

// every is a tokenizer that has one of each part.
func every(m Model) *Tokenizer {
	return &Tokenizer{
		Added:         []Added{{ID: 3, Content: "<s>", Special: true}, {ID: 4, Content: "<new>", Rstrip: true}},
		Normalizer:    Normalizers(NFC(), Prepend(" "), Replace(Regex(`\A +`), " "), Replace(Literal(" "), "▁"), Precompiled(nil)),
		PreTokenizer:  PreTokenizers(Split(Literal("a")), Digits(true), Metaspace("first", false)),
		PostProcessor: Processors(ByteLevel(true, false, true), Template([]Special{{"<s>", 3}}, []Special{{"<s>", 3}})),
		Decoder:       Decoders(Replace(Literal("▁"), " "), ByteFallback(), Fuse(), Strip(1)),
		Model:         m,
	}
}

func TestMarshal(t *testing.T) {
	models := map[string]Model{
		"BPE":     &BPE{Vocab: []string{"a", "▁", "▁a", "<s>"}, Merges: [][2]string{{"▁", "a"}}, Unk: "a", FuseUnk: true, ByteFallback: true},
		"Unigram": &Unigram{Vocab: []Scored{{"a", -1.5}, {"▁", -2}, {"▁a", -3}, {"<s>", 0}}},
	}
	for name, m := range models {
		t.Run(name, func(t *testing.T) {
			data, err := every(m).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if again, _ := every(m).Marshal(); !bytes.Equal(data, again) {
				t.Error("other bytes the second time")
			}
			tok, err := tokenizer.Parse(data)
			if err != nil {
				t.Fatalf("%v in\n%s", err, data)
			}
			ids := encoded(tok.Encode("a<new>", true))
			if len(ids) < 4 || ids[0] != 3 || ids[len(ids)-1] != 3 || ids[len(ids)-2] != 4 {
				t.Errorf("ids %v: want 3 … 4 3", ids)
			}
		})
	}
}

func TestMarshalErrors(t *testing.T) {
	for want, vocab := range map[string][]string{
		"duplicate object member name": {"a", "b", "a"},
		"invalid UTF-8":                {"a", "\xff"},
	} {
		if _, err := every(&BPE{Vocab: vocab}).Marshal(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v: want %q", vocab, err, want)
		}
	}
}

// encoded returns the ids of a text that every pattern can be matched against.
func encoded(ids []int32, err error) []int32 {
	if err != nil {
		panic(err)
	}
	return ids
}
