package tools

import "strings"

// object reads {"name": …, "arguments": {…}}. It reports false if that is no call, before which nothing is said. known lets only
// functions be called that there are.
func (s *scan) object(known bool) bool {
	if !s.skip("{") {
		return false
	}
	c := &objectCall{s: s, known: known}
	for first := true; ; first = false {
		if s.space(); first && s.at("}") {
			break
		}
		key, ok := s.textValue()
		if ok {
			s.space()
			ok = s.skip(":")
			s.space()
		}
		if !ok || !c.member(key) {
			return c.failed()
		}
		if s.space(); !s.skip(",") {
			break
		}
	}
	if !s.skip("}") {
		return c.failed()
	}
	return c.end()
}

// objectCall is a call that is being read from an object.
type objectCall struct {
	s        *scan
	known    bool
	name, id string
	args     *strings.Builder // that came before the name
	begun    bool
}

// member reads the value of a member.
func (c *objectCall) member(key string) (ok bool) {
	s := c.s
	switch key {
	case "name", "function":
		c.name, ok = s.textValue()
		return ok && (!c.known || find(s.Tools, c.name) != nil)
	case "id":
		c.id, ok = s.textValue()
		return ok
	case "arguments", "parameters":
		return c.arguments()
	}
	if c.known && key != "type" {
		return false
	}
	return s.value(func(string) {}, 0)
}

// arguments reads them: an object, or a string that has one in it.
func (c *objectCall) arguments() bool {
	s := c.s
	if c.begun || c.args != nil {
		return false
	}
	if b, _ := s.peek(); b == '"' {
		text, ok := s.textValue()
		if c.put(text); !ok {
			return false
		}
		return true
	}
	if c.name == "" {
		c.args = &strings.Builder{}
	}
	return s.value(c.put, 0)
}

// put hands arguments over, once the name is known.
func (c *objectCall) put(text string) {
	switch {
	case c.name == "":
		if c.args == nil {
			c.args = &strings.Builder{}
		}
		c.args.WriteString(text)
		return
	case !c.begun:
		c.begun = true
		c.s.begin(c.name, c.id)
	}
	c.s.args(text)
}

// failed ends what is no JSON. What has been said of a call cannot be taken back.
func (c *objectCall) failed() bool {
	if c.begun {
		c.s.rest(c.s.f.form.end)
	}
	return c.begun
}

// end ends the object.
func (c *objectCall) end() bool {
	switch {
	case c.name == "":
		return false
	case c.begun:
	case c.args == nil:
		c.put("{}")
	default:
		c.put(c.args.String())
	}
	return true
}

// objects reads one call or several: a list, or one after the other.
func (s *scan) objects(known bool) bool {
	list := s.skip("[")
	n := 0
	for {
		s.space()
		from := s.pos
		if !s.object(known) {
			s.pos = from
			break
		}
		n++
		from = s.pos
		if s.space(); !s.skip(",") && !s.skip(";") && !s.at("{") {
			s.pos = from
			break
		}
	}
	if list && n > 0 {
		from := s.pos
		if s.space(); !s.skip("]") {
			s.pos = from
		}
	}
	return n > 0
}

// close skips the end of calls, or what there is of it where the answer was cut off.
func (s *scan) close() {
	from := s.pos
	if s.space(); !s.skip(s.f.form.end) && !s.cut(s.f.form.end) {
		s.pos = from
	}
}

// cut skips the beginning of something, if the answer ends within it.
func (s *scan) cut(text string) bool {
	from := s.pos
	for i := range len(text) {
		b, ok := s.peek()
		if !ok {
			return i > 0
		}
		if b != text[i] {
			break
		}
		s.pos++
	}
	s.pos = from
	return false
}

// tagged reads <tool_call> and its like: JSON, or XML.
func (s *scan) tagged() bool {
	s.space()
	// "<function=" is an opener of its own for models that leave the other one out
	if strings.HasSuffix(string(s.buf[:s.pos]), "<function=") || s.skip("<function=") {
		if !s.xml() {
			return false
		}
	} else if !s.objects(false) {
		return false
	}
	s.close()
	return true
}

// bare reads calls that the answer consists of: JSON, or Python's notation. Only functions that there are can be called so.
func (s *scan) bare() bool {
	s.space()
	if s.at("[") {
		from := s.pos
		if s.pythonCalls(true) {
			return true
		}
		s.pos = from
	}
	return s.objects(true)
}

// python reads calls as JSON or in Python's notation, as they follow <|python_tag|>.
func (s *scan) python() bool {
	if s.space(); s.at("{") || s.at("[{") {
		return s.objects(false)
	}
	return s.pythonCalls(false)
}

// fenced reads calls between fences of Markdown.
func (s *scan) fenced() bool {
	if !s.python() {
		return false
	}
	s.close()
	return true
}

// mistral reads what follows [TOOL_CALLS]: a list of objects, or a name and its arguments.
func (s *scan) mistral() bool {
	if s.space(); s.at("[{") || s.at("[ {") || s.at("{") {
		return s.objects(false)
	}
	name := s.word()
	if name == "" {
		return false
	}
	id := ""
	if s.skip("[CALL_ID]") {
		id = s.word()
	}
	s.skip("[ARGS]")
	if s.space(); !s.at("{") {
		return false
	}
	s.begin(name, id)
	if !s.value(s.args, 0) {
		s.rest("[TOOL_CALLS]")
	}
	return true
}

// xml reads NAME><parameter=KEY>VALUE</parameter>…</function>.
func (s *scan) xml() bool {
	name := s.word()
	if name == "" || !s.skip(">") {
		return false
	}
	s.begin(name, "")
	tool := find(s.Tools, name)
	s.args("{")
	for n := 0; ; n++ {
		if s.space(); !s.skip("<parameter=") {
			break
		}
		key := s.until(">")
		if n > 0 {
			s.args(", ")
		}
		s.args(quote(key) + ": " + argument(tool, key, s.parameter()))
	}
	s.args("}")
	s.skip("</function>")
	return true
}

// parameter reads the value of a parameter, without the line breaks around it.
func (s *scan) parameter() string {
	return strings.TrimSuffix(strings.TrimPrefix(s.until("</parameter>"), "\n"), "\n")
}

// until reads up to something, and over it.
func (s *scan) until(end string) string {
	var text []byte
	for !s.skip(end) {
		b, ok := s.peek()
		if !ok {
			break
		}
		s.pos++
		text = append(text, b)
	}
	return string(text)
}

// argument writes the text of a parameter as JSON: a string where the function wants one, or where it is no JSON.
func argument(tool *Tool, key, text string) string {
	isText := false
	if tool != nil {
		for _, p := range tool.properties() {
			isText = isText || p.name == key && p.isText()
		}
	}
	if trimmed := strings.TrimSpace(text); !isText && isJSON(trimmed) {
		return trimmed
	}
	return quote(text)
}
