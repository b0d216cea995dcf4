package grammar

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// regex is a part of a pattern.
type regex struct {
	op          regexOp
	kids        []*regex
	spans       []span // of one character
	least, most int    // how often kids[0] comes; most −1: without end
	place       string // as the pattern has it
}

type regexOp byte

const (
	regexChar   regexOp = iota // one of spans
	regexSeq                   // kids, one after the other
	regexAlt                   // one of the kids
	regexRepeat                // kids[0], least to most times
	regexPlace                 // nothing, at a place: the beginning, the end, the edge of a word
)

// pattern is a JSON string's inside that a regular expression matches, as JSON Schema has it: anywhere, unless it is
// anchored. The parser is not regexp/syntax: that brings tables of all scripts into the WebAssembly, and has other escapes than the
// regular expressions of JavaScript, which JSON Schema means. A test compares both.
func pattern(text string) (*expr, error) { return patternOf(text, matching{jsonChars, false}) }

// FromPattern returns the texts that a regular expression matches from their beginning to their end. It may be anchored; what no automaton
// knows, such as \b or a back reference, is an error.
func FromPattern(text string) (*Grammar, error) {
	e, err := patternOf(text, matching{func(spans []span) *expr { return &expr{op: opChars, spans: spans} }, true})
	if err != nil {
		return nil, err
	}
	return ofExpr(e), nil
}

// matching says what the texts of a pattern are.
type matching struct {
	chars func([]span) *expr // how characters are written
	whole bool               // the pattern matches all of the text, anchored or not
}

// patternOf is pattern for other texts.
func patternOf(text string, as matching) (*expr, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("a pattern of %d bytes, want at most %d", len(text), maxPattern)
	}
	p := &patternParser{in: []rune(text)}
	re, err := p.choice()
	if err == nil && p.at < len(p.in) {
		err = errors.New("a ) closes nothing")
	}
	if err == nil && p.folding > maxFolding {
		err = errors.New("too many characters have other spellings by (?i)")
	}
	if err != nil {
		return nil, fmt.Errorf("the pattern %q, character %d: %w", text, p.at+1, err)
	}
	return re.unanchored(as)
}

// maxPattern is how long a pattern may be, in bytes.
const maxPattern = 1 << 16

// unanchored lets text before and after what is not anchored.
func (re *regex) unanchored(as matching) (*expr, error) {
	if re.op == regexAlt {
		kids := make([]*expr, len(re.kids))
		for i, kid := range re.kids {
			var err error
			if kids[i], err = kid.unanchored(as); err != nil {
				return nil, err
			}
		}
		return alt(kids...), nil
	}
	parts := []*regex{re}
	for len(parts) == 1 && parts[0].op == regexSeq {
		parts = withoutEmpty(parts[0].kids)
	}
	if len(parts) == 1 && parts[0].op == regexAlt { // a group around everything
		return parts[0].unanchored(as)
	}
	is := func(i int, place string) bool {
		return i >= 0 && i < len(parts) && parts[i].op == regexPlace && parts[i].place == place
	}
	before, after := !as.whole, !as.whole
	for ; is(0, "^"); before = false {
		parts = parts[1:]
	}
	for ; is(len(parts)-1, "$"); after = false {
		parts = parts[:len(parts)-1]
	}
	e, err := (&regex{op: regexSeq, kids: parts}).inside(as.chars)
	if err != nil {
		return nil, err
	}
	kids := []*expr{e}
	anything := func() *expr { return repeat(as.chars(anyChars), 0, -1) }
	if before {
		kids = append([]*expr{anything()}, kids...)
	}
	if after {
		kids = append(kids, anything())
	}
	return seq(kids...), nil
}

// withoutEmpty leaves out what flags such as (?i) and empty groups are read as: an anchor may stand behind them.
func withoutEmpty(parts []*regex) []*regex {
	return slices.DeleteFunc(slices.Clone(parts), func(re *regex) bool { return re.op == regexSeq && len(re.kids) == 0 })
}

// inside turns a part of a pattern into characters.
func (re *regex) inside(chars func([]span) *expr) (*expr, error) {
	kids := make([]*expr, len(re.kids))
	for i, kid := range re.kids {
		var err error
		if kids[i], err = kid.inside(chars); err != nil {
			return nil, err
		}
	}
	switch re.op {
	case regexChar:
		spans := merged(re.spans)
		if len(spans) == 0 && len(re.spans) > 0 {
			return nil, errors.New(`half of a surrogate pair is no character: write \u{1F600}, or the character itself`)
		}
		return chars(spans), nil
	case regexSeq:
		return seq(kids...), nil
	case regexAlt:
		return alt(kids...), nil
	case regexRepeat:
		return repeat(kids[0], re.least, re.most), nil
	}
	return nil, fmt.Errorf("%s in the middle of the pattern is not supported", re.place)
}

// merged are spans in order, each character in one of them. What is no character is left out.
func merged(spans []span) []span {
	return within(negated(negated(spans)), []span{{0, 0xd7ff}, {0xe000, utf8.MaxRune}})
}
