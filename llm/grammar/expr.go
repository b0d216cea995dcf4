package grammar

import (
	"fmt"
	"slices"
	"sort"
	"unicode/utf8"
)

// op is a kind of expression.
type op uint8

const (
	opEmpty  op = iota // the empty text
	opChars            // one character in ranges
	opBytes            // one byte in ranges
	opSeq              // kids, one after the other
	opAlt              // one of the kids
	opRepeat           // kids[0], min to max times; max −1: without end
	opRule             // a text of a rule
)

// span is a range of characters or bytes, both ends included.
type span struct{ lo, hi rune }

// expr is a set of texts.
type expr struct {
	op       op
	spans    []span
	kids     []*expr
	min, max int
	rule     int
}

// Grammar is a set of texts, as rules; rule 0 is the whole text.
type Grammar struct {
	rules []*rule
}

// rule is a named part of a grammar.
type rule struct {
	name string
	expr *expr
}

// empty is the empty text.
func empty() *expr { return &expr{op: opEmpty} }

// literal is one text.
func literal(text string) *expr {
	e := &expr{op: opSeq}
	for i := 0; i < len(text); i++ {
		e.kids = append(e.kids, &expr{op: opBytes, spans: []span{{rune(text[i]), rune(text[i])}}})
	}
	return e
}

// chars is one character, in ranges given by their ends.
func chars(ends ...rune) *expr {
	e := &expr{op: opChars}
	for i := 0; i+1 < len(ends); i += 2 {
		e.spans = append(e.spans, span{ends[i], ends[i+1]})
	}
	return e
}

func seq(kids ...*expr) *expr {
	if len(kids) == 1 {
		return kids[0]
	}
	return &expr{op: opSeq, kids: kids}
}

// alt is one of several; none at all is no text, not even the empty one.
func alt(kids ...*expr) *expr {
	if len(kids) == 1 {
		return kids[0]
	}
	return &expr{op: opAlt, kids: kids}
}

func repeat(e *expr, least, most int) *expr {
	return &expr{op: opRepeat, kids: []*expr{e}, min: least, max: most}
}

func optional(e *expr) *expr { return alt(e, empty()) }

func call(rule int) *expr { return &expr{op: opRule, rule: rule} }

// negated returns the characters that are in none of the spans.
func negated(spans []span) []span {
	sorted := slices.Clone(spans)
	sort.Stable(byFirst(sorted))
	var out []span
	next := rune(0)
	for _, s := range sorted {
		if s.lo > next {
			out = append(out, span{next, s.lo - 1})
		}
		next = max(next, s.hi+1)
	}
	if next <= utf8.MaxRune {
		out = append(out, span{next, utf8.MaxRune})
	}
	return out
}

// mayBeEmpty reports which rules have the empty text.
func (g *Grammar) mayBeEmpty() []bool {
	rules := make([]bool, len(g.rules))
	for changed := true; changed; {
		changed = false
		for i, r := range g.rules {
			if !rules[i] && r.expr.mayBeEmpty(rules) {
				rules[i], changed = true, true
			}
		}
	}
	return rules
}

func (e *expr) mayBeEmpty(rules []bool) bool {
	kid := func(k *expr) bool { return k.mayBeEmpty(rules) }
	switch e.op {
	case opEmpty:
		return true
	case opSeq:
		return !slices.ContainsFunc(e.kids, func(k *expr) bool { return !kid(k) })
	case opAlt:
		return slices.ContainsFunc(e.kids, kid)
	case opRepeat:
		return e.min == 0 || kid(e.kids[0])
	case opRule:
		return rules[e.rule]
	}
	return false
}

// Limits of a grammar, so that a hostile one cannot take all memory.
const (
	maxRules  = 1 << 14
	maxStates = 1 << 19 // of all rules' automata together
	maxRepeat = 1 << 16
	maxDepth  = 256 // of expressions in expressions
)

// SyntaxError says where a grammar or schema is wrong.
type SyntaxError struct {
	Where string // line:column of a grammar, or the JSON pointer of a part of a schema
	Err   error
}

func (e *SyntaxError) Error() string {
	if e.Where == "" {
		return e.Err.Error()
	}
	return e.Where + ": " + e.Err.Error()
}

func (e *SyntaxError) Unwrap() error { return e.Err }

func wrong(where, format string, args ...any) error {
	return &SyntaxError{where, fmt.Errorf(format, args...)}
}
