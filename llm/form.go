package llm

import (
	"fmt"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// Form is what a text may look like: JSON that a schema accepts, or the texts of a grammar. Several texts may have the same one,
// at the same time; it remembers what it has found out about the vocabulary.
type Form struct {
	begin func() (matcher, error)
}

// matcher follows a text of a form.
type matcher interface {
	Allowed() (sample.Mask, error) // the tokens that may come next
	Accept(id int32) error
	Final() bool
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

// formed is a text that is held to a form.
type formed struct {
	matcher matcher
	mask    chan allowance // of the next token, on its way
}

type allowance struct {
	mask sample.Mask
	err  error
}

// start begins a text. A nil Form holds to nothing.
func (f *Form) start() (*formed, error) {
	if f == nil {
		return nil, nil
	}
	m, err := f.begin()
	if err != nil {
		return nil, err
	}
	t := &formed{m, make(chan allowance, 1)}
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
