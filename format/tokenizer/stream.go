package tokenizer

import "strings"

// A Stream decodes ids one by one. The texts that Push and Flush return add up to what
// Decode returns for all the ids. It is for one goroutine.
type Stream struct {
	t           *Tokenizer
	skipSpecial bool
	shown       map[string]bool // special tokens that are not left out
	sinks       []sink          // sinks[i] goes into step i, the last into text
	flushes     []func()
	text        strings.Builder
}

// Stream returns a Stream, which leaves out special tokens if skipSpecial.
func (t *Tokenizer) Stream(skipSpecial bool) *Stream {
	s := &Stream{t: t, skipSpecial: skipSpecial}
	s.reset()
	return s
}

// Show has the texts of some special tokens not left out.
func (s *Stream) Show(tokens ...string) {
	if s.shown == nil {
		s.shown = map[string]bool{}
	}
	for _, token := range tokens {
		s.shown[token] = true
	}
}

func (s *Stream) reset() {
	n := len(s.t.decode)
	s.sinks = make([]sink, n+1)
	s.flushes = make([]func(), n)
	s.sinks[n] = func(part string, _ bool) { s.text.WriteString(part) }
	for i := n - 1; i >= 0; i-- {
		step, out := s.t.decode[i](), s.sinks[i+1]
		s.sinks[i] = func(part string, end bool) { step.push(part, end, out) }
		s.flushes[i] = func() { step.flush(out) }
	}
}

// Push returns the text that becomes final with this id, which may be empty: characters are whole,
// and where the vocabulary represents bytes as <0x00> … <0xFF>, a run of them comes when it has ended,
// because it is text only if all of it is UTF-8.
func (s *Stream) Push(id int32) string {
	s.push(id)
	return s.take()
}

// Flush returns the rest and resets the Stream for another text.
func (s *Stream) Flush() string {
	for _, flush := range s.flushes {
		flush()
	}
	s.reset()
	return s.take()
}

func (s *Stream) push(id int32) {
	token, ok := s.t.Token(id)
	if !ok || s.skipSpecial && s.t.special[token] && !s.shown[token] {
		return
	}
	s.sinks[0](token, true)
}

func (s *Stream) take() string {
	text := s.text.String()
	s.text.Reset()
	return text
}
