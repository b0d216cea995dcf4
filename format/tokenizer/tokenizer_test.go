package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldens is what testdata/make_goldens.py records of one tokenizer.
type goldens struct {
	Size    int      `json:"size"`
	Special []string `json:"special"`
	Text    string   `json:"text"` // the hash of the ids of text.txt
	Cases   []struct {
		Text     string  `json:"text"`
		Times    int     `json:"times"`
		IDs      idList  `json:"ids"`
		Ordinary *idList `json:"ordinary"` // where special tokens in the text make a difference
		Full     []int32 `json:"full"`     // where the post-processor does
		Decoded  *string `json:"decoded"`  // where it is not the text
		Skipped  *string `json:"skipped"`  // where it is not what is decoded
	} `json:"cases"`
	Decode []struct {
		IDs     []int32 `json:"ids"`
		Decoded string  `json:"decoded"`
		Skipped string  `json:"skipped"`
	} `json:"decode"`
}

// idList is a list of ids, or its hash if it is long.
type idList struct {
	list []int32
	hash string
}

func (l *idList) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &l.hash)
	}
	return json.Unmarshal(b, &l.list)
}

func (l *idList) diff(got []int32) string {
	if l.hash != "" {
		return cmp.Diff(l.hash, hashIDs(got))
	}
	return cmp.Diff(l.list, append([]int32{}, got...))
}

func hashIDs(ids []int32) string {
	h := sha256.New()
	_ = binary.Write(h, binary.LittleEndian, ids)
	return hex.EncodeToString(h.Sum(nil))
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func readText(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/text.txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func load(t testing.TB, path string) *Tokenizer {
	t.Helper()
	tok, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func family(t testing.TB, name string) *Tokenizer {
	return load(t, filepath.Join("testdata", "families", name+".json"))
}

const tinyPath = "../../testdata/tiny/tokenizer.json"

func TestTiny(t *testing.T) {
	var all map[string]goldens
	readJSON(t, "testdata/goldens.json", &all)
	tok := load(t, tinyPath)
	if tok.VocabSize() != 4096 {
		t.Errorf("VocabSize %d", tok.VocabSize())
	}
	text := readText(t)
	ids := encoded(tok.Encode(text, true))
	if got := hashIDs(ids); got != all["tiny"].Text {
		t.Errorf("ids of text.txt have hash %s", got)
	}
	if tok.Decode(ids, true) != text {
		t.Error("the text does not come back")
	}
}

func TestFamilies(t *testing.T) {
	var all map[string]goldens
	readJSON(t, "testdata/goldens.json", &all)
	text := readText(t)
	for name, g := range all {
		if name == "tiny" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			tok := family(t, name)
			if len(g.Cases) < 70 || len(g.Decode) == 0 {
				t.Fatal("the goldens are not whole")
			}
			if tok.VocabSize() != g.Size {
				t.Errorf("VocabSize %d, want %d", tok.VocabSize(), g.Size)
			}
			if got := hashIDs(encoded(tok.Encode(text, true))); got != g.Text {
				t.Errorf("ids of text.txt have hash %s", got)
			}
			checkSpecial(t, tok, g.Special)
			checkCases(t, tok, g)
		})
	}
}

func checkSpecial(t *testing.T, tok *Tokenizer, want []string) {
	var got []string
	for id := range int32(tok.VocabSize()) {
		if tok.Special(id) {
			token, _ := tok.Token(id)
			got = append(got, token)
		}
	}

	if d := cmp.Diff(sorted(want), sorted(got)); d != "" {
		t.Error("special tokens:", d)
	}
}

func checkCases(t *testing.T, tok *Tokenizer, g goldens) {
	for _, c := range g.Cases {
		text := strings.Repeat(c.Text, max(c.Times, 1))
		ids := encoded(tok.Encode(text, false))
		if d := c.IDs.diff(ids); d != "" {
			t.Errorf("%q ×%d: %s", c.Text, c.Times, d)
			continue
		}
		ordinary := &c.IDs
		if c.Ordinary != nil {
			ordinary = c.Ordinary
		}
		if d := ordinary.diff(encoded(tok.EncodeOrdinary(text))); d != "" {
			t.Errorf("%q ×%d: ordinary: %s", c.Text, c.Times, d)
		}
		full := encoded(tok.Encode(text, true))
		if c.Full != nil {
			if d := cmp.Diff(c.Full, full); d != "" {
				t.Errorf("%q: with special tokens: %s", c.Text, d)
			}
		}
		decoded := text
		if c.Decoded != nil {
			decoded = *c.Decoded
		}
		skipped := decoded
		if c.Skipped != nil {
			skipped = *c.Skipped
		}
		checkDecode(t, tok, ids, false, decoded)
		checkDecode(t, tok, full, true, skipped)
	}
	for _, c := range g.Decode {
		checkDecode(t, tok, c.IDs, false, c.Decoded)
		checkDecode(t, tok, c.IDs, true, c.Skipped)
	}
}

func checkDecode(t *testing.T, tok *Tokenizer, ids []int32, skip bool, want string) {
	t.Helper()
	if d := cmp.Diff(want, tok.Decode(ids, skip)); d != "" {
		t.Errorf("decode, skipping special tokens %v: %s", skip, d)
	}
}

// encoded returns the ids of a text that every pattern can be matched against.
func encoded(ids []int32, err error) []int32 {
	if err != nil {
		panic(err)
	}
	return ids
}
