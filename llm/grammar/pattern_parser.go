package grammar

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// patternParser reads a regular expression.
type patternParser struct {
	in           []rune
	at           int
	depth        int
	fold, dotAll bool // as the flags i and s say, here
	folding      int  // characters whose other spellings were looked for
}

// braced returns what is between the brace before a place and the next closing one, which is near.
func (p *patternParser) braced(from int) (text string, closed bool) {
	text, _, closed = strings.Cut(string(p.in[from:min(from+64, len(p.in))]), "}")
	return text, closed
}

// takes reads text, if it comes next. It is ASCII.
func (p *patternParser) takes(text string) bool {
	n := len(text)
	if len(p.in)-p.at < n || string(p.in[p.at:p.at+n]) != text {
		return false
	}
	p.at += n
	return true
}

func (p *patternParser) more() bool { return p.at < len(p.in) }

// choice reads alternatives, up to a ) or the end. Flags that are set in it end with it.
func (p *patternParser) choice() (*regex, error) {
	fold, dotAll := p.fold, p.dotAll
	defer func() { p.fold, p.dotAll = fold, dotAll }()
	all := &regex{op: regexAlt}
	for {
		one := &regex{op: regexSeq}
		for p.more() && p.in[p.at] != '|' && p.in[p.at] != ')' {
			kid, err := p.repeated()
			if err != nil {
				return nil, err
			}
			one.kids = append(one.kids, kid)
		}
		if all.kids = append(all.kids, one); !p.takes("|") {
			break
		}
	}
	if len(all.kids) == 1 {
		return all.kids[0], nil
	}
	return all, nil
}

// repeated reads a part and what says how often it comes.
func (p *patternParser) repeated() (*regex, error) {
	re, err := p.atom()
	if err != nil {
		return nil, err
	}
	least, most, ok, err := p.times()
	if err != nil || !ok {
		return re, err
	}
	p.takes("?") // as few as possible: that is the same set of texts
	if _, _, again, _ := p.times(); again {
		return nil, errors.New("what repeats is repeated: put it into a group")
	}
	re = &regex{op: regexRepeat, kids: []*regex{re}, least: least, most: most}
	if re.copies() > maxCopies {
		return nil, fmt.Errorf("it repeats something more than %d times", maxCopies)
	}
	return re, nil
}

// maxCopies is how often parts may be repeated, those within others together.
const maxCopies = 1000

// copies is how often something in an expression is repeated by number.
func (re *regex) copies() int {
	n := 1
	for _, kid := range re.kids {
		n = max(n, kid.copies())
	}
	if re.op == regexRepeat {
		n *= max(re.least, re.most, 1)
	}
	return min(n, maxCopies+1)
}

// times reads * + ? or {m,n}. A { that begins no such thing is a character.
func (p *patternParser) times() (least, most int, ok bool, err error) {
	switch {
	case p.takes("*"):
		return 0, -1, true, nil
	case p.takes("+"):
		return 1, -1, true, nil
	case p.takes("?"):
		return 0, 1, true, nil
	case !p.more() || p.in[p.at] != '{':
		return 0, 0, false, nil
	}
	text, closed := p.braced(p.at + 1)
	low, high, comma := strings.Cut(text, ",")
	if !closed || low == "" || strings.Trim(low+high, "0123456789") != "" {
		return 0, 0, false, nil
	}
	least, err = strconv.Atoi(low)
	most = least
	switch {
	case err == nil && high != "":
		most, err = strconv.Atoi(high)
	case comma:
		most = -1
	}
	if err != nil || least > maxCopies || most > maxCopies || most >= 0 && most < least {
		return 0, 0, false, fmt.Errorf("{%s}: want {m}, {m,} or {m,n} with m ≤ n ≤ %d", text, maxCopies)
	}
	p.at += len(text) + 2
	return least, most, true, nil
}

// atom reads a character, a class, a group or a place.
func (p *patternParser) atom() (*regex, error) {
	c := p.in[p.at]
	p.at++
	switch c {
	case '*', '+', '?':
		return nil, fmt.Errorf("%c repeats nothing", c)
	case '{':
		p.at--
		if _, _, ok, err := p.times(); ok || err != nil {
			return nil, cmp.Or(err, errors.New("a {m,n} repeats nothing"))
		}
		p.at++
	case '^', '$':
		return &regex{op: regexPlace, place: string(c)}, nil
	case '.':
		if p.dotAll {
			return oneOf(anyChars), nil
		}
		return oneOf(negated([]span{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}})), nil
	case '[':
		return p.class()
	case '(':
		return p.group()
	case '\\':
		if p.takes("b") {
			return &regex{op: regexPlace, place: `\b`}, nil
		}
		if p.takes("B") {
			return &regex{op: regexPlace, place: `\B`}, nil
		}
		spans, _, err := p.escape(false)
		return oneOf(p.folded(spans)), err
	}
	return oneOf(p.folded([]span{{c, c}})), nil
}

func oneOf(spans []span) *regex { return &regex{op: regexChar, spans: spans} }

// group reads what is in parentheses. What looks ahead or behind would have to be held to beside what follows.
func (p *patternParser) group() (*regex, error) {
	if p.depth++; p.depth > maxDepth/2 {
		return nil, fmt.Errorf("more than %d groups in groups", maxDepth/2)
	}
	defer func() { p.depth-- }()
	fold, dotAll := p.fold, p.dotAll
	if p.takes("?") {
		switch {
		case p.takes("="), p.takes("!"), p.takes("<="), p.takes("<!"):
			return nil, errors.New("what looks ahead or behind is not supported")
		case p.takes("<"), p.takes("P<"):
			for p.more() && !p.takes(">") {
				p.at++
			}
		default:
			rest, err := p.flags()
			if rest || err != nil {
				return &regex{op: regexSeq}, err // they hold up to the end of the group around
			}
		}
	}
	re, err := p.choice()
	p.fold, p.dotAll = fold, dotAll
	if err == nil && !p.takes(")") {
		err = errors.New("a ( is not closed")
	}
	return re, err
}

// flags reads what is between (? and : or ). rest: they are followed by a ).
func (p *patternParser) flags() (rest bool, err error) {
	on := true
	for p.more() {
		c := p.in[p.at]
		p.at++
		switch c {
		case ':':
			return false, nil
		case ')':
			return true, nil
		case '-':
			on = false
		case 'i':
			p.fold = on
		case 's':
			p.dotAll = on
		default:
			return false, fmt.Errorf("the flag %c is not supported", c)
		}
	}
	return false, errors.New("a ( is not closed")
}

// class reads the rest of [ … ].
func (p *patternParser) class() (*regex, error) {
	negate := p.takes("^")
	if p.more() && p.in[p.at] == ']' {
		return nil, errors.New(`a ] after [ or [^ ends it for some and is in it for others: write \] for a ], [\s\S] for any character`)
	}
	var all []span
	for {
		switch {
		case !p.more():
			return nil, errors.New("a [ is not closed")
		case p.in[p.at] == ']':
			p.at++
			if all = p.folded(all); negate {
				all = negated(all)
			}
			return oneOf(all), nil
		}
		low, single, err := p.member(negate)
		if err != nil {
			return nil, err
		}
		if single && p.at+1 < len(p.in) && p.in[p.at] == '-' && p.in[p.at+1] != ']' {
			p.at++
			high, ok, err := p.member(negate)
			if err != nil {
				return nil, err
			}
			if !ok || high[0].lo < low[0].lo {
				return nil, errors.New("a range in [ ] whose end comes before its beginning")
			}
			low[0].hi = high[0].lo
		}
		all = append(all, low...)
	}
}

// member reads a character of a class, or an escape. single: it is one character. negate: the class is of all others.
func (p *patternParser) member(negate bool) (spans []span, single bool, err error) {
	if !p.more() {
		return nil, false, errors.New("a [ is not closed")
	}
	c := p.in[p.at]
	p.at++
	if c != '\\' {
		return []span{{c, c}}, true, nil
	}
	if p.takes("b") {
		return []span{{'\b', '\b'}}, true, nil
	}
	return p.escape(negate)
}

// folded adds the other spellings of characters where case does not matter.
func (p *patternParser) folded(spans []span) []span {
	if !p.fold {
		return spans
	}
	all := append([]span(nil), spans...)
	for _, s := range spans {
		if p.folding += max(0, int(min(s.hi, maxFold)-s.lo)); p.folding > maxFolding {
			return all // pattern says so
		}
		for r := s.lo; r <= min(s.hi, maxFold); r++ {
			for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
				all = append(all, span{o, o})
			}
		}
	}
	return all
}

// maxFold is the last character that another one is a spelling of, maxFolding how many characters a pattern may ask about.
const (
	maxFold    = 0x1e943
	maxFolding = 1 << 23
)
