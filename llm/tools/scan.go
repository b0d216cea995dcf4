package tools

// scan reads a text that comes in pieces as if it were all there: more waits for the next piece.
type scan struct {
	f *Format
	Parsing
	buf  []byte
	pos  int // what is before it has been read
	more func() bool

	out    []output
	calls  int    // so far
	blanks []byte // of the text, at its end as far as it has come
	begun  bool   // the text has a character that is no blank
	trim   bool   // blanks that the text begins with are left out
}

// output is a Delta on its way.
type output struct {
	kind byte // c: content, r: reasoning, a: arguments
	call *CallDelta
	text []byte
}

// take returns what has been found out since the last time.
func (s *scan) take() (deltas []Delta) {
	for _, o := range s.out {
		switch text := string(o.text); o.kind {
		case 'c':
			deltas = append(deltas, Delta{Content: text})
		case 'r':
			deltas = append(deltas, Delta{Reasoning: text})
		default:
			o.call.Arguments = text
			deltas = append(deltas, Delta{Call: o.call})
		}
	}
	s.out = nil
	return deltas
}

// put adds text of a kind.
func (s *scan) put(kind byte, text string) {
	if text == "" {
		return
	}
	if n := len(s.out); n == 0 || s.out[n-1].kind != kind {
		s.out = append(s.out, output{kind: kind, call: &CallDelta{Index: s.calls - 1}})
	}
	last := &s.out[len(s.out)-1]
	last.text = append(last.text, text...)
}

// peek returns the next byte; false at the end of the text.
func (s *scan) peek() (byte, bool) {
	for s.pos == len(s.buf) {
		if !s.more() {
			return 0, false
		}
	}
	return s.buf[s.pos], true
}

// next reads a byte, 0 at the end.
func (s *scan) next() byte {
	b, ok := s.peek()
	if ok {
		s.pos++
	}
	return b
}

// at reports whether the text goes on with something.
func (s *scan) at(text string) bool {
	from := s.pos
	defer func() { s.pos = from }()
	for i := range len(text) {
		if b, ok := s.peek(); !ok || b != text[i] {
			return false
		}
		s.pos++
	}
	return text != ""
}

// skip reads something if the text goes on with it.
func (s *scan) skip(text string) bool {
	ok := s.at(text)
	if ok {
		s.pos += len(text)
	}
	return ok
}

func isBlank(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }

// space skips blanks.
func (s *scan) space() {
	for {
		if b, ok := s.peek(); !ok || !isBlank(b) {
			return
		}
		s.pos++
	}
}

// forget drops what has been read, where nobody will go back.
func (s *scan) forget() {
	if s.pos > 1<<12 {
		s.buf = append([]byte(nil), s.buf[s.pos:]...)
		s.pos = 0
	}
}

// answer reads an answer: a thought, and then text with calls in it.
func (s *scan) answer() {
	s.thought()
	if s.f.form.bare != nil && len(s.Tools) > 0 {
		if from := s.pos; !s.f.form.bare(s) {
			s.pos = from
		}
	}
	for {
		s.forget()
		if _, ok := s.peek(); !ok {
			break
		}
		if !s.call() {
			s.text(s.next())
		}
	}
	if !s.trim || s.begun && s.calls == 0 {
		s.add(string(s.blanks))
	}
}

// call reads calls, if an opener is here. What only looks like one is text.
func (s *scan) call() bool {
	if len(s.Tools) == 0 {
		return false
	}
	for _, o := range s.f.form.openers {
		if !s.at(o) {
			continue
		}
		from := s.pos
		if s.pos += len(o); !s.f.form.body(s) {
			s.pos = from
			for range len(o) {
				s.text(s.next())
			}
		}
		return true
	}
	return false
}

// text adds a byte to the text. Blanks wait for what follows.
func (s *scan) text(b byte) {
	if isBlank(b) {
		s.blanks = append(s.blanks, b)
		return
	}
	if s.begun || !s.trim {
		s.add(string(s.blanks))
	}
	s.blanks, s.begun = s.blanks[:0], true
	s.add(string([]byte{b}))
}

// add adds to the text, thinks to the thought, args to the arguments of the call that was begun last.
func (s *scan) add(text string)    { s.put('c', text) }
func (s *scan) thinks(text string) { s.put('r', text) }
func (s *scan) args(text string)   { s.put('a', text) }

// thought reads what the model thinks before it answers.
func (s *scan) thought() {
	if !s.Thoughts || s.f.think == nil {
		return
	}
	if !s.Opened {
		from := s.pos
		if s.space(); !s.skip(s.f.think.open) {
			s.pos = from
			return
		}
	} else if from := s.pos; true { // some models open it once more
		if s.space(); !s.skip(s.f.think.open) {
			s.pos = from
		}
	}
	s.trim = true
	s.reason(s.f.think.close)
	s.skip(s.f.think.close)
}

// reason reads a thought up to one of several ends. Blanks around it are left out.
func (s *scan) reason(ends ...string) {
	var blanks []byte
	begun := false
	for {
		s.forget()
		b, ok := s.peek()
		if !ok || s.atAny(ends) {
			return
		}
		if s.pos++; isBlank(b) {
			blanks = append(blanks, b)
			continue
		}
		if begun {
			s.thinks(string(blanks))
		}
		s.thinks(string([]byte{b}))
		blanks, begun = blanks[:0], true
	}
}

func (s *scan) atAny(texts []string) bool {
	for _, t := range texts {
		if s.at(t) {
			return true
		}
	}
	return false
}

// begin begins a call; blanks before it are no text.
func (s *scan) begin(name, id string) {
	if id == "" {
		id = s.ID()
	}
	s.blanks, s.trim = s.blanks[:0], true
	s.out = append(s.out, output{kind: 'a', call: &CallDelta{Index: s.calls, ID: id, Name: name}})
	s.calls++
}

// rest adds what is no JSON to the arguments, as the model has written it: whoever asked has to know.
func (s *scan) rest(end string) {
	for {
		if b, ok := s.peek(); !ok || s.at(end) {
			return
		} else {
			s.pos++
			s.args(string([]byte{b}))
		}
	}
}
