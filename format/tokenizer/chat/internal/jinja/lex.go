package jinja

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind int

const (
	tEOF kind = iota
	tData
	tBlockBegin
	tBlockEnd
	tVarBegin
	tVarEnd
	tName
	tString
	tInt
	tFloat
	tOp
)

// token is one token. text is a name, an operator, a number as written, a string's value or data.
type token struct {
	kind kind
	text string
	line int
}

func (t token) String() string {
	switch t.kind {
	case tEOF:
		return "end of template"
	case tBlockEnd:
		return "'%}'"
	case tVarEnd:
		return "'}}'"
	case tData, tBlockBegin, tVarBegin:
		return "template text"
	case tString:
		return repr(t.text)
	}
	return "'" + t.text + "'"
}

var (
	newlineRE  = regexp.MustCompile(`\r\n?`)
	rawBeginRE = regexp.MustCompile(`^\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})`)
	rawEndRE   = regexp.MustCompile(`\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)`)
	floatRE    = regexp.MustCompile(`^(?i)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+\-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)`)
	intRE      = regexp.MustCompile(`^(?i)(?:0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*)`)
	opRE       = regexp.MustCompile(`^(?://|\*\*|==|!=|>=|<=|[-+/*%~\[\](){}><=.:|,;])`)
)

// lexer cuts a template into tokens, as jinja2.lexer.Lexer.tokeniter does.
type lexer struct {
	src       string
	pos       int
	line      int // of pos
	lineStart bool
	toks      []token
}

func lex(source string) []token {
	src := newlineRE.ReplaceAllString(source, "\n")
	l := &lexer{src: strings.TrimSuffix(src, "\n"), line: 1, lineStart: true}
	for l.root() {
	}
	l.emit(tEOF, "")
	return l.toks
}

func (l *lexer) emit(k kind, text string) { l.toks = append(l.toks, token{k, text, l.line}) }

func (l *lexer) data(text string) {
	if text != "" {
		l.emit(tData, text)
	}
}

// advance moves to position to.
func (l *lexer) advance(to int) {
	l.line += strings.Count(l.src[l.pos:to], "\n")
	l.pos = to
}

// root lexes the text up to the next tag, and the tag. It reports whether there was one.
func (l *lexer) root() bool {
	begin := l.pos + nextTag(l.src[l.pos:])
	if begin < l.pos {
		l.data(l.src[l.pos:])
		l.advance(len(l.src))
		return false
	}
	what, sign := l.src[begin+1], byte(0)
	after := begin + 2
	if after < len(l.src) && (l.src[after] == '-' || l.src[after] == '+') {
		sign = l.src[after]
		after++
	}
	l.data(l.before(l.src[l.pos:begin], sign, what == '{'))
	l.advance(begin)
	switch m := rawBeginRE.FindString(l.src[begin:]); {
	case what == '#':
		l.comment(after)
	case m != "":
		l.raw(begin + len(m))
	case what == '{':
		l.emit(tVarBegin, "")
		l.tag(after, true)
	default:
		l.emit(tBlockBegin, "")
		l.tag(after, false)
	}
	return true
}

// nextTag tells where the next tag, output or comment begins; -1 if there is none.
func nextTag(s string) int {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '{' && (s[i+1] == '%' || s[i+1] == '{' || s[i+1] == '#') {
			return i
		}
	}
	return -1
}

// before is what remains of the text before a tag: '-' strips its trailing space, and a block or a
// comment alone on its line so far takes its indentation along unless '+' forbids it.
func (l *lexer) before(text string, sign byte, output bool) string {
	switch {
	case sign == '-':
		return strings.TrimRightFunc(text, isSpace)
	case sign == '+' || output:
		return text
	}
	cut := strings.LastIndexByte(text, '\n') + 1
	if (cut > 0 || l.lineStart) && strings.TrimFunc(text[cut:], isSpace) == "" {
		return text[:cut]
	}
	return text
}

// end moves past the end of a tag and what the end strips: '-' all space, none a newline if trim.
func (l *lexer) end(to int, sign byte, trim bool) {
	switch {
	case sign == '-':
		to = len(l.src) - len(strings.TrimLeftFunc(l.src[to:], isSpace))
	case sign != '+' && trim && strings.HasPrefix(l.src[to:], "\n"):
		to++
	}
	l.advance(to)
	l.lineStart = l.src[to-1] == '\n'
}

func (l *lexer) comment(from int) {
	i := strings.Index(l.src[from:], "#}")
	if i < 0 {
		fail(l.line, "missing end of comment")
	}
	sign := byte(0)
	if i > 0 {
		sign = l.src[from+i-1]
	}
	l.end(from+i+2, sign, true)
}

func (l *lexer) raw(from int) {
	line := l.line
	l.advance(from)
	l.lineStart = l.src[from-1] == '\n'
	m := rawEndRE.FindStringSubmatchIndex(l.src[from:])
	if m == nil {
		fail(line, "missing end of raw block")
	}
	sign := byte(0)
	if m[2] < m[3] {
		sign = l.src[from+m[2]]
	}
	l.data(l.before(l.src[from:from+m[0]], sign, false))
	l.advance(from + m[1])
	l.lineStart = l.src[l.pos-1] == '\n'
}

// tag lexes the inside of a block or an output, and its end.
func (l *lexer) tag(from int, output bool) {
	l.advance(from)
	closing, endKind := "%}", tBlockEnd
	if output {
		closing, endKind = "}}", tVarEnd
	}
	var open []byte
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		if len(open) == 0 {
			sign := byte(0)
			if rest[0] == '-' || rest[0] == '+' && !output {
				sign = rest[0]
				rest = rest[1:]
			}
			if strings.HasPrefix(rest, closing) {
				l.emit(endKind, "")
				l.end(len(l.src)-len(rest)+2, sign, !output)
				return
			}
		}
		open = l.inside(open)
	}
	fail(l.line, "unexpected end of template inside a tag")
}

// inside lexes one token of an expression. open holds the brackets that are open.
func (l *lexer) inside(open []byte) []byte {
	rest := l.src[l.pos:]
	if trimmed := strings.TrimLeftFunc(rest, isSpace); len(trimmed) < len(rest) {
		l.advance(len(l.src) - len(trimmed))
		return open
	}
	take := func(k kind, n int) { l.emit(k, rest[:n]); l.advance(l.pos + n) }
	if m := floatRE.FindString(rest); m != "" && l.src[l.pos-1] != '.' {
		take(tFloat, len(m))
	} else if m := intRE.FindString(rest); m != "" {
		take(tInt, len(m))
	} else if n := nameLength(rest); n > 0 {
		take(tName, n)
	} else if rest[0] == '"' || rest[0] == '\'' {
		l.str(rest)
	} else if m := opRE.FindString(rest); m != "" {
		open = l.balance(open, m)
		take(tOp, len(m))
	} else {
		r, _ := utf8.DecodeRuneInString(rest)
		fail(l.line, "unexpected character %q", r)
	}
	return open
}

func nameLength(s string) int {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return i
		}
	}
	return len(s)
}

func (l *lexer) balance(open []byte, op string) []byte {
	switch op {
	case "(":
		return append(open, ')')
	case "[":
		return append(open, ']')
	case "{":
		return append(open, '}')
	case ")", "]", "}":
		if len(open) == 0 || open[len(open)-1] != op[0] {
			fail(l.line, "unexpected '%s'", op)
		}
		return open[:len(open)-1]
	}
	return open
}

// str lexes a string literal.
func (l *lexer) str(rest string) {
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case rest[0]:
			l.emit(tString, l.unescape(rest[1:i]))
			l.advance(l.pos + i + 1)
			return
		}
	}
	fail(l.line, "missing end of string")
}

var simpleEscapes = map[byte]string{
	'\n': "", '\\': "\\", '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

// unescape reads the escapes of Python's string literals; an unknown one stays as it is.
func (l *lexer) unescape(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return b.String() + s
		}
		b.WriteString(s[:i])
		s = s[i+1:] // not empty: str skips a pair at a time
		if text, ok := simpleEscapes[s[0]]; ok {
			b.WriteString(text)
			s = s[1:]
			continue
		}
		r, n := l.codeEscape(s)
		if n == 0 {
			b.WriteByte('\\')
			continue
		}
		b.WriteRune(r)
		s = s[n:]
	}
}

// codeEscape reads \123, \x41, \u0041 or \U00000041 behind its backslash; n is 0 for none of them.
func (l *lexer) codeEscape(s string) (r rune, n int) {
	digits, base := 0, 16
	switch {
	case s[0] >= '0' && s[0] <= '7':
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		v, _ := strconv.ParseUint(s[:n], 8, 32)
		return rune(v), n
	case s[0] == 'x':
		digits = 2
	case s[0] == 'u':
		digits = 4
	case s[0] == 'U':
		digits = 8
	case s[0] == 'N':
		fail(l.line, `the escape \N is not supported`)
	default:
		return 0, 0
	}
	if len(s) <= digits {
		fail(l.line, `truncated escape \%s`, s)
	}
	v, err := strconv.ParseUint(s[1:1+digits], base, 32)
	if err != nil || v > unicode.MaxRune || v >= 0xd800 && v < 0xe000 {
		fail(l.line, `the escape \%s is no character`, s[:1+digits])
	}
	return rune(v), 1 + digits
}

// isSpace is what Python's str.isspace and \s call space.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
