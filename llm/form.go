package llm

import (
	"fmt"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/llm/grammar"
)

// Form is what a text may look like: JSON that a schema accepts, or the texts of a grammar. Several texts may have the same one,
// at the same time; it remembers what it has found out about the vocabulary.
type Form struct {
	constraint *grammar.Constraint
}

// Form prepares a grammar for the model's vocabulary. The error is ErrNoTokenizer, or says what is wrong with the grammar.
func (m *Model) Form(g *grammar.Grammar) (*Form, error) {
	if m.vocabulary.Tokenizer == nil {
		return nil, ErrNoTokenizer
	}
	m.forms.Do(func() { m.forGrammars = m.vocabulary.pieces() })
	return newForm(g, m.forGrammars)
}

// Form is Model.Form before there is a model. Each call prepares the vocabulary again.
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
	return &Form{c}, nil
}

// TokenText returns what a token stands for: as text, in which bytes that are no characters are U+FFFD, and as bytes. Those of a
// special token are its name.
func (m *Model) TokenText(id int32) (text string, raw []byte) {
	t := m.vocabulary.Tokenizer
	if t == nil || id < 0 || int(id) >= t.VocabSize() {
		return "", nil
	}
	m.pieces.Do(func() { m.pieceBytes = t.Pieces() })
	if raw = m.pieceBytes[id]; raw == nil {
		name, _ := t.Token(id)
		raw = []byte(name)
	}
	return strings.ToValidUTF8(string(raw), "\ufffd"), raw
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
	texts := v.Tokenizer.Pieces()
	for id := range texts {
		if name, ok := v.Tokenizer.Token(int32(id)); ok && v.Tokenizer.Special(int32(id)) {
			texts[id] = grammar.TokenBytes(name)
		}
	}
	return grammar.NewVocabulary(texts, ends)
}

// formed is a text that is held to a form.
type formed struct {
	matcher *grammar.Matcher
	mask    chan allowance // of the next token, on its way
}

type allowance struct {
	mask grammar.Mask
	err  error
}

// start begins a text. A nil Form holds to nothing.
func (f *Form) start() (*formed, error) {
	if f == nil {
		return nil, nil
	}
	matcher, err := f.constraint.Start()
	if err != nil {
		return nil, err
	}
	t := &formed{matcher, make(chan allowance, 1)}
	t.prepare()
	return t, nil
}

// prepare finds out which tokens may come next, while the device computes.
func (t *formed) prepare() {
	go func() {
		mask, err := t.matcher.Allowed()
		t.mask <- allowance{mask, err}
	}()
}

// allow makes a sampler choose among the tokens that may come next.
func (t *formed) allow(s *sample.Sampler) error {
	if t == nil {
		return nil
	}
	next := <-t.mask
	t.mask <- next // for when the token is chosen once more
	s.Allow(next.mask)
	return next.err
}

// accept takes the token that was chosen, and reports whether the text is complete.
func (t *formed) accept(id int32) (complete bool, err error) {
	if t == nil {
		return false, nil
	}
	<-t.mask
	if err := t.matcher.Accept(id); err != nil {
		return false, fmt.Errorf("token %d: %w", id, err)
	}
	if t.matcher.Final() {
		return true, nil
	}
	t.prepare()
	return false, nil
}
