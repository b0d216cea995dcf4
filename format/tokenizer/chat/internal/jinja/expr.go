package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// expr parses an expression, with the inline if.
func (p *parser) expr() expr {
	defer p.deeper()()
	x := p.or()
	for p.isName("if") {
		line := p.next().line
		c := &condExpr{line: line, then: x, test: p.or()}
		if p.skipName("else") {
			c.other = p.expr()
		}
		x = c
	}
	return x
}

// tuple parses an expression, or several behind each other that make a tuple. Without cond an
// inline if is left to the tag. ends are names that may follow.
func (p *parser) tuple(cond, parens bool, ends ...string) expr {
	defer p.deeper()()
	var items []expr
	several := false
	for {
		if len(items) > 0 && !p.skipOp(",") {
			break
		}
		several = several || len(items) > 0
		t := p.cur()
		if t.kind == tVarEnd || t.kind == tBlockEnd || p.isOp(")") || t.kind == tName && slices.Contains(ends, t.text) {
			break
		}
		if cond {
			items = append(items, p.expr())
		} else {
			items = append(items, p.or())
		}
	}
	if several || len(items) == 0 && parens {
		return &tupleExpr{items}
	}
	if len(items) == 0 {
		fail(p.cur().line, "expected an expression, got %s", p.cur())
	}
	return items[0]
}

func (p *parser) or() expr {
	x := p.and()
	for p.skipName("or") {
		x = &logicExpr{false, x, p.and()}
	}
	return x
}

func (p *parser) and() expr {
	x := p.not()
	for p.skipName("and") {
		x = &logicExpr{true, x, p.not()}
	}
	return x
}

func (p *parser) not() expr {
	if !p.skipName("not") {
		return p.compare()
	}
	defer p.deeper()()
	return &notExpr{p.not()}
}

var compareOps = []string{"==", "!=", "<", "<=", ">", ">="}

func (p *parser) compare() expr {
	c := &compareExpr{line: p.cur().line, first: p.sum()}
	for {
		t := p.cur()
		switch {
		case t.kind == tOp && slices.Contains(compareOps, t.text):
			p.at++
			c.ops = append(c.ops, t.text)
		case p.skipName("in"):
			c.ops = append(c.ops, "in")
		case p.isName("not") && p.toks[p.at+1].kind == tName && p.toks[p.at+1].text == "in":
			p.at += 2
			c.ops = append(c.ops, "not in")
		case len(c.ops) == 0:
			return c.first
		default:
			return c
		}
		c.rest = append(c.rest, p.sum())
	}
}

// chain parses operands joined by operators of one rank, from the left.
func (p *parser) chain(operand func() expr, ops ...string) expr {
	x := operand()
	for p.cur().kind == tOp && slices.Contains(ops, p.cur().text) {
		t := p.next()
		x = &binaryExpr{t.line, t.text, x, operand()}
	}
	return x
}

func (p *parser) sum() expr     { return p.chain(p.concat, "+", "-") }
func (p *parser) concat() expr  { return p.chain(p.product, "~") }
func (p *parser) product() expr { return p.chain(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr {
	return p.chain(func() expr { return p.unary(true) }, "**")
}

func (p *parser) unary(filters bool) expr {
	var x expr
	if t := p.cur(); p.isOp("-") || p.isOp("+") {
		done := p.deeper()
		p.at++
		x = &unaryExpr{t.line, t.text, p.unary(false)}
		done()
	} else {
		x = p.primary()
	}
	x = p.postfix(x)
	if filters {
		x = p.filtered(x)
	}
	return x
}

func (p *parser) primary() expr {
	switch t := p.next(); {
	case t.kind == tName:
		return p.name(t)
	case t.kind == tString:
		var b strings.Builder
		b.WriteString(t.text)
		for p.cur().kind == tString {
			b.WriteString(p.next().text)
		}
		return &constant{b.String()}
	case t.kind == tInt:
		n, err := strconv.ParseInt(t.text, 0, 64)
		if t.text[0] == '0' && strings.Trim(t.text, "0_") == "" {
			n, err = 0, nil
		}
		if err != nil {
			fail(t.line, "the number %s is too large", t.text)
		}
		return &constant{int(n)}
	case t.kind == tFloat:
		f, err := strconv.ParseFloat(strings.ReplaceAll(t.text, "_", ""), 64)
		if err != nil {
			fail(t.line, "the number %s is too large", t.text)
		}
		return &constant{f}
	case t.kind == tOp && t.text == "(":
		x := p.tuple(true, true)
		p.wantOp(")")
		return x
	case t.kind == tOp && t.text == "[":
		return &listExpr{p.items("]")}
	case t.kind == tOp && t.text == "{":
		return p.dict(t.line)
	default:
		fail(t.line, "unexpected %s", t)
		return nil
	}
}

func (p *parser) name(t token) expr {
	switch t.text {
	case "true", "True":
		return &constant{true}
	case "false", "False":
		return &constant{false}
	case "none", "None":
		return &constant{nil}
	case "caller", "varargs", "kwargs":
		for _, uses := range p.uses {
			uses[t.text] = true
		}
	}
	return &nameExpr{t.line, t.text}
}

// items parses expressions with commas between them and the closing bracket.
func (p *parser) items(end string) []expr {
	var items []expr
	for !p.isOp(end) {
		if len(items) > 0 {
			p.wantOp(",")
			if p.isOp(end) {
				break
			}
		}
		items = append(items, p.expr())
	}
	p.wantOp(end)
	return items
}

func (p *parser) dict(line int) expr {
	d := &dictExpr{line: line}
	for !p.isOp("}") {
		if len(d.keys) > 0 {
			p.wantOp(",")
			if p.isOp("}") {
				break
			}
		}
		d.keys = append(d.keys, p.expr())
		p.wantOp(":")
		d.vals = append(d.vals, p.expr())
	}
	p.wantOp("}")
	return d
}

// postfix parses attributes, subscripts and calls.
func (p *parser) postfix(x expr) expr {
	for {
		switch line := p.cur().line; {
		case p.skipOp("."):
			x = p.attribute(line, x)
		case p.skipOp("["):
			x = p.subscript(line, x)
		case p.skipOp("("):
			x = &callExpr{line, x, p.callArguments()}
		default:
			return x
		}
	}
}

func (p *parser) attribute(line int, x expr) expr {
	switch t := p.next(); t.kind {
	case tName:
		return &attrExpr{line, x, t.text}
	case tInt:
		n, err := strconv.Atoi(t.text)
		if err != nil {
			fail(line, "bad subscript '%s'", t.text)
		}
		return &itemExpr{line, x, &constant{n}}
	default:
		fail(line, "expected a name or a number, got %s", t)
		return nil
	}
}

func (p *parser) subscript(line int, x expr) expr {
	var bounds [3]expr
	colons := 0
	for ; colons < 3; colons++ {
		if !p.isOp(":") && !p.isOp("]") {
			bounds[colons] = p.expr()
		}
		if colons == 2 || !p.skipOp(":") {
			break
		}
	}
	if p.isOp(",") {
		fail(line, "subscripts of several values are not supported")
	}
	p.wantOp("]")
	if colons > 0 {
		return &sliceExpr{line, x, bounds[0], bounds[1], bounds[2]}
	}
	if bounds[0] == nil {
		fail(line, "expected a subscript")
	}
	return &itemExpr{line, x, bounds[0]}
}

// callArguments parses arguments and the closing parenthesis.
func (p *parser) callArguments() (a arguments) {
	first := true
	for ; !p.isOp(")"); first = false {
		if !first {
			p.wantOp(",")
			if p.isOp(")") {
				break
			}
		}
		p.argument(&a)
	}
	p.wantOp(")")
	return a
}

func (p *parser) argument(a *arguments) {
	line := p.cur().line
	named := p.cur().kind == tName && p.toks[p.at+1].kind == tOp && p.toks[p.at+1].text == "="
	switch {
	case a.starStar != nil:
		fail(line, "an argument follows **")
	case p.skipOp("**"):
		a.starStar = p.expr()
	case a.star != nil && !named, p.isOp("*") && len(a.names) > 0:
		fail(line, "a positional argument follows * or a named one")
	case p.skipOp("*"):
		a.star = p.expr()
	case named:
		name := p.next().text
		if slices.Contains(a.names, name) {
			fail(line, "the argument '%s' is given twice", name)
		}
		p.at++
		a.names, a.named = append(a.names, name), append(a.named, p.expr())
	case len(a.names) > 0:
		fail(line, "a positional argument follows a named one")
	default:
		a.pos = append(a.pos, p.expr())
	}
}

// filtered parses the filters, tests and calls behind an operand.
func (p *parser) filtered(x expr) expr {
	for {
		switch line := p.cur().line; {
		case p.skipOp("|"):
			x = p.filter(x)
		case p.skipName("is"):
			x = p.test(line, x)
		case p.skipOp("("):
			x = &callExpr{line, x, p.callArguments()}
		default:
			return x
		}
	}
}

// filters parses the chain of filters of a block.
func (p *parser) filters(x expr) expr {
	x = p.filter(x)
	for p.skipOp("|") {
		x = p.filter(x)
	}
	return x
}

func (p *parser) filter(x expr) expr {
	t := p.wantName()
	f := &filterExpr{line: t.line, name: t.text, subject: x}
	if filterTable[t.text] == nil && !markup[t.text] {
		fail(t.line, "the filter '%s' is unknown or not supported", t.text)
	}
	if p.skipOp("(") {
		f.args = p.callArguments()
	}
	return f
}

func (p *parser) test(line int, x expr) expr {
	negated := p.skipName("not")
	t := p.wantName()
	s := &testExpr{line: line, name: t.text, subject: x}
	if testTable[t.text] == nil {
		fail(t.line, "the test '%s' is unknown or not supported", t.text)
	}
	switch c := p.cur(); {
	case p.skipOp("("):
		s.args = p.callArguments()
	case c.kind == tName && (c.text == "else" || c.text == "or" || c.text == "and"):
	case p.isName("is"):
		fail(c.line, "tests cannot be chained with 'is'")
	case c.kind == tName, c.kind == tString, c.kind == tInt, c.kind == tFloat, p.isOp("["), p.isOp("{"):
		s.args.pos = []expr{p.postfix(p.primary())}
	}
	if negated {
		return &notExpr{s}
	}
	return s
}

// markup names the filters that make text which joins others by escaping them. They are supported
// where nothing is joined: as the last filter of an output.
var markup = map[string]bool{"safe": true, "escape": true, "e": true}

func markupLast(x expr) expr {
	f, ok := x.(*filterExpr)
	if !ok || !markup[f.name] || len(f.args.pos)+len(f.args.names) > 0 {
		return x
	}
	return &filterExpr{line: f.line, name: map[bool]string{true: "string", false: "html escape"}[f.name == "safe"], subject: f.subject}
}
