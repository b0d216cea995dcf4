//go:build !js

package llm

import (
	"sync"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

// The WebAssembly makes no forms, and is linked without package grammar and what that needs.

// forms are what a model keeps for its forms.
type forms struct {
	once       sync.Once
	vocabulary *grammar.Vocabulary // once Form was asked for
}

// grammarMatcher is a matcher of a grammar.
type grammarMatcher struct{ *grammar.Matcher }

// Allowed returns the tokens that may come next.
func (m grammarMatcher) Allowed() (sample.Mask, error) {
	mask, err := m.Matcher.Allowed()
	return sample.Mask(mask), err
}

// Form prepares a grammar for the model's vocabulary. The error is ErrNoTokenizer, or says what is wrong with the grammar.
func (m *Model) Form(g *grammar.Grammar) (*Form, error) {
	if m.vocabulary.Tokenizer == nil {
		return nil, ErrNoTokenizer
	}
	m.forms.once.Do(func() { m.forms.vocabulary = m.vocabulary.pieces() })
	return newForm(g, m.forms.vocabulary)
}

// Form is Model.Form before there is a model. Of several forms, each prepares the vocabulary anew.
func (v *Vocabulary) Form(g *grammar.Grammar) (*Form, error) {
	if v.Tokenizer == nil {
		return nil, ErrNoTokenizer
	}
	return newForm(g, v.pieces())
}

func newForm(g *grammar.Grammar, v *grammar.Vocabulary) (*Form, error) {
	c, err := grammar.New(g, v)
	if err != nil {
		return nil, err
	}
	return &Form{func() (matcher, error) {
		m, err := c.Start()
		return grammarMatcher{m}, err
	}}, nil
}

// JSONSchema is the form of JSON that a schema accepts; see grammar.FromSchema for what it leaves out.
func (m *Model) JSONSchema(schema []byte) (*Form, error) {
	g, err := grammar.FromSchema(schema)
	if err != nil {
		return nil, err
	}
	return m.Form(g)
}

// pieces makes the vocabulary as grammars see it.
func (v *Vocabulary) pieces() *grammar.Vocabulary {
	ends := make([]int32, len(v.EOS))
	for i, id := range v.EOS {
		ends[i] = int32(id)
	}
	return grammar.NewVocabulary(v.Tokenizer.Pieces(), ends)
}
