package hf

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const vocabularies = "../vocab/testdata/"

// TestMadeTokenizer opens checkpoints that have other vocabularies than a tokenizer.json.
func TestMadeTokenizer(t *testing.T) {
	for _, c := range []struct {
		family  string
		files   map[string]string // names of files, and texts or where they are
		made    string
		roles   map[string]string
		bos     int
		sources []string // among the files
	}{
		{
			"mistral",
			map[string]string{"tokenizer.model": "bpe.model"},
			"from tokenizer.model (SentencePiece BPE, 520 pieces)",
			map[string]string{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
			1,
			[]string{"tokenizer.model"},
		},
		{ // a token that null stands for is none
			"llama",
			map[string]string{"tokenizer.model": "bpe.model", "tokenizer_config.json": `{"tokenizer_class":"LlamaTokenizer","bos_token":null,"x":NaN}`},
			"from tokenizer.model (SentencePiece BPE, 520 pieces)",
			map[string]string{"eos_token": "</s>", "unk_token": "<unk>"},
			NoToken,
			[]string{"tokenizer.model", "tokenizer_config.json"},
		},
		{
			"llama",
			map[string]string{"vocab.json": "vocab.json", "merges.txt": "merges.txt", "tokenizer_config.json": `{"tokenizer_class":"GPT2TokenizerFast"}`},
			"from vocab.json (byte-level BPE, 481 tokens, cut as by GPT2Tokenizer)",
			map[string]string{"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"},
			1,
			[]string{"vocab.json", "merges.txt"},
		},
		{"llama", map[string]string{"tokenizer.json": "{}", "tokenizer.model": "junk"}, "", nil, 1, nil},
		{"llama", nil, "", nil, 1, nil},
	} {
		dir := copyOf(t, c.family)
		for name, text := range c.files {
			if data, err := os.ReadFile(vocabularies + text); err == nil {
				text = string(data)
			}
			write(t, filepath.Join(dir, name), []byte(text))
		}
		ck := mustOpen(t, dir)
		text, made, err := ck.Tokenizer()
		if err != nil || made != c.made || (text == nil) != (c.files == nil) {
			t.Errorf("%v: made %q (%d bytes), error %v", slices.Sorted(maps.Keys(c.files)), made, len(text), err)
		}
		if c.roles != nil && !maps.Equal(ck.SpecialTokens(), c.roles) {
			t.Errorf("%s: special tokens %v: want %v", made, ck.SpecialTokens(), c.roles)
		}
		if got := ck.Tokens().BOS; got != c.bos {
			t.Errorf("%s: the first token is %d: want %d", made, got, c.bos)
		}
		for _, name := range c.sources {
			if !slices.ContainsFunc(ck.Files(), func(f File) bool { return filepath.Base(f.Path) == name && f.Size > 0 }) {
				t.Errorf("%s: %s is not among the files that were read", made, name)
			}
		}
	}
}

// TestMadeTokenizerErrors has vocabularies that are no good: the checkpoint opens all the same.
func TestMadeTokenizerErrors(t *testing.T) {
	dir := copyOf(t, "llama")
	path := filepath.Join(dir, "tokenizer.model")
	write(t, path, []byte("junk"))
	if _, _, err := mustOpen(t, dir).Tokenizer(); err == nil || !strings.Contains(err.Error(), dir+": tokenizer.model: is not a model of SentencePiece") {
		t.Errorf("error %v", err)
	}
	if err := os.Truncate(path, maxVocabulary+1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := mustOpen(t, dir).Tokenizer(); err == nil || !strings.Contains(err.Error(), "a vocabulary not more than") {
		t.Errorf("error %v", err)
	}
}
