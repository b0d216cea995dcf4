package jinja

import (
	"slices"
	"strings"
)

// parser follows jinja2.parser.Parser rule by rule.
type parser struct {
	toks  []token
	at    int
	nest  int               // levels of nesting
	loops int               // loops around the statement
	uses  []map[string]bool // special names used, one set per macro around the expression
}

func (p *parser) cur() token { return p.toks[p.at] }

func (p *parser) next() token {
	t := p.toks[p.at]
	if t.kind != tEOF {
		p.at++
	}
	return t
}

func (p *parser) isOp(op string) bool     { return p.cur().kind == tOp && p.cur().text == op }
func (p *parser) isName(name string) bool { return p.cur().kind == tName && p.cur().text == name }

func (p *parser) skipOp(op string) bool {
	if p.isOp(op) {
		p.at++
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.isName(name) {
		p.at++
		return true
	}
	return false
}

func (p *parser) wantOp(op string) {
	if !p.skipOp(op) {
		fail(p.cur().line, "expected '%s', got %s", op, p.cur())
	}
}

func (p *parser) wantName() token {
	t := p.next()
	if t.kind != tName {
		fail(t.line, "expected a name, got %s", t)
	}
	return t
}

func (p *parser) wantBlockEnd() {
	if t := p.next(); t.kind != tBlockEnd {
		fail(t.line, "expected '%%}', got %s", t)
	}
}

// deeper counts a level of nesting; the returned function ends it.
func (p *parser) deeper() func() {
	if p.nest++; p.nest > maxNest {
		fail(p.cur().line, "nested more than %d deep", maxNest)
	}
	return func() { p.nest-- }
}

func (p *parser) template() []stmt {
	body, _ := p.until(0, "the template")
	return body
}

// until parses statements up to a tag with one of the given names, and that tag's name. Without
// names it parses to the end of the template.
func (p *parser) until(line int, what string, names ...string) ([]stmt, string) {
	var body []stmt
	for {
		switch t := p.next(); t.kind {
		case tEOF:
			if len(names) > 0 {
				fail(line, "%s has no %s", what, strings.Join(names, " or "))
			}
			return body, ""
		case tData:
			body = append(body, &dataStmt{t.text})
		case tVarBegin:
			body = append(body, p.output(t.line))
		default: // tBlockBegin
			if p.cur().kind == tName && slices.Contains(names, p.cur().text) {
				return body, p.next().text
			}
			if s := p.statement(); s != nil {
				body = append(body, s)
			}
			p.wantBlockEnd()
		}
	}
}

// block is until, with the tag's end.
func (p *parser) block(line int, what, end string) []stmt {
	body, _ := p.until(line, what, end)
	return body
}

func (p *parser) output(line int) stmt {
	x := markupLast(p.tuple(true, false))
	if t := p.next(); t.kind != tVarEnd {
		fail(t.line, "expected '}}', got %s", t)
	}
	return &outputStmt{line, x}
}

func (p *parser) statement() stmt {
	defer p.deeper()()
	t := p.wantName()
	switch t.text {
	case "if":
		return p.ifBlock(t.line)
	case "for":
		return p.forBlock(t.line)
	case "set":
		return p.set(t.line)
	case "macro":
		return p.macro(t.line)
	case "call":
		return p.callBlock(t.line)
	case "filter":
		f := p.filters(nil)
		p.wantBlockEnd()
		return &filterBlockStmt{t.line, f.(*filterExpr), p.block(t.line, "filter", "endfilter")}
	case "with":
		return p.with(t.line)
	case "generation":
		m := &macroStmt{line: t.line}
		p.macroBody(m, "generation", "endgeneration")
		return &scopeStmt{m.body}
	case "break", "continue":
		if p.loops == 0 {
			fail(t.line, "'%s' outside a loop", t.text)
		}
		return &jumpStmt{map[string]flow{"break": flowBreak, "continue": flowContinue}[t.text]}
	case "include", "import", "from", "extends", "block", "print", "autoescape", "do", "trans":
		fail(t.line, "the tag '%s' is not supported", t.text)
	}
	fail(t.line, "unknown tag '%s'", t.text)
	return nil
}

func (p *parser) ifBlock(line int) stmt {
	s := &ifStmt{}
	for {
		s.tests = append(s.tests, p.tuple(false, false))
		p.wantBlockEnd()
		body, end := p.until(line, "if", "elif", "else", "endif")
		s.bodies = append(s.bodies, body)
		switch end {
		case "elif":
			continue
		case "else":
			p.wantBlockEnd()
			s.bodies = append(s.bodies, p.block(line, "else", "endif"))
		default:
			s.bodies = append(s.bodies, nil)
		}
		return s
	}
}

func (p *parser) forBlock(line int) stmt {
	s := &forStmt{line: line, target: p.targets("in")}
	if !p.skipName("in") {
		fail(p.cur().line, "expected 'in', got %s", p.cur())
	}
	s.iter = p.tuple(false, false, "recursive")
	if p.skipName("if") {
		s.test = p.expr()
	}
	s.recursive = p.skipName("recursive")
	p.wantBlockEnd()
	p.loops++
	body, end := p.until(line, "for", "else", "endfor")
	p.loops--
	s.body = body
	if end == "else" {
		p.wantBlockEnd()
		s.other = p.block(line, "else", "endfor")
	}
	return s
}

func (p *parser) set(line int) stmt {
	to := p.targets("=")
	if p.skipOp("=") {
		return &setStmt{line, to, p.tuple(true, false)}
	}
	s := &setBlockStmt{line: line, target: to}
	if p.skipOp("|") {
		s.filter = p.filters(nil).(*filterExpr)
	}
	p.wantBlockEnd()
	s.body = p.block(line, "set", "endset")
	return s
}

func (p *parser) with(line int) stmt {
	s := &withStmt{line: line}
	for p.cur().kind != tBlockEnd {
		if len(s.targets) > 0 {
			p.wantOp(",")
		}
		s.targets = append(s.targets, p.oneTarget())
		p.wantOp("=")
		s.values = append(s.values, p.expr())
	}
	p.wantBlockEnd()
	s.body = p.block(line, "with", "endwith")
	return s
}

func (p *parser) macro(line int) stmt {
	m := &macroStmt{line: line, name: p.wantName().text}
	p.signature(m)
	p.macroBody(m, "macro", "endmacro")
	return m
}

func (p *parser) callBlock(line int) stmt {
	m := &macroStmt{line: line, name: "caller"}
	if p.isOp("(") {
		p.signature(m)
	}
	call, ok := p.expr().(*callExpr)
	if !ok {
		fail(line, "expected a call")
	}
	p.macroBody(m, "call", "endcall")
	return &callBlockStmt{line, call, m}
}

// macroBody parses a body that is a function of its own: a jump cannot leave it.
func (p *parser) macroBody(m *macroStmt, what, end string) {
	p.wantBlockEnd()
	loops := p.loops
	p.loops = 0
	m.uses = map[string]bool{}
	p.uses = append(p.uses, m.uses)
	m.body = p.block(m.line, what, end)
	p.uses = p.uses[:len(p.uses)-1]
	p.loops = loops
}

func (p *parser) signature(m *macroStmt) {
	p.wantOp("(")
	for !p.isOp(")") {
		if len(m.params) > 0 {
			p.wantOp(",")
		}
		t := p.oneTarget()
		if t.attr != "" || slices.Contains(m.params, t.name) {
			fail(t.line, "bad parameter '%s'", t.name)
		}
		m.params = append(m.params, t.name)
		if p.skipOp("=") {
			m.defaults = append(m.defaults, p.expr())
		} else if len(m.defaults) > 0 {
			fail(t.line, "a parameter without a default follows one with a default")
		}
	}
	p.wantOp(")")
}

func (p *parser) oneTarget() target {
	t := p.wantName()
	if slices.Contains([]string{"true", "false", "none", "True", "False", "None"}, t.text) {
		fail(t.line, "cannot assign to '%s'", t.text)
	}
	to := target{line: t.line, name: t.text}
	if p.skipOp(".") {
		to.attr = p.wantName().text
	}
	return to
}

// targets parses a target or several; end is what follows them.
func (p *parser) targets(end string) target {
	defer p.deeper()()
	var parts []target
	several := false
	for {
		if p.skipOp("(") {
			inner := p.targets(")")
			p.wantOp(")")
			parts = append(parts, inner)
		} else {
			parts = append(parts, p.oneTarget())
		}
		if !p.skipOp(",") {
			break
		}
		several = true
		if p.isOp(end) || p.isName(end) || p.cur().kind == tBlockEnd {
			break
		}
	}
	if !several {
		return parts[0]
	}
	for _, t := range parts {
		if t.attr != "" {
			fail(t.line, "cannot unpack into an attribute")
		}
	}
	return target{line: parts[0].line, parts: parts}
}
