package grammar

import (
	"fmt"
	"unicode/utf8"
)

// plain are the characters that stand for themselves in a JSON string.
var plain = []span{{' ', '!'}, {'#', '['}, {']', utf8.MaxRune}}

// within returns what two lists of spans share.
func within(a, b []span) (out []span) {
	for _, s := range a {
		for _, o := range b {
			if lo, hi := max(s.lo, o.lo), min(s.hi, o.hi); lo <= hi {
				out = append(out, span{lo, hi})
			}
		}
	}
	return out
}

// escaped are the characters that a JSON string has to escape, and how.
func escaped(r rune) string {
	switch r {
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	case '"':
		return `\"`
	case '\\':
		return `\\`
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// jsonChars is one of some characters in a JSON string, each in one spelling.
func jsonChars(spans []span) *expr {
	var kids []*expr
	if p := within(spans, plain); len(p) > 0 {
		kids = append(kids, &expr{op: opChars, spans: p})
	}
	for _, s := range within(spans, []span{{0, 0x1f}, {'"', '"'}, {'\\', '\\'}}) {
		for r := s.lo; r <= s.hi; r++ {
			kids = append(kids, literal(escaped(r)))
		}
	}
	return alt(kids...)
}

// anyChars are all characters that a string can hold.
var anyChars = []span{{0, utf8.MaxRune}}

// char is one character of a JSON string in any spelling. Halves of surrogate pairs, which are no characters, are left out.
func char() *expr {
	hex := func() *expr { return chars('0', '9', 'a', 'f', 'A', 'F') }
	code := alt(
		seq(chars('0', '9', 'a', 'c', 'e', 'f', 'A', 'C', 'E', 'F'), hex(), hex(), hex()),
		seq(chars('d', 'd', 'D', 'D'), chars('0', '7'), hex(), hex()),
	)
	return alt(&expr{op: opChars, spans: plain}, seq(literal(`\`), alt(chars('"', '"', '\\', '\\', '/', '/', 'b', 'b', 'f', 'f', 'n', 'n', 'r', 'r', 't', 't'), seq(literal("u"), code))))
}

// inQuotes is a JSON string with this in it.
func inQuotes(e *expr) *expr { return seq(literal(`"`), e, literal(`"`)) }

// otherThan is a JSON string's inside that is none of some texts. Its characters have one spelling each, so that none is
// reached by another.
func otherThan(texts []string) *expr {
	rest := repeat(jsonChars(anyChars), 0, -1)
	var build func(texts []string) *expr
	build = func(texts []string) *expr {
		below := map[rune][]string{}
		var first []rune
		end := true // the text may end here
		for _, text := range texts {
			if text == "" {
				end = false
				continue
			}
			r, n := utf8.DecodeRuneInString(text)
			if below[r] == nil {
				first = append(first, r)
			}
			below[r] = append(below[r], text[n:])
		}
		var taken []span
		var kids []*expr
		for _, r := range first {
			taken = append(taken, span{r, r})
			kids = append(kids, seq(jsonChars([]span{{r, r}}), build(below[r])))
		}
		kids = append(kids, seq(jsonChars(negated(taken)), rest))
		if end {
			kids = append(kids, empty())
		}
		return alt(kids...)
	}
	return build(texts)
}

// formats are patterns of the formats that are held to; other formats of JSON Schema are refused, and names that it does
// not have are notes.
var formats = map[string]string{
	"date":      dates,
	"time":      times,
	"date-time": dates[:len(dates)-1] + "T" + times[1:],
	"duration":  `^P([0-9]{1,6}W|([0-9]{1,6}Y([0-9]{1,6}M([0-9]{1,6}D)?)?|[0-9]{1,6}M([0-9]{1,6}D)?|[0-9]{1,6}D)(` + clocks + `)?|` + clocks + `)$`,
	"email":     `^[A-Za-z0-9_+-]{1,24}(\.[A-Za-z0-9_+-]{1,12}){0,3}@` + label + `(\.` + label + `){1,4}$`,
	"hostname":  `^` + label + `(\.` + label + `){0,6}$`,
	"ipv4":      `^` + octet + `(\.` + octet + `){3}$`,
	"ipv6":      `^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$`,
	"uuid":      `^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`,
	"uri":       `^[a-z][a-z0-9+.-]{0,15}://[A-Za-z0-9-]{1,32}(\.[A-Za-z0-9-]{1,32}){0,6}(:[0-9]{1,4})?(/[A-Za-z0-9._~!$&'()*+,;=:@-]{0,64}){0,16}(\?[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,256})?(#[A-Za-z0-9._~-]{0,64})?$`,
}

// Parts of formats. A day is at most the 28th in February and the 30th in short months.
const (
	dates  = `^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))$`
	times  = `^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	clocks = `T([0-9]{1,6}H([0-9]{1,6}M([0-9]{1,6}S)?)?|[0-9]{1,6}M([0-9]{1,6}S)?|[0-9]{1,6}S)`
	label  = `[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?`
	octet  = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
)

// unsupported are formats of JSON Schema that no pattern holds to.
var unsupported = []string{"idn-email", "idn-hostname", "uri-reference", "iri", "iri-reference", "uri-template", "json-pointer", "relative-json-pointer", "regex"}
