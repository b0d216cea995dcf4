package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// span is the bytes [from, to) of a text.
type span struct{ from, to int }

// A pattern returns where it matches, from left to right and not overlapping; nowhere in the
// empty text.
type pattern func(s string) []span

// patternJSON is either a string or a regular expression.
type patternJSON struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

func (p patternJSON) compile() (pattern, error) {
	switch {
	case p.String != nil && p.Regex == nil:
		return literal(*p.String), nil
	case p.Regex != nil && p.String == nil:
		return compileRegex(*p.Regex)
	}
	return nil, errors.New("pattern: want a String or a Regex")
}

// literal finds a string. The empty string matches between all characters, as an empty
// regular expression does.
func literal(want string) pattern {
	if want == "" {
		return func(s string) (spans []span) {
			for i := range s {
				spans = append(spans, span{i, i})
			}
			if s != "" {
				spans = append(spans, span{len(s), len(s)})
			}
			return spans
		}
	}
	return func(s string) (spans []span) {
		for at := 0; ; {
			i := strings.Index(s[at:], want)
			if i < 0 {
				return spans
			}
			spans = append(spans, span{at + i, at + i + len(want)})
			at += i + len(want)
		}
	}
}

// runes finds single characters.
func runes(is func(rune) bool) pattern {
	return func(s string) (spans []span) {
		for i, r := range s {
			if is(r) {
				spans = append(spans, span{i, i + utf8.RuneLen(r)})
			}
		}
		return spans
	}
}

// compileRegex compiles an expression in the syntax and with the meaning of Oniguruma.
func compileRegex(expr string) (pattern, error) {
	re, err := compile(expr)
	if err != nil {
		return nil, fmt.Errorf("regex %q: %w", expr, err)
	}
	if text := tooSlowFor(re, expr); text != "" {
		return nil, fmt.Errorf("regex %q: on texts like %q it backtracks without end", expr, text)
	}
	return func(s string) []span {
		spans, ok := findAll(re, s)
		if !ok {
			panic(tooMuchWork{expr, utf8.RuneCountInString(s)})
		}
		return spans
	}, nil
}

// tooMuchWork is what a pattern panics with when its search reaches a limit; caught makes an error of it. So the steps of
// a tokenizer need no errors.
type tooMuchWork struct {
	expr  string
	chars int // of the text
}

// caught is to be deferred where patterns are used.
func caught(err *error) {
	switch p := recover().(type) {
	case nil:
	case tooMuchWork:
		if p.chars > maxRounds {
			*err = fmt.Errorf("tokenizer: regex %q repeats a group more than %d times, or backtracks without end, on this text (%d characters)", p.expr, maxRounds, p.chars)
			return
		}
		*err = fmt.Errorf("tokenizer: regex %q backtracks without end on this text (%d characters)", p.expr, p.chars)
	default:
		panic(p)
	}
}

// tooSlowFor returns a text for which an expression takes excessively many steps, "" if it finds none
// among a few: repetitions of characters that tokenizers look for, and of characters of the expression.
func tooSlowFor(re *expression, expr string) string {
	const times, limit = 48, 300_000 // ordinary expressions take some thousand
	parts := []string{"a", "A", "0", " ", "\n", ".", "_", "é", "漢"}
	last := ""
	for _, r := range expr {
		if c := string(r); r > ' ' && r != '\\' && len(parts) < 64 && !slices.Contains(parts, last+c) {
			parts = append(parts, c, last+c)
			last = c
		}
	}
	for _, part := range parts {
		for _, end := range []string{"", "!", "\x00"} {
			text := strings.Repeat(part, times) + end
			if !re.search([]rune(text), limit, func(int, int) {}) {
				return text
			}
		}
	}
	return ""
}

// findAll returns all matches except empty ones directly after a match. It reports whether the limits on work were enough.
func findAll(re *expression, s string) (spans []span, ok bool) {
	if s == "" {
		return nil, true
	}
	text := []rune(s)
	at, offset := 0, 0 // the same position in text and in s
	byteOf := func(i int) int {
		for ; at < i; at++ {
			offset += utf8.RuneLen(text[at])
		}
		return offset
	}
	end := -1
	ok = re.find(text, func(from, to int) {
		if to > from || from != end {
			f := byteOf(from)
			spans = append(spans, span{f, byteOf(to)})
			end = to
		}
	})
	return spans, ok
}

// behavior is how Split treats the matches of its pattern, the delimiters.
type behavior string

const (
	removed            behavior = "Removed"
	isolated           behavior = "Isolated"
	mergedWithPrevious behavior = "MergedWithPrevious"
	mergedWithNext     behavior = "MergedWithNext"
	contiguous         behavior = "Contiguous"
)

func (b behavior) check() error {
	switch b {
	case removed, isolated, mergedWithPrevious, mergedWithNext, contiguous:
		return nil
	}
	return fmt.Errorf("behavior %q is not supported: want Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous", b)
}

// part is a span that is a delimiter or between delimiters.
type part struct {
	span
	delimiter bool
}

// partsOf splits a text of n bytes at its delimiters.
func partsOf(n int, delimiters []span, invert bool) []part {
	parts := make([]part, 0, 2*len(delimiters)+1)
	done := 0
	for _, d := range delimiters {
		if done != d.from {
			parts = append(parts, part{span{done, d.from}, invert})
		}
		parts = append(parts, part{d, !invert})
		done = d.to
	}
	if done != n {
		parts = append(parts, part{span{done, n}, invert})
	}
	return parts
}

// apply appends the pieces into which p is split.
func (b behavior) apply(p piece, parts []part, out []piece) []piece {
	if b == mergedWithNext {
		return mergeWithNext(p, parts, out)
	}
	was := false // the part before is a delimiter
	open := -1   // where the last piece starts, -1 if there is none
	end := 0
	for _, q := range parts {
		var merge bool
		switch b {
		case contiguous:
			merge = q.delimiter == was
		case mergedWithPrevious:
			merge = q.delimiter && !was
		case removed:
			if q.delimiter {
				continue
			}
		}
		if !merge || open < 0 {
			if open >= 0 {
				out = append(out, p.part(open, end))
			}
			open = q.from
		}
		end = q.to
		was = q.delimiter
	}
	if open >= 0 {
		out = append(out, p.part(open, end))
	}
	return out
}

// mergeWithNext is mergedWithPrevious in reverse: of consecutive delimiters, the last
// is merged with what follows it.
func mergeWithNext(p piece, parts []part, out []piece) []piece {
	first := len(out)
	was := false
	end, from := -1, 0
	for i := len(parts) - 1; i >= 0; i-- {
		q := parts[i]
		if !(q.delimiter && !was) || end < 0 {
			if end >= 0 {
				out = append(out, p.part(from, end))
			}
			end = q.to
		}
		from = q.from
		was = q.delimiter
	}
	if end >= 0 {
		out = append(out, p.part(from, end))
	}
	for i, j := first, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}
