package vocab

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
)

// rankLines returns a file of tiktoken with all bytes and, to fill it, tokens of two digits of their ranks.
func rankLines(n int) string {
	var b strings.Builder
	for i := range n {
		token := string([]byte{byte(i)})
		if i > 255 {
			token = fmt.Sprintf("\xff%d", i)
		}
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(token)), i)
	}
	return b.String()
}

// TestKnownEncodings looks at the special tokens of vocabularies that bring none along.
func TestKnownEncodings(t *testing.T) {
	for _, c := range []struct {
		file, class string
		ranks, size int
		tokens      map[string]int32
		begin       string
		how         string
	}{
		{
			"tokenizer.model", "", 128000, 128256, map[string]int32{
				"<|begin_of_text|>": 128000, "<|end_of_text|>": 128001, "<|finetune_right_pad_id|>": 128004, "<|start_header_id|>": 128006, "<|end_header_id|>": 128007,
				"<|eom_id|>": 128008, "<|eot_id|>": 128009, "<|python_tag|>": 128010, "<|reserved_special_token_247|>": 128255,
			}, "<|begin_of_text|>", "of Llama 3",
		},
		{"qwen.tiktoken", "", 300, 508, map[string]int32{"<|endoftext|>": 300, "<|im_start|>": 301, "<|im_end|>": 302, "<|extra_204|>": 507}, "", "of Qwen"},
		{"tiktoken.model", "TikTokenTokenizer", 300, 300, nil, "", "of Kimi"},
		{"o200k_base.tiktoken", "", 300, 300, nil, "", "of o200k_base"},
		{"cl100k_base.tiktoken", "", 300, 300, nil, "", "of cl100k_base"},
		{"tokenizer.model", "", 300, 300, nil, "", "cut as transformers cuts"},
	} {
		files := map[string][]byte{c.file: []byte(rankLines(c.ranks)), "tokenizer_config.json": fmt.Appendf(nil, `{"tokenizer_class":%q}`, c.class)}
		r, err := Convert(sourceOf(files, "llama", ""))
		if err != nil {
			t.Errorf("%s: %v", c.how, err)
			continue
		}
		if !strings.Contains(r.From, c.how) {
			t.Errorf("%s: made from %s", c.how, r.From)
		}
		tok, err := tokenizer.Parse(r.JSON)
		if err != nil {
			t.Errorf("%s: %v", c.how, err)
			continue
		}
		if tok.VocabSize() != c.size {
			t.Errorf("%s: %d tokens: want %d", c.how, tok.VocabSize(), c.size)
		}
		for token, want := range c.tokens {
			if id, ok := tok.ID(token); !ok || id != want || !tok.Special(id) {
				t.Errorf("%s: %s has id %d (%v): want %d", c.how, token, id, ok, want)
			}
		}
		ids := encoded(tok.Encode("a中", true))
		if begins := len(ids) == 5; begins != (c.begin != "") || begins && ids[0] != c.tokens[c.begin] {
			t.Errorf("%s: a text becomes %v", c.how, ids)
		}
	}
}

// TestLlama4 looks at the places of its special tokens, of which the first has id 200000.
func TestLlama4(t *testing.T) {
	names := llama4Tokens()
	if len(names) != 2048 {
		t.Errorf("%d tokens: want 2048", len(names))
	}
	for name, want := range map[string]int{
		"<|begin_of_text|>": 0, "<|header_start|>": 5, "<|eot|>": 8, "<|finetune_right_pad|>": 18, "<|text_post_train_reserved_special_token_68|>": 79, "<|image_start|>": 80,
		"<|patch|>": 92, "<|vision_reserved_special_token_1047|>": 1133, "<|reasoning_thinking_end|>": 1143, "<|reserved_special_token_903|>": 2047,
	} {
		if at := slices.Index(names, name); at != want {
			t.Errorf("%s is at %d: want %d", name, at, want)
		}
	}
	if e := encodings[1]; e.name != "Llama 4" || !e.is("tokenizer.model", "", 200000) || e.is("tokenizer.model", "", 128000) {
		t.Error("a vocabulary of 200000 is not that of Llama 4")
	}
}

// TestKimi cuts Chinese characters from letters.
func TestKimi(t *testing.T) {
	lines := rankLines(256) + base64.StdEncoding.EncodeToString([]byte("a中")) + " 256\n" + base64.StdEncoding.EncodeToString([]byte("中中")) + " 257\n"
	r, err := Convert(sourceOf(map[string][]byte{"tiktoken.model": []byte(lines), "tokenizer_config.json": []byte(`{"tokenizer_class":"TikTokenTokenizer"}`)}, "kimi", ""))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Parse(r.JSON)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(encoded(tok.Encode("a中中", false))), "[97 257]"; got != want {
		t.Errorf("%s: want %s", got, want)
	}
}

func TestVocabularyErrors(t *testing.T) {
	const tekken = `{"config":{"pattern":"."%s},"vocab":[{"token_bytes":"YQ=="},{"token_bytes":"Yg=="}]%s}`
	one := func(name, text string) map[string]string { return map[string]string{name: text} }
	bytes := func(vocab, merges string) map[string]string {
		return map[string]string{"vocab.json": vocab, "merges.txt": merges}
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"base64":          {one("a.tiktoken", "YQ== 0\n!! 1\n"), "a.tiktoken: line 2: illegal base64"},
		"no rank":         {one("a.tiktoken", "YQ==\n"), "line 1: want a token in base64 and its rank"},
		"rank":            {one("a.tiktoken", "YQ== -1\n"), "line 1: a token has rank -1"},
		"same rank":       {one("a.tiktoken", "YQ== 1\nYg== 1\n"), `line 2: "a" and "b" both have rank 1`},
		"empty":           {one("a.tiktoken", "\n"), "has no tokens"},
		"tekken JSON":     {one("tekken.json", "{"), "tekken.json: unexpected end"},
		"tekken pattern":  {one("tekken.json", `{"vocab":[{"token_bytes":"YQ=="}]}`), "config: pattern is missing"},
		"tekken vocab":    {one("tekken.json", `{"config":{"pattern":"x"}}`), "vocab: has no tokens"},
		"tekken base64":   {one("tekken.json", `{"config":{"pattern":"x"},"vocab":[{"token_bytes":"?"}]}`), "vocab: token_bytes: illegal base64"},
		"tekken special":  {one("tekken.json", fmt.Sprintf(tekken, "", `,"special_tokens":[{"rank":1,"token_str":"<s>"}]`)), "special_tokens: no token, or more than one, has rank 0"},
		"tekken number":   {one("tekken.json", fmt.Sprintf(tekken, `,"default_num_special_tokens":3`, "")), "default_num_special_tokens is 3, and special_tokens has 20"},
		"tekken size":     {one("tekken.json", fmt.Sprintf(tekken, `,"default_vocab_size":99`, "")), "default_vocab_size is 99, and there are 20 special tokens and 2 others"},
		"vocab JSON":      {bytes("[]", ""), "vocab.json: json: cannot unmarshal array"},
		"vocab empty":     {bytes("{}", ""), "vocab.json: has no tokens"},
		"vocab id":        {bytes(`{"a":-1}`, ""), `token "a" has id -1`},
		"vocab same id":   {bytes(`{"a":0,"b":0}`, ""), `"a" and "b" both have id 0`},
		"merge of three":  {bytes(`{"a":0}`, "#version: 0.2\na a a\n"), `merges.txt: line 2: "a a a": want two tokens`},
		"merge unknown":   {bytes(`{"a":0}`, "a a\n"), `merges.txt: line 1: "aa" is not in vocab.json`},
		"settings":        {map[string]string{"a.tiktoken": "YQ== 0\n", "tokenizer_config.json": "[]"}, "tokenizer_config.json: want an object"},
		"added token":     {map[string]string{"a.tiktoken": "YQ== 0\n", "tokenizer_config.json": `{"added_tokens_decoder":{"x":{}}}`}, "added_tokens_decoder: x: want the number of a token"},
		"added token id":  {map[string]string{"a.tiktoken": "YQ== 0\n", "added_tokens.json": `{"x":"y"}`}, "added_tokens.json: x: json"},
		"word pieces":     {one("vocab.txt", "[PAD]\n"), "WordPiece"},
		"vocab.json only": {one("vocab.json", `{"a":0}`), "there is no merges.txt"},
	} {
		files := map[string][]byte{}
		for file, text := range c.files {
			files[file] = []byte(text)
		}
		_, err := Convert(sourceOf(files, "gpt2", ""))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v: want %q", name, err, c.want)
		}
		if unsupported := name == "word pieces" || name == "vocab.json only"; errors.Is(err, ErrUnsupported) != unsupported {
			t.Errorf("%s: error %v: unsupported should be %v", name, err, unsupported)
		}
	}
}

// TestNoVocabulary finds nothing that could be converted.
func TestNoVocabulary(t *testing.T) {
	r, err := Convert(sourceOf(map[string][]byte{"tokenizer_config.json": []byte(`{}`), "model.safetensors": nil}, "llama", ""))
	if r != nil || err != nil {
		t.Errorf("%v, %v: want neither", r, err)
	}
}

// FuzzVocabulary checks that the other kinds of files may hold anything.
func FuzzVocabulary(f *testing.F) {
	f.Add("a.tiktoken", testFile(f, "ranks.model"), []byte(`{"added_tokens_decoder":{"481":{"content":"<x>"}}}`))
	f.Add("tekken.json", testFile(f, "tekken.json"), []byte(`{}`))
	f.Add("vocab.json", testFile(f, "vocab.json"), []byte("{}"))
	f.Add("merges.txt", testFile(f, "merges.txt"), []byte(`{"extra_special_tokens":{"a_token":"b"}}`))
	f.Fuzz(func(t *testing.T, name string, data, config []byte) {
		files := map[string][]byte{"vocab.json": []byte(`{"a":0,"b":1,"ab":2}`), "merges.txt": []byte("a b\n"), "tokenizer_config.json": config}
		files[name] = data
		r, err := Convert(sourceOf(files, "gpt2", ""))
		if err != nil || r == nil {
			return
		}
		if tok, err := tokenizer.Parse(r.JSON); err == nil {
			tok.Encode("Hello  of the world\n▁<s>é", true)
		}
	})
}
