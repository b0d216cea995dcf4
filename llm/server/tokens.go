package server

import (
	"net/http"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/llm"
)

// pieceJSON is a token with its text, or with its bytes where those are no text.
type pieceJSON struct {
	ID    int32 `json:"id"`
	Piece any   `json:"piece"`
}

func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model      string  `json:"model"`
		Content    *string `json:"content"`
		AddSpecial bool    `json:"add_special"`
		WithPieces bool    `json:"with_pieces"`
	}
	if err := readRequest(w, r, &q); err != nil {
		return err
	}
	if q.Content == nil {
		return bad("content", "there is no content")
	}
	return s.withTokenizer(r, q.Model, func(m *llm.Model, t *tokenizer.Tokenizer) error {
		ids, err := t.Encode(*q.Content, q.AddSpecial)
		if err != nil {
			return bad("content", "%v", err)
		}
		if !q.WithPieces {
			answer(w, http.StatusOK, map[string]any{"tokens": append([]int32{}, ids...)})
			return nil
		}
		pieces := []pieceJSON{}
		for _, id := range ids {
			pieces = append(pieces, pieceOf(m, id))
		}
		answer(w, http.StatusOK, map[string]any{"tokens": pieces})
		return nil
	})
}

func pieceOf(m *llm.Model, id int32) pieceJSON {
	text, raw := m.TokenText(id)
	if utf8.Valid(raw) {
		return pieceJSON{id, text}
	}
	list := make([]int, len(raw))
	for i, b := range raw {
		list[i] = int(b)
	}
	return pieceJSON{id, list}
}

func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model  string  `json:"model"`
		Tokens []int32 `json:"tokens"`
	}
	if err := readRequest(w, r, &q); err != nil {
		return err
	}
	return s.withTokenizer(r, q.Model, func(m *llm.Model, t *tokenizer.Tokenizer) error {
		if err := known("tokens", q.Tokens, m); err != nil {
			return err
		}
		answer(w, http.StatusOK, map[string]any{"content": t.Decode(q.Tokens, false)})
		return nil
	})
}

// withTokenizer is with for what needs a tokenizer.
func (s *Server) withTokenizer(r *http.Request, name string, f func(m *llm.Model, t *tokenizer.Tokenizer) error) error {
	return s.with(r, name, func(l *loaded) error {
		m := l.scheduler.Model()
		t := m.Vocabulary().Tokenizer
		if t == nil {
			return llm.ErrNoTokenizer
		}
		return f(m, t)
	})
}

func (s *Server) applyTemplate(w http.ResponseWriter, r *http.Request) error {
	var q request
	if err := readRequest(w, r, &q); err != nil {
		return err
	}
	return s.with(r, q.Model, func(l *loaded) error {
		t, err := q.turn(l)
		if err != nil {
			return err
		}
		answer(w, http.StatusOK, map[string]any{"prompt": t.prompt})
		return nil
	})
}
