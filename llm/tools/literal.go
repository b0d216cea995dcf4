package tools

import (
	"strings"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// quote writes a JSON string. Bytes that are no characters become U+FFFD.
func quote(text string) string {
	return strict.Quote(strings.ToValidUTF8(text, string(utf8.RuneError)))
}

func isJSON(text string) bool {
	_, err := strict.Tree([]byte(text))
	return err == nil
}

// gemma reads call:NAME{KEY:VALUE,…}, in which strings stand between tokens.
func (s *scan) gemma() bool {
	s.space()
	s.skip("call:")
	s.space()
	name := s.word()
	if name == "" {
		return false
	}
	s.space()
	text, ok := s.gemmaObject(0)
	if !ok {
		return false
	}
	s.begin(name, "")
	s.args(text)
	s.close()
	return true
}

// gemmaObject reads an object whose names need no quotation marks, and returns it as JSON.
func (s *scan) gemmaObject(depth int) (text string, ok bool) {
	return s.listed("{", "}", depth, func() (string, bool) {
		var key string
		if quoted, ok := s.gemmaText(); ok {
			key = quoted
		} else if key = s.key(); key == "" {
			return "", false
		}
		s.space()
		if !s.skip(":") {
			return "", false
		}
		s.space()
		value, ok := s.gemmaValue(depth + 1)
		return quote(key) + ": " + value, ok
	})
}

// key reads a name up to a colon.
func (s *scan) key() string {
	var text []byte
	for {
		b, ok := s.peek()
		if !ok || b == ':' || b == '}' || b == ',' || b == '{' {
			return strings.TrimSpace(string(text))
		}
		s.pos++
		text = append(text, b)
	}
}

// gemmaText reads a string between tokens, or one of JSON.
func (s *scan) gemmaText() (string, bool) {
	for _, mark := range []string{`<|"|>`, "<escape>"} {
		if s.skip(mark) {
			return s.until(mark), true
		}
	}
	if s.at(`"`) {
		return s.textValue()
	}
	return "", false
}

// gemmaValue reads a value and returns it as JSON.
func (s *scan) gemmaValue(depth int) (string, bool) {
	switch {
	case s.at("{"):
		return s.gemmaObject(depth)
	case s.at("["):
		return s.listed("[", "]", depth, func() (string, bool) { return s.gemmaValue(depth + 1) })
	case s.at("<") || s.at(`"`):
		text, ok := s.gemmaText()
		return quote(text), ok
	}
	text := s.word()
	return text, isScalar(text)
}

// listed reads elements between brackets, and returns them as JSON.
func (s *scan) listed(open, end string, depth int, element func() (string, bool)) (string, bool) {
	if depth > maxDepth || !s.skip(open) {
		return "", false
	}
	var all []string
	for {
		if s.space(); s.skip(end) {
			break
		}
		text, ok := element()
		if !ok {
			return "", false
		}
		all = append(all, text)
		if s.space(); !s.skip(",") && !s.at(end) {
			return "", false
		}
	}
	brackets := "[]"
	if open == "{" {
		brackets = "{}"
	}
	return brackets[:1] + strings.Join(all, ", ") + brackets[1:], true
}

// pythonCalls reads calls as Python writes them, alone or in a list. known lets only functions be called that there are.
func (s *scan) pythonCalls(known bool) bool {
	type pythonCall struct{ name, args string }
	var all []pythonCall
	one := func() (string, bool) {
		name, args, ok := s.pythonCall(known)
		if ok {
			all = append(all, pythonCall{name, args})
		}
		return "", ok
	}
	if s.at("[") {
		if _, ok := s.listed("[", "]", 0, one); !ok {
			return false
		}
	} else if _, ok := one(); !ok {
		return false
	}
	for _, c := range all {
		s.begin(c.name, "")
		s.args(c.args)
	}
	return len(all) > 0
}

// pythonCall reads NAME(KEY=VALUE, …), and NAME.call(…), as models write the calls of what is built into them.
func (s *scan) pythonCall(known bool) (name, args string, ok bool) {
	name = strings.TrimSuffix(s.word(), ".call")
	tool := find(s.Tools, name)
	if name == "" || known && tool == nil {
		return "", "", false
	}
	var order []property
	if tool != nil {
		order = tool.properties()
	}
	n := 0
	text, ok := s.listed("(", ")", 0, func() (string, bool) {
		key, named := s.keyword()
		if !named {
			if n >= len(order) {
				return "", false
			}
			key = order[n].name
		}
		n++
		value, ok := s.pythonValue(1)
		return quote(key) + ": " + value, ok
	})
	if !ok {
		return "", "", false
	}
	return name, "{" + text[1:len(text)-1] + "}", true
}

// keyword reads KEY=.
func (s *scan) keyword() (key string, ok bool) {
	from := s.pos
	key = s.word()
	if s.space(); key == "" || !s.skip("=") {
		s.pos = from
		return "", false
	}
	s.space()
	return key, true
}

// pythonValue reads a literal of Python and returns it as JSON.
func (s *scan) pythonValue(depth int) (string, bool) {
	b, _ := s.peek()
	switch b {
	case '[':
		return s.listed("[", "]", depth, func() (string, bool) { return s.pythonValue(depth + 1) })
	case '(':
		return s.listed("(", ")", depth, func() (string, bool) { return s.pythonValue(depth + 1) })
	case '{':
		return s.listed("{", "}", depth, func() (string, bool) {
			key, ok := s.pythonText()
			if s.space(); !ok || !s.skip(":") {
				return "", false
			}
			s.space()
			value, ok := s.pythonValue(depth + 1)
			return quote(key) + ": " + value, ok
		})
	case '\'', '"':
		text, ok := s.pythonText()
		return quote(text), ok
	}
	text := s.word()
	switch text {
	case "True":
		return "true", true
	case "False":
		return "false", true
	case "None":
		return "null", true
	}
	return text, isScalar(text)
}

// pythonEscapes are characters after a backslash.
var pythonEscapes = map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': `\`, '\'': "'", '"': `"`}

// pythonText reads a string in either kind of quotation marks.
func (s *scan) pythonText() (string, bool) {
	mark := s.next()
	if mark != '\'' && mark != '"' {
		return "", false
	}
	var text []byte
	for {
		b, ok := s.peek()
		if !ok {
			return "", false
		}
		s.pos++
		switch b {
		case mark:
			return string(text), true
		case '\\':
			b := s.next()
			if plain, ok := pythonEscapes[b]; ok {
				text = append(text, plain...)
			} else {
				text = append(text, '\\', b)
			}
		default:
			text = append(text, b)
		}
	}
}
