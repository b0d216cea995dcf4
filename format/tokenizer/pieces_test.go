package tokenizer

import (
	"bytes"
	"path/filepath"
	"testing"
)

// TestPieces puts the pieces of a text's tokens together: they are the text, but for what begins it.
func TestPieces(t *testing.T) {
	paths, err := filepath.Glob("testdata/families/*.json")
	if err != nil || len(paths) < 10 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		tok, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		pieces := tok.Pieces()
		const begin, text = "a", "a cold {\"morning\": [1, 2]}, caf\u00e9\n \U0001F600 in spring"
		ids, err := tok.Encode(begin+text, false)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for _, id := range ids[1:] {
			got = append(got, pieces[id]...)
		}
		want := []byte(tok.Decode(ids, true))
		if !bytes.HasSuffix(want, got) || len(got) < len(want)-len(begin)-1 {
			t.Errorf("%s: the pieces are %q, the text %q", path, got, want)
		}
		for id := range pieces {
			if tok.Special(int32(id)) && pieces[id] != nil {
				t.Errorf("%s: special token %d has a piece, %q", path, id, pieces[id])
			}
		}
	}
}
