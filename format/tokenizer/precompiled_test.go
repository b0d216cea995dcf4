package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"
	"unicode/utf8"
)

// precompiled is the output of testdata/make_precompiled.py.
type precompiled struct {
	Charsmap []byte `json:"charsmap"`
	Cases    []struct {
		In  string `json:"in"`
		Out string `json:"out"`
	} `json:"cases"`
}

func readPrecompiled(t testing.TB) (p precompiled) {
	t.Helper()
	data, err := os.ReadFile("testdata/precompiled.json")
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPrecompiled(t *testing.T) {
	p := readPrecompiled(t)
	n, err := parsePrecompiled([]byte(`{"type":"Precompiled","precompiled_charsmap":"` + base64.StdEncoding.EncodeToString(p.Charsmap) + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Cases {
		got := piece{text: c.In, start: true}
		if n(&got); got.text != c.Out || !got.start {
			t.Errorf("%+q becomes %+q (at the start: %v): want %+q", c.In, got.text, got.start, c.Out)
		}
	}
}

func TestPrecompiledErrors(t *testing.T) {
	for name, data := range map[string]string{
		"short": "abc", "no trie": "\x00\x00\x00\x00", "odd trie": "\x03\x00\x00\x00abc", "trie too long": "\x08\x00\x00\x00abcd",
		"text": "\x04\x00\x00\x00abcd\xff",
	} {
		if _, err := newCharsmap([]byte(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzPrecompiled checks that any table is handled, and that clusters add up to the text.
func FuzzPrecompiled(f *testing.F) {
	p := readPrecompiled(f)
	for _, c := range p.Cases {
		f.Add(p.Charsmap, c.In)
	}
	f.Add([]byte("\x04\x00\x00\x00\xff\xff\xff\xff"), "a")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		m, err := newCharsmap(data)
		if err != nil || !utf8.ValidString(text) {
			return
		}
		m.normalize(text)
		for rest := text; rest != ""; {
			n := cluster(rest)
			if n <= 0 || n > len(rest) || !utf8.ValidString(rest[:n]) {
				t.Fatalf("a cluster of %d bytes in %q", n, rest)
			}
			rest = rest[n:]
		}
	})
}
