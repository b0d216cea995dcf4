package vocab

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Tokenizer is a tokenizer.json that is to be written. A Part that is nil is written as null.
type Tokenizer struct {
	Added         []Added // in the order of their ids
	Normalizer    Part
	PreTokenizer  Part
	PostProcessor Part
	Decoder       Part
	Model         Model
}

// Added is a token that is found in a text before the model sees it. Its id must be that of the model's
// vocabulary or, for a token that is not there, the next one.
type Added struct {
	ID         int
	Content    string
	SingleWord bool // only where no word touches it
	Lstrip     bool // takes the white space before it
	Rstrip     bool // takes the white space after it
	Normalized bool // is found in normalized text
	Special    bool // is left out of decoded text on demand
}

// Model is a *BPE or a *Unigram.
type Model interface {
	write(w *writer)
}

// BPE is byte pair encoding.
type BPE struct {
	Vocab        []string    // by id; "" where no token has the id
	Merges       [][2]string // the first goes first
	Unk          string      // what a character becomes that has no token; "": nothing
	FuseUnk      bool        // adjacent ones become one
	ByteFallback bool        // such a character becomes the tokens of its bytes, if they are there
	IgnoreMerges bool        // a word that is a token is not taken apart
}

// Unigram chooses the way to cut a word whose scores have the largest sum.
type Unigram struct {
	Vocab        []Scored // by id
	UnkID        int
	ByteFallback bool
}

// Scored is a token and the logarithm of its probability.
type Scored struct {
	Token string
	Score float64
}

// Marshal returns the file: compact, and always the same bytes for the same t. A token that is there twice, or
// is not UTF-8, is an error.
func (t *Tokenizer) Marshal() ([]byte, error) {
	var buf bytes.Buffer
	w := &writer{Encoder: jsontext.NewEncoder(&buf, jsontext.EscapeForHTML(false))}
	w.object(func() {
		w.member("version", "1.0")
		w.member("truncation", nil)
		w.member("padding", nil)
		w.key("added_tokens")
		w.array(func() {
			for _, a := range t.Added {
				w.added(a)
			}
		})
		w.member("normalizer", t.Normalizer)
		w.member("pre_tokenizer", t.PreTokenizer)
		w.member("post_processor", t.PostProcessor)
		w.member("decoder", t.Decoder)
		w.key("model")
		t.Model.write(w)
	})
	if w.err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", w.err)
	}
	return buf.Bytes(), nil
}

// writer writes tokens of JSON and keeps the first error.
type writer struct {
	*jsontext.Encoder
	err error
}

func (w *writer) token(t jsontext.Token) {
	if err := w.WriteToken(t); w.err == nil {
		w.err = err
	}
}

func (w *writer) object(members func()) {
	w.token(jsontext.BeginObject)
	members()
	w.token(jsontext.EndObject)
}

func (w *writer) array(elements func()) {
	w.token(jsontext.BeginArray)
	elements()
	w.token(jsontext.EndArray)
}

func (w *writer) key(name string) { w.token(jsontext.String(name)) }

func (w *writer) member(name string, value any) {
	w.key(name)
	w.value(value)
}

// value writes what a Part may hold.
func (w *writer) value(v any) {
	switch v := v.(type) {
	case nil:
		w.token(jsontext.Null)
	case string:
		w.token(jsontext.String(v))
	case bool:
		w.token(jsontext.Bool(v))
	case int:
		w.token(jsontext.Int(int64(v)))
	case float64:
		w.token(jsontext.Float(v))
	case []int:
		w.array(func() {
			for _, e := range v {
				w.value(e)
			}
		})
	case []string:
		w.array(func() {
			for _, e := range v {
				w.value(e)
			}
		})
	case []Part:
		w.array(func() {
			for _, e := range v {
				w.value(e)
			}
		})
	case Part:
		if v == nil {
			w.token(jsontext.Null)
			return
		}
		w.object(func() {
			for _, m := range v {
				w.member(m.name, m.value)
			}
		})
	default:
		panic(fmt.Sprintf("vocab: a %T in a part", v))
	}
}

func (w *writer) added(a Added) {
	w.value(Part{
		{"id", a.ID},
		{"content", a.Content},
		{"single_word", a.SingleWord},
		{"lstrip", a.Lstrip},
		{"rstrip", a.Rstrip},
		{"normalized", a.Normalized},
		{"special", a.Special},
	})
}

func (m *BPE) write(w *writer) {
	w.object(func() {
		w.member("type", "BPE")
		w.member("dropout", nil)
		w.member("unk_token", optional(m.Unk))
		w.member("continuing_subword_prefix", nil)
		w.member("end_of_word_suffix", nil)
		w.member("fuse_unk", m.FuseUnk)
		w.member("byte_fallback", m.ByteFallback)
		w.member("ignore_merges", m.IgnoreMerges)
		w.key("vocab")
		w.object(func() {
			for id, token := range m.Vocab {
				if token != "" {
					w.member(token, id)
				}
			}
		})
		w.key("merges")
		w.array(func() {
			for _, p := range m.Merges {
				w.value(p[:])
			}
		})
	})
}

func (m *Unigram) write(w *writer) {
	w.object(func() {
		w.member("type", "Unigram")
		w.member("unk_id", m.UnkID)
		w.key("vocab")
		w.array(func() {
			for _, s := range m.Vocab {
				w.array(func() { w.value(s.Token); w.value(s.Score) })
			}
		})
		w.member("byte_fallback", m.ByteFallback)
	})
}

// optional returns nil for "".
func optional(s string) any {
	if s == "" {
		return nil
	}
	return s
}
