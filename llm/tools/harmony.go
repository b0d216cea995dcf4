package tools

import "strings"

// ends are what ends a message of gpt-oss.
var ends = []string{"<|end|>", "<|call|>", "<|return|>", "<|start|>"}

// harmony reads an answer of gpt-oss: messages, each with a header that says who and what it is for. The prompt has the
// beginning of the first one's.
func (s *scan) harmony() {
	for first := true; ; first = false {
		s.forget()
		if _, ok := s.peek(); !ok {
			return
		}
		header, ok := s.header()
		switch {
		case ok:
			s.message(header)
		case first && !strings.HasPrefix(header, "<|"): // no header at all
			s.add(header)
		}
		for _, end := range ends[:3] {
			s.skip(end)
		}
	}
}

// header reads up to <|message|>, and over it. It reports false if the message has no header, or half of one.
func (s *scan) header() (string, bool) {
	from := s.pos
	s.skip("<|start|>")
	for !s.at("<|message|>") {
		if _, ok := s.peek(); !ok || s.atAny(ends) {
			return string(s.buf[from:s.pos]), false
		}
		s.pos++
	}
	text := string(s.buf[from:s.pos])
	return text, s.skip("<|message|>")
}

// message reads the content of a message.
func (s *scan) message(header string) {
	_, channel, _ := strings.Cut(header, "<|channel|>")
	channel = firstWord(channel)
	_, to, _ := strings.Cut(header, "to=")
	name, isCall := strings.CutPrefix(firstWord(to), "functions.")
	switch {
	case isCall && name != "" && len(s.Tools) > 0:
		s.begin(name, "")
		s.space()
		if b, _ := s.peek(); b == '{' && s.value(s.args, 0) {
			s.space()
		}
		s.copy(s.args) // what is no JSON
	case channel == "analysis" && s.Thoughts:
		s.reason(ends...)
	default:
		s.copy(s.add)
	}
}

// firstWord returns a text up to a blank or a token.
func firstWord(text string) string {
	if i := strings.IndexAny(text, " \n<"); i >= 0 {
		return text[:i]
	}
	return text
}

// copy hands a message's content over.
func (s *scan) copy(put func(string)) {
	for {
		s.forget()
		b, ok := s.peek()
		if !ok || s.atAny(ends) {
			return
		}
		s.pos++
		put(string([]byte{b}))
	}
}
