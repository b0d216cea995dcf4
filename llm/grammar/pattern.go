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
func pattern(text string) (*expr, error) {
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
	return re.unanchored()
}

// maxPattern is how long a pattern may be, in bytes.
const maxPattern = 1 << 16

// unanchored lets text before and after what is not anchored.
func (re *regex) unanchored() (*expr, error) {
	if re.op == regexAlt {
		kids := make([]*expr, len(re.kids))
		for i, kid := range re.kids {
			var err error
			if kids[i], err = kid.unanchored(); err != nil {
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
		return parts[0].unanchored()
	}
	is := func(i int, place string) bool {
		return i >= 0 && i < len(parts) && parts[i].op == regexPlace && parts[i].place == place
	}
	before, after := true, true
	for ; is(0, "^"); before = false {
		parts = parts[1:]
	}
	for ; is(len(parts)-1, "$"); after = false {
		parts = parts[:len(parts)-1]
	}
	e, err := (&regex{op: regexSeq, kids: parts}).inside()
	if err != nil {
		return nil, err
	}
	kids := []*expr{e}
	anything := func() *expr { return repeat(jsonChars(anyChars), 0, -1) }
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

// inside turns a part of a pattern into characters of a JSON string.
func (re *regex) inside() (*expr, error) {
	kids := make([]*expr, len(re.kids))
	for i, kid := range re.kids {
		var err error
		if kids[i], err = kid.inside(); err != nil {
			return nil, err
		}
	}
	switch re.op {
	case regexChar:
		spans := merged(re.spans)
		if len(spans) == 0 && len(re.spans) > 0 {
			return nil, errors.New(`half of a surrogate pair is no character: write \u{1F600}, or the character itself`)
		}
		return jsonChars(spans), nil
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
