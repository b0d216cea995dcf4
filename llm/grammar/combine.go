package grammar

import (
	"slices"
	"strings"
)

// tokenByte is in no text that is UTF-8.
const tokenByte = 0xff

// TokenBytes are what stands for a special token in a Vocabulary that is made for grammars with Token.
func TokenBytes(name string) []byte { return append([]byte{tokenByte}, name...) }

// Token is a special token, of a vocabulary that has it as TokenBytes.
func Token(name string) *Grammar { return ofExpr(literal(string(TokenBytes(name)))) }

// Text is one text.
func Text(text string) *Grammar { return ofExpr(literal(text)) }

// AnyText is all texts.
func AnyText() *Grammar { return ofExpr(repeat(&expr{op: opChars, spans: anyChars}, 0, -1)) }

// AnyBut is all texts that do not begin with a blank or one of some characters, and the empty one.
func AnyBut(characters string) *Grammar {
	spans := []span{}
	for _, r := range characters + " \t\r\n" {
		spans = append(spans, span{r, r})
	}
	first := &expr{op: opChars, spans: negated(spans)}
	return ofExpr(optional(seq(first, repeat(&expr{op: opChars, spans: anyChars}, 0, -1))))
}

// Blank is at most a few blanks and line breaks.
func Blank() *Grammar { return ofExpr(repeat(chars(' ', ' ', '\n', '\n'), 0, 4)) }

// Until is a text that ends with stop and has it nowhere before. The first character of stop, an ASCII one, must not be in it
// once more.
func Until(stop string) *Grammar {
	loop, again := withoutStop(stop)
	return ofExpr(seq(loop, literal(stop[:1]), again, literal(stop[1:])))
}

// Without is all texts in which stop is nowhere; see Until for what stop may be.
func Without(stop string) *Grammar {
	loop, again := withoutStop(stop)
	begun := []*expr{empty()}
	for i := 1; i < len(stop); i++ {
		begun = append(begun, seq(literal(stop[:1]), again, literal(stop[1:i])))
	}
	return ofExpr(seq(loop, alt(begun...)))
}

// withoutStop returns two parts of texts without stop: loop is what comes before the last place where stop may have begun; again
// what may come after its first character and end with another first one.
func withoutStop(stop string) (loop, again *expr) {
	if stop == "" || strings.IndexByte(stop[1:], stop[0]) >= 0 || stop[0] >= 0x80 {
		panic("grammar: no first character that is there only once: " + stop)
	}
	first := rune(stop[0])
	var backs, outs []*expr
	for i, r := range stop {
		if i == 0 {
			continue
		}
		backs = append(backs, seq(literal(stop[1:i]), literal(stop[:1])))
		outs = append(outs, seq(literal(stop[1:i]), &expr{op: opChars, spans: negated([]span{{first, first}, {r, r}})}))
	}
	again = empty()
	if len(backs) > 0 {
		again = repeat(alt(backs...), 0, -1)
	}
	other := &expr{op: opChars, spans: negated([]span{{first, first}})}
	return repeat(alt(other, seq(literal(stop[:1]), again, alt(outs...))), 0, -1), again
}

// Sequence is a text of each, one after the other.
func Sequence(parts ...*Grammar) *Grammar { return combine(seq, parts) }

// Either is a text of one of several.
func Either(parts ...*Grammar) *Grammar { return combine(alt, parts) }

// Optional is a text of a grammar, or none.
func Optional(g *Grammar) *Grammar { return Repeat(g, 0, 1) }

// Repeat is least to most texts of a grammar; most −1: without end.
func Repeat(g *Grammar, least, most int) *Grammar {
	return combine(func(kids ...*expr) *expr { return repeat(kids[0], least, most) }, []*Grammar{g})
}

func ofExpr(e *expr) *Grammar { return &Grammar{rules: []*rule{{name: "root", expr: e}}} }

// combine makes one grammar of several, whose roots join puts together.
func combine(join func(...*expr) *expr, parts []*Grammar) *Grammar {
	out := ofExpr(nil)
	var roots []*expr
	for _, g := range parts {
		by := len(out.rules)
		for _, r := range g.rules {
			out.rules = append(out.rules, &rule{name: r.name, expr: r.expr.moved(by)})
		}
		root := out.rules[by]
		if len(g.rules) == 1 && !root.expr.calls() { // it needs no rule
			out.rules = out.rules[:by]
			roots = append(roots, root.expr)
			continue
		}
		roots = append(roots, call(by))
	}
	out.rules[0].expr = join(roots...)
	return out
}

// moved is an expression in a grammar whose rules have higher numbers.
func (e *expr) moved(by int) *expr {
	out := *e
	out.rule += by
	out.kids = make([]*expr, len(e.kids))
	for i, k := range e.kids {
		out.kids[i] = k.moved(by)
	}
	return &out
}

// calls reports whether a rule is a part of an expression.
func (e *expr) calls() bool { return e.op == opRule || slices.ContainsFunc(e.kids, (*expr).calls) }
