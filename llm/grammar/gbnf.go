package grammar

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseGBNF reads a grammar in the notation of llama.cpp, whose text is the rule root. The error is a *SyntaxError.
func ParseGBNF(text string) (*Grammar, error) {
	if !utf8.ValidString(text) {
		return nil, wrong("", "grammar: is not UTF-8")
	}
	p := &parser{text: text, ids: map[string]int{}, g: &Grammar{}}
	p.id("root", 0)
	for p.space(true); p.at < len(p.text); p.space(true) {
		if err := p.rule(); err != nil {
			return nil, err
		}
	}
	for i, r := range p.g.rules {
		if r.expr != nil {
			continue
		}
		if i == 0 {
			return nil, wrong("", "grammar: there is no rule root, which is the whole text")
		}
		return nil, p.wrong(p.used[i], "there is no rule %s", r.name)
	}
	return p.g, nil
}

// parser reads GBNF.
type parser struct {
	text  string
	at    int
	depth int
	ids   map[string]int
	used  []int // where each rule was named first
	g     *Grammar
}

// wrong is an error at a place in the text.
func (p *parser) wrong(at int, format string, args ...any) error {
	before := p.text[:min(at, len(p.text))]
	line := strings.Count(before, "\n")
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return wrong(fmt.Sprintf("grammar: %d:%d", line+1, column+1), format, args...)
}

// id returns the number of a rule.
func (p *parser) id(name string, at int) int {
	id, ok := p.ids[name]
	if !ok {
		id = len(p.g.rules)
		p.ids[name] = id
		p.g.rules = append(p.g.rules, &rule{name: name})
		p.used = append(p.used, at)
	}
	return id
}

// space skips white space and comments, over the ends of lines if lines says so.
func (p *parser) space(lines bool) {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == ' ' || c == '\t' || lines && (c == '\n' || c == '\r'):
			p.at++
		case c == '#':
			for p.at < len(p.text) && p.text[p.at] != '\n' && p.text[p.at] != '\r' {
				p.at++
			}
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// name reads a rule's name, "" if there is none.
func (p *parser) name() string {
	from := p.at
	for isNameByte(p.peek()) {
		p.at++
	}
	return p.text[from:p.at]
}

// rule reads name ::= alternatives.
func (p *parser) rule() error {
	at := p.at
	name := p.name()
	if name == "" {
		return p.wrong(at, "want a rule, name ::= …")
	}
	p.space(false)
	if !strings.HasPrefix(p.text[p.at:], "::=") {
		return p.wrong(p.at, "want ::= after the name %s", name)
	}
	p.at += 3
	id := p.id(name, at)
	if p.g.rules[id].expr != nil {
		return p.wrong(at, "there are two rules %s", name)
	}
	if len(p.g.rules) > maxRules {
		return p.wrong(at, "more than %d rules", maxRules)
	}
	p.space(true)
	e, err := p.alternatives()
	if err != nil {
		return err
	}
	p.g.rules[id].expr = e
	if p.space(false); p.at < len(p.text) && p.peek() != '\n' && p.peek() != '\r' {
		return p.wrong(p.at, "%q does not belong here", p.text[p.at])
	}
	return nil
}

// alternatives reads sequences divided by |.
func (p *parser) alternatives() (*expr, error) {
	if p.depth++; p.depth > maxDepth/2 {
		return nil, p.wrong(p.at, "more than %d levels of brackets", maxDepth/2)
	}
	defer func() { p.depth-- }()
	var kids []*expr
	for {
		e, err := p.sequence()
		if err != nil {
			return nil, err
		}
		kids = append(kids, e)
		if p.blank(); p.peek() != '|' {
			return alt(kids...), nil
		}
		p.at++
		p.space(true)
	}
}

// blank skips white space within a rule: the ends of lines too, unless another rule begins.
func (p *parser) blank() {
	p.space(false)
	at := p.at
	p.space(true)
	next := p.at
	if p.at == len(p.text) || p.name() != "" && p.isRule() {
		next = at
	}
	p.at = next
}

// isRule reports whether ::= follows.
func (p *parser) isRule() bool {
	p.space(false)
	return strings.HasPrefix(p.text[p.at:], "::=")
}

// sequence reads items up to | or ) or the end of the rule.
func (p *parser) sequence() (*expr, error) {
	kids := []*expr{}
	for {
		p.blank()
		e, err := p.item()
		if err != nil {
			return nil, err
		}
		if e == nil {
			return seq(kids...), nil
		}
		if e, err = p.repetition(e); err != nil {
			return nil, err
		}
		kids = append(kids, e)
	}
}

// item reads one item, nil if there is none.
func (p *parser) item() (*expr, error) {
	at := p.at
	switch c := p.peek(); {
	case c == '"':
		return p.quoted()
	case c == '[':
		return p.class()
	case c == '.':
		p.at++
		return chars(0, utf8.MaxRune), nil
	case c == '(':
		p.at++
		p.space(true)
		e, err := p.alternatives()
		if err != nil {
			return nil, err
		}
		if p.space(true); p.peek() != ')' {
			return nil, p.wrong(at, "this bracket is not closed")
		}
		p.at++
		return e, nil
	case c == '<' || c == '!' && strings.HasPrefix(p.text[p.at:], "!<"):
		return nil, p.wrong(at, "tokens in a grammar are not supported: write the text that they stand for")
	case isNameByte(c):
		if name := p.name(); !p.isRule() {
			p.at = at + len(name)
			return call(p.id(name, at)), nil
		}
		p.at = at
	}
	return nil, nil
}

// quoted reads a literal.
func (p *parser) quoted() (*expr, error) {
	at := p.at
	p.at++
	var text []byte
	for {
		switch p.peek() {
		case '"':
			p.at++
			return literal(string(text)), nil
		case 0, '\n':
			return nil, p.wrong(at, "this quotation mark is not closed")
		}
		r, err := p.character()
		if err != nil {
			return nil, err
		}
		text = utf8.AppendRune(text, r)
	}
}

// class reads characters in square brackets.
func (p *parser) class() (*expr, error) {
	at := p.at
	p.at++
	not := p.peek() == '^'
	if not {
		p.at++
	}
	e := &expr{op: opChars}
	for p.peek() != ']' {
		if p.peek() == 0 || p.peek() == '\n' {
			return nil, p.wrong(at, "this bracket is not closed")
		}
		lo, err := p.character()
		if err != nil {
			return nil, err
		}
		hi := lo
		if p.peek() == '-' && p.at+1 < len(p.text) && p.text[p.at+1] != ']' {
			p.at++
			if hi, err = p.character(); err != nil {
				return nil, err
			}
		}
		if hi < lo {
			return nil, p.wrong(at, "the range %q-%q is empty", lo, hi)
		}
		e.spans = append(e.spans, span{lo, hi})
	}
	p.at++
	if not {
		e.spans = negated(e.spans)
	}
	if len(e.spans) == 0 {
		return nil, p.wrong(at, "no character is in these brackets")
	}
	return e, nil
}

// escapes are characters after a backslash.
var escapes = map[byte]rune{'n': '\n', 'r': '\r', 't': '\t', '\\': '\\', '"': '"', '[': '[', ']': ']', '-': '-', '^': '^', '\'': '\'', '/': '/'}

// character reads one, which may be escaped.
func (p *parser) character() (rune, error) {
	at := p.at
	if p.peek() != '\\' {
		r, n := utf8.DecodeRuneInString(p.text[p.at:])
		p.at += n
		return r, nil
	}
	p.at++
	c := p.peek()
	p.at++
	if r, ok := escapes[c]; ok {
		return r, nil
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if digits == 0 || p.at+digits > len(p.text) {
		return 0, p.wrong(at, `an escape that is not known: want \n \r \t \\ \" \[ \] \xHH \uHHHH or \UHHHHHHHH`)
	}
	v, err := strconv.ParseUint(p.text[p.at:p.at+digits], 16, 32)
	if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
		return 0, p.wrong(at, "is not the number of a character")
	}
	p.at += digits
	return rune(v), nil
}

// repetition reads * + ? {m} {m,} {m,n} after an item.
func (p *parser) repetition(e *expr) (*expr, error) {
	for {
		switch p.peek() {
		case '*':
			e = repeat(e, 0, -1)
		case '+':
			e = repeat(e, 1, -1)
		case '?':
			e = repeat(e, 0, 1)
		case '{':
			least, most, err := p.counts()
			if err != nil {
				return nil, err
			}
			e = repeat(e, least, most)
			continue
		default:
			return e, nil
		}
		p.at++
	}
}

// counts reads {m}, {m,}, {,n} or {m,n}.
func (p *parser) counts() (least, most int, err error) {
	at := p.at
	end := strings.IndexByte(p.text[at:], '}')
	if end < 0 {
		return 0, 0, p.wrong(at, "this bracket is not closed")
	}
	p.at += end + 1
	first, second, several := strings.Cut(p.text[at+1:at+end], ",")
	number := func(text string, missing int) int {
		if text = strings.TrimSpace(text); text == "" && several {
			return missing
		}
		n, nerr := strconv.Atoi(text)
		if nerr != nil || n < 0 || n > maxRepeat {
			err = p.wrong(at, "want {m}, {m,} or {m,n} with numbers up to %d", maxRepeat)
		}
		return n
	}
	least = number(first, 0)
	if most = least; several {
		most = number(second, -1)
	}
	if err == nil && most >= 0 && most < least {
		err = p.wrong(at, "at most %d times, and at least %d", most, least)
	}
	return least, most, err
}
