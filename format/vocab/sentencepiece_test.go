package vocab

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
)

// spmModels are the models of SentencePiece in testdata.
var spmModels = []string{"bpe", "bpe_plain", "gemma", "unigram", "unigram_bytes", "t5", "char"}

func TestParseSentencePiece(t *testing.T) {
	m, err := parseSentencePiece(testFile(t, "gemma.model"))
	if err != nil {
		t.Fatal(err)
	}
	if m.kind != kindBPE || !m.byteFallback || m.dummyPrefix || m.squeeze || !m.escape || m.suffix || len(m.charsmap) > 0 {
		t.Errorf("a model of %v, bytes %v, prefix %v, squeezed %v, escaped %v, suffix %v, a table of %d bytes", m.kind, m.byteFallback, m.dummyPrefix, m.squeeze, m.escape, m.suffix, len(m.charsmap))
	}
	if m.pad != 0 || m.eos != 1 || m.bos != 2 || m.unk != 3 || m.bosPiece != "<bos>" || m.eosPiece != "<eos>" {
		t.Errorf("ids %d %d %d %d, pieces %q %q", m.pad, m.eos, m.bos, m.unk, m.bosPiece, m.eosPiece)
	}
	if len(m.pieces) != 520 || m.pieces[3].kind != pieceUnknown || m.pieces[2].kind != pieceControl || m.pieces[5].text != "\n" || m.pieces[5].kind != pieceUserDefined {
		t.Errorf("pieces: %d, %+v", len(m.pieces), m.pieces[:6])
	}
}

// message returns fields one after the other: numbers, and values that are a string, an int or a float32's bits.
func message(parts ...any) (out []byte) {
	for i := 0; i < len(parts); i += 2 {
		number := protowire.Number(parts[i].(int))
		switch v := parts[i+1].(type) {
		case string:
			out = protowire.AppendString(protowire.AppendTag(out, number, protowire.BytesType), v)
		case []byte:
			out = protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), v)
		case int:
			out = protowire.AppendVarint(protowire.AppendTag(out, number, protowire.VarintType), uint64(v))
		case uint32:
			out = protowire.AppendFixed32(protowire.AppendTag(out, number, protowire.Fixed32Type), v)
		}
	}
	return out
}

func TestSentencePieceErrors(t *testing.T) {
	a := message(1, message(1, "<unk>", 3, 2), 1, message(1, "a", 2, uint32(0)))
	whole := testFile(t, "bpe.model")
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":      {nil, "it has no pieces"},
		"cut":        {whole[:len(whole)-5], "unexpected EOF"},
		"cut early":  {whole[:1001], "is not a model of SentencePiece"},
		"text":       {[]byte("this is text"), "is not a model of SentencePiece"},
		"UTF-8":      {message(1, message(1, "\xff")), "pieces: field 1: \"\\xff\" is not UTF-8"},
		"wire type":  {message(1, message(1, 5)), "pieces: field 1 has type 0"},
		"score":      {message(1, message(2, uint32(0x7F800000))), "a score is +Inf"},
		"unk":        {append(message(2, message(40, 7)), a...), "unk_id is 7: want one of the 2 pieces"},
		"kind":       {append(message(2, message(3, 9)), a...), "model_type 9"},
		"words":      {append(message(2, message(3, 3)), a...), "SentencePiece model of words"},
		"suffix":     {append(message(2, message(3, 2, 24, 1)), a...), "treat_whitespace_as_suffix"},
		"git-lfs":    {[]byte("version https://git-lfs.github.com/spec/v1\noid sha256:x\n"), "git lfs pull"},
		"foreign":    {whole, "tokenizer_class XGLMTokenizer has rules of its own"},
		"many units": {bytes.Repeat([]byte{0x0A}, 64), "is not a model"},
	} {
		class := ""
		if name == "foreign" {
			class = "XGLMTokenizer"
		}
		_, err := Convert(sourceOf(map[string][]byte{"tokenizer.model": c.data}, "llama", class))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "tokenizer.model: ") {
			t.Errorf("%s: error %v: want %q", name, err, c.want)
		}
		unsupported := name == "words" || name == "suffix" || name == "foreign"
		if errors.Is(err, ErrUnsupported) != unsupported {
			t.Errorf("%s: error %v: unsupported should be %v", name, err, unsupported)
		}
	}
}

// TestMismatch takes a Unigram model where the class wants BPE: it stays one.
func TestMismatch(t *testing.T) {
	r, err := Convert(sourceOf(map[string][]byte{"tokenizer.model": testFile(t, "unigram.model")}, "llama", "LlamaTokenizer"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(r.JSON, []byte(`"type":"Unigram"`)) {
		t.Error("the model is no Unigram model")
	}
	if want := "tokenizer.model (SentencePiece Unigram, 300 pieces; tokenizer_class LlamaTokenizer is for models of another kind and is passed over)"; r.From != want {
		t.Errorf("made from %s: want %s", r.From, want)
	}
}

// TestScores has a run of spaces with the lowest score and a low id, as Llama has: it is made last.
func TestScores(t *testing.T) {
	lowest := math.Float32bits(-1e9)
	model := append(message(
		1, message(1, "<unk>", 3, 2), 1, message(1, "▁▁", 2, lowest), 1, message(1, "▁a", 2, math.Float32bits(-1)),
		1, message(1, "▁", 2, math.Float32bits(-2)), 1, message(1, "a", 2, math.Float32bits(-3)),
	), message(2, message(3, 2), 3, message(4, 0))...)
	for _, class := range []string{"", "LlamaTokenizer", "CodeLlamaTokenizer"} {
		r, err := Convert(sourceOf(map[string][]byte{"tokenizer.model": model}, "", class))
		if err != nil {
			t.Fatal(err)
		}
		tok, err := tokenizer.Parse(r.JSON)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := encoded(tok.EncodeOrdinary("a  a   a")), []int32{2, 3, 2, 1, 2}; !slices.Equal(got, want) {
			t.Errorf("%q: %v: want %v", class, got, want)
		}
	}
}

// FuzzSentencePiece checks that whatever can be read can be written, and that what is written is a tokenizer or
// says why it is none.
func FuzzSentencePiece(f *testing.F) {
	for _, name := range spmModels {
		data, err := os.ReadFile(filepath.Join("testdata", name+".model"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte(`{}`))
		f.Add(data[:len(data)/2], []byte(`{"tokenizer_class":"LlamaTokenizer","added_tokens_decoder":{"3":{"content":"<x>"}},"add_bos_token":true}`))
	}
	f.Fuzz(func(t *testing.T, data, config []byte) {
		r, err := Convert(sourceOf(map[string][]byte{"tokenizer.model": data, "tokenizer_config.json": config}, "llama", ""))
		if err != nil || r == nil {
			return
		}
		if tok, err := tokenizer.Parse(r.JSON); err == nil {
			tok.Encode("Hello  of the world\n▁<s>é", true)
		}
	})
}
