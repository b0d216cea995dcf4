package tokenizer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A term is a part of a regular expression as it is parsed: parseRegex makes a tree of terms, and build makes
// matchers of them.
type term struct {
	kind  termKind
	parts []*term // of a sequence and a choice; the one term that the others are about
	set   *runeSet
	fold  bool // case does not count in set, or in what a reference matches
	times quantity
	group int // that a capture fills, or a reference repeats
}

type termKind byte

const (
	termOneOf     termKind = iota // a character of set
	termSequence                  // parts one after the other
	termChoice                    // the first of the parts that leads to a match
	termRepeated                  // a part as often as times says
	termCapture                   // a part, remembered as what group matched
	termReference                 // what group has matched
	termAtomic                    // a part, of which nothing is given back
	termAhead                     // nothing, where the part matches what follows
	termNotAhead
	termBehind // nothing, where the part matches what comes before
	termNotBehind
	termCluster // a grapheme cluster
	termTextStart
	termTextEnd
	termLastLineEnd // the end, or before a newline at the end
	termLineStart   // not behind a newline at the very end
	termLineEnd
	termBoundary // between a word character and another, or the start or end of the text
	termNotBoundary
)

// regex is a parsed expression.
type regex struct {
	root   *term
	groups int  // that capture
	refers bool // to what a group has matched
}

// Bounds of what parsing, building and matching take stack for: characters of an expression, groups within each
// other, quantifiers of one term. Published tokenizers are far from them.
const maxExpression, maxNesting, maxQuantifiers = 1 << 16, 500, 50

// regexParser reads an expression of Oniguruma's Ruby syntax, as tokenizer.json has it.
type regexParser struct {
	in           []rune
	at           int
	fold, dotAll bool // as the flags i and m say, here
	nested       int  // open groups
	regex
}

// parseRegex reads an expression. What is not known is an error. One difference to Oniguruma stays: with (?i) it also takes ß
// for ss and ﬁ for fi, while here characters only match characters. No known tokenizer depends on it.
func parseRegex(expr string) (regex, error) {
	p := regexParser{in: []rune(expr)}
	if len(p.in) > maxExpression {
		return regex{}, fmt.Errorf("an expression of %d characters: want at most %d", len(p.in), maxExpression)
	}
	root, err := p.choice()
	if err == nil && p.at < len(p.in) {
		err = errors.New("a ) closes nothing")
	}
	if err != nil {
		return regex{}, fmt.Errorf("at %d: %w", p.at, err)
	}
	p.root = root
	return p.regex, nil
}

func (p *regexParser) rest() string { return string(p.in[p.at:]) }

// next reports whether s comes next.
func (p *regexParser) next(s string) bool {
	return strings.HasPrefix(string(p.in[p.at:min(len(p.in), p.at+len(s))]), s)
}

// takes reads s, if it comes next. It is ASCII.
func (p *regexParser) takes(s string) bool {
	if !p.next(s) {
		return false
	}
	p.at += len(s)
	return true
}

// choice reads alternatives up to a ) or the end.
func (p *regexParser) choice() (*term, error) {
	var parts []*term
	for {
		t, err := p.sequence()
		if err != nil {
			return nil, err
		}
		parts = append(parts, t)
		if !p.takes("|") {
			break
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return &term{kind: termChoice, parts: parts}, nil
}

// sequence reads terms and their quantifiers.
func (p *regexParser) sequence() (*term, error) {
	var parts []*term
	for p.at < len(p.in) && p.in[p.at] != '|' && p.in[p.at] != ')' {
		t, err := p.atom()
		more := true
		for n := 0; more && err == nil; n++ {
			if t, more, err = p.quantified(t); more && n == maxQuantifiers {
				err = fmt.Errorf("more than %d quantifiers in a row", maxQuantifiers)
			}
		}
		if err != nil {
			return nil, err
		}
		if t != nil {
			parts = append(parts, t)
		}
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return &term{kind: termSequence, parts: parts}, nil
}

// atom reads a character, a set, a place or a group; nil is a comment, flags, or a quantifier that comes next.
func (p *regexParser) atom() (*term, error) {
	c := p.in[p.at]
	if strings.ContainsRune("*+?", c) {
		return nil, nil
	}
	if c == '{' {
		if _, _, n, err := interval(p.rest()); n > 0 || err != nil {
			return nil, err
		}
	}
	p.at++
	switch c {
	case '\\':
		return p.escape()
	case '[':
		s, err := p.class(0)
		return p.oneOf(s), err
	case '(':
		return p.group()
	case '^':
		return &term{kind: termLineStart}, nil
	case '$':
		return &term{kind: termLineEnd}, nil
	case '.':
		s := &runeSet{negate: true}
		if !p.dotAll {
			s.add('\n', '\n')
		}
		return &term{kind: termOneOf, set: s}, nil
	}
	return p.char(c), nil
}

func (p *regexParser) oneOf(s *runeSet) *term { return &term{kind: termOneOf, set: s, fold: p.fold} }

func (p *regexParser) char(r rune) *term { return p.oneOf(&runeSet{ranges: []rune{r, r}}) }

// quantified reads one quantifier of t, if there is one.
func (p *regexParser) quantified(t *term) (*term, bool, error) {
	if p.at == len(p.in) || !strings.ContainsRune("*+?{", p.in[p.at]) {
		return t, false, nil
	}
	at := p.at
	q, ok, err := p.quantity()
	if err != nil || !ok {
		return t, false, err
	}
	if t == nil {
		p.at = at
		return nil, false, fmt.Errorf("%c repeats nothing", p.in[at])
	}
	return &term{kind: termRepeated, parts: []*term{t}, times: q}, true, nil
}

// quantity reads * + ? or an interval, and the ? or + behind it. A { that begins no interval is a character.
func (p *regexParser) quantity() (q quantity, ok bool, err error) {
	q.high = unbounded
	switch {
	case p.takes("*"):
	case p.takes("+"):
		q.low = 1
	case p.takes("?"):
		q.high = 1
	default:
		low, high, n, err := interval(p.rest())
		if err != nil || n == 0 {
			return q, false, err
		}
		p.at += n
		q.low, _ = strconv.Atoi(low) // interval has looked at them
		if high != "" {
			q.high, _ = strconv.Atoi(high)
		}
		// Behind an interval + is not possessive, and behind {n} ? is not lazy: they repeat it.
		if low != high && p.takes("?") {
			q.kind = lazy
		}
		return q, true, nil
	}
	if p.takes("?") {
		q.kind = lazy
	} else if p.takes("+") {
		q.kind = possessive
	}
	return q, true, nil
}

// interval reads {n}, {n,}, {,m} or {n,m} at the start of s and returns its length, 0 if s
// starts with none.
func interval(s string) (low, high string, n int, err error) {
	end := strings.IndexByte(s, '}')
	if s[0] != '{' || end < 0 {
		return "", "", 0, nil
	}
	low, high, comma := strings.Cut(s[1:end], ",")
	if !comma {
		high = low
	}
	if strings.Trim(low+high, "0123456789") != "" || low+high == "" {
		return "", "", 0, nil
	}
	if low == "" {
		low = "0"
	}
	for _, v := range []string{low, high} {
		if i, err := strconv.Atoi(v); v != "" && (err != nil || i > 1000) {
			return "", "", 0, fmt.Errorf("%s repeats more than 1000 times", s[:end+1])
		}
	}
	return low, high, end + 1, nil
}
