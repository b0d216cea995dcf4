package jinja

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

func upper(s string) string { return cases.Upper(language.Und).String(s) }
func lower(s string) string { return cases.Lower(language.Und).String(s) }

// capitalize is Python's: the first character in title case, the rest in lower case.
func capitalize(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return cases.Title(language.Und, cases.NoLower).String(s[:n]) + lower(s)[len(lower(s[:n])):]
}

func cased(r rune) bool {
	return unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r) || unicode.Is(unicode.Other_Lowercase, r) || unicode.Is(unicode.Other_Uppercase, r)
}

// title is Python's: each run of cased characters is capitalized.
func title(s string) string {
	var b strings.Builder
	for s != "" {
		n := strings.IndexFunc(s, cased)
		if n < 0 {
			break
		}
		b.WriteString(s[:n])
		s = s[n:]
		if n = strings.IndexFunc(s, func(r rune) bool { return !cased(r) }); n < 0 {
			n = len(s)
		}
		b.WriteString(capitalize(s[:n]))
		s = s[n:]
	}
	return b.String() + s
}

// strip removes characters from the ends of a string: those in chars, or space if chars is nil.
func (c *call) strip(s string, chars any, left, right bool) string {
	drop := isSpace
	if set, ok := or(chars, any(nil)).(string); ok {
		drop = func(r rune) bool { return strings.ContainsRune(set, r) }
	} else if or(chars, any(nil)) != nil {
		c.fail("%s wants a string or none, got %s", c.name, typeName(chars))
	}
	if left {
		s = strings.TrimLeftFunc(s, drop)
	}
	if right {
		s = strings.TrimRightFunc(s, drop)
	}
	return s
}

func texts(items []string) *list {
	out := &list{}
	for _, s := range items {
		out.items = append(out.items, s)
	}
	return out
}

// split is str.split, or str.rsplit if right.
func (c *call) split(right bool) any {
	a := c.bind("sep", "maxsplit")
	s, most := c.self.(string), c.whole(or(a[1], -1))
	c.in.spendTimes(c.line, len(s), workPerStep)
	if or(a[0], any(nil)) == nil {
		return texts(splitSpace(s, most, right))
	}
	sep := c.text(a[0])
	switch {
	case sep == "":
		c.fail("empty separator")
	case most < 0 || most > len(s):
		return texts(strings.Split(s, sep))
	case !right:
		return texts(strings.SplitN(s, sep, most+1))
	}
	var out []string
	for ; most > 0; most-- {
		i := strings.LastIndex(s, sep)
		if i < 0 {
			break
		}
		out = append(out, s[i+len(sep):])
		s = s[:i]
	}
	out = append(out, s)
	slices.Reverse(out)
	return texts(out)
}

// splitSpace splits at runs of space, most times from the left or the right.
func splitSpace(s string, most int, right bool) []string {
	var out []string
	if right {
		for s = strings.TrimRightFunc(s, isSpace); s != ""; most-- {
			i := strings.LastIndexFunc(s, isSpace)
			if most == 0 {
				i = -1
			}
			_, n := utf8.DecodeRuneInString(s[max(i, 0):])
			if i < 0 {
				i, n = 0, 0
			}
			out = append(out, s[i+n:])
			s = strings.TrimRightFunc(s[:i], isSpace)
		}
		slices.Reverse(out)
		return out
	}
	for s = strings.TrimLeftFunc(s, isSpace); s != ""; most-- {
		i := strings.IndexFunc(s, isSpace)
		if i < 0 || most == 0 {
			return append(out, s)
		}
		out = append(out, s[:i])
		s = strings.TrimLeftFunc(s[i:], isSpace)
	}
	return out
}

// splitLines cuts a string where Python's splitlines does.
func splitLines(s string, keep bool) []string {
	var out []string
	for s != "" {
		i := strings.IndexFunc(s, func(r rune) bool {
			return r >= '\n' && r <= '\r' || r >= 0x1c && r <= 0x1e || r == 0x85 || r == 0x2028 || r == 0x2029
		})
		if i < 0 {
			return append(out, s)
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		if strings.HasPrefix(s[i:], "\r\n") {
			n = 2
		}
		if keep {
			out = append(out, s[:i+n])
		} else {
			out = append(out, s[:i])
		}
		s = s[i+n:]
	}
	return out
}

// window is the part of the subject that the start and end of find and its like leave, and where
// it begins, in characters.
func (c *call) window(start, end any) (string, int, bool) {
	s := c.self.(string)
	if start == (unset{}) && end == (unset{}) {
		return s, 0, true
	}
	runes := []rune(s)
	c.in.spendTimes(c.line, len(s), workPerStep)
	place := func(v any, other int) int {
		v = or(v, any(nil))
		if v == nil {
			return other
		}
		i := c.whole(v)
		if i < 0 {
			i = max(i+len(runes), 0)
		}
		return i
	}
	low, high := place(start, 0), min(place(end, len(runes)), len(runes))
	if low > high {
		return "", low, false
	}
	return string(runes[low:high]), low, true
}

// affix is startswith or endswith.
func (c *call) affix(has func(s, affix string) bool) any {
	a := c.bind("prefix", "start", "end")
	s, _, ok := c.window(a[1], a[2])
	options, several := a[0].(*tuple)
	if !several {
		options = &tuple{[]any{c.text(a[0])}}
	}
	for _, o := range options.items {
		if ok && has(s, c.text(o)) {
			return true
		}
	}
	return false
}

// find is str.find, or str.rfind with strings.LastIndex.
func (c *call) find(index func(s, sub string) int) int {
	a := c.bind("sub", "start", "end")
	sub := c.text(a[0])
	s, low, ok := c.window(a[1], a[2])
	if !ok {
		return -1
	}
	i := index(s, sub)
	if i < 0 {
		return -1
	}
	return low + utf8.RuneCountInString(s[:i])
}

func (c *call) mustFind(index func(s, sub string) int) any {
	i := c.find(index)
	if i < 0 {
		c.fail("substring not found")
	}
	return i
}

func (c *call) replace(s, from, to string, count int) string {
	n := utf8.RuneCountInString(s) + 1
	if from != "" {
		n = strings.Count(s, from)
	}
	if count >= 0 {
		n = min(n, count)
	}
	c.in.spend(c.line, len(s))
	c.in.spendTimes(c.line, n, len(to))
	return strings.Replace(s, from, to, count)
}

// pad is ljust, rjust, center; left tells how much of the padding goes to the left.
func (c *call) pad(left func(pad, width int) int) any {
	a := c.bind("width", "fillchar")
	s, width, fill := c.self.(string), c.whole(a[0]), c.text(or(a[1], " "))
	if utf8.RuneCountInString(fill) != 1 {
		c.fail("the fill character must be exactly one character long")
	}
	pad := max(width-utf8.RuneCountInString(s), 0)
	c.in.spendTimes(c.line, pad, len(fill))
	n := left(pad, width)
	return strings.Repeat(fill, n) + s + strings.Repeat(fill, pad-n)
}

// each tells whether the subject is not empty and all of its characters are such.
func (c *call) each(such func(r rune) bool) any {
	c.bind()
	s := c.self.(string)
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !such(r) }) < 0
}

// oneCase is isupper or islower: no character of the other case, and one of this.
func (c *call) oneCase(this, other func(r rune) bool) any {
	c.bind()
	s := c.self.(string)
	wrong := func(r rune) bool { return other(r) || unicode.IsTitle(r) }
	return strings.IndexFunc(s, this) >= 0 && strings.IndexFunc(s, wrong) < 0
}

func isLower(r rune) bool { return unicode.IsLower(r) || unicode.Is(unicode.Other_Lowercase, r) }
func isUpper(r rune) bool { return unicode.IsUpper(r) || unicode.Is(unicode.Other_Uppercase, r) }

func (c *call) digit(r rune) bool {
	if unicode.Is(unicode.No, r) {
		c.fail("%s of %q is not supported", c.name, r)
	}
	return unicode.IsDigit(r)
}

// partition cuts at the separator found by index; right tells where the whole goes without one.
func (c *call) partition(index func(s, sub string) int, right bool) any {
	s, sep := c.self.(string), c.text(c.bind("sep")[0])
	if sep == "" {
		c.fail("empty separator")
	}
	i := index(s, sep)
	switch {
	case i >= 0:
		return &tuple{[]any{s[:i], sep, s[i+len(sep):]}}
	case right:
		return &tuple{[]any{"", "", s}}
	}
	return &tuple{[]any{s, "", ""}}
}

func (c *call) joinTexts(sep string, items []any) string {
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = c.str(item)
		c.in.spend(c.line, len(sep)+len(parts[i]))
	}
	return strings.Join(parts, sep)
}

func plain(f func(s string) string) func(c *call) any {
	return func(c *call) any {
		c.bind()
		return f(c.str(c.self))
	}
}

func stripper(left, right bool) func(c *call) any {
	return func(c *call) any { return c.strip(c.self.(string), c.bind("chars")[0], left, right) }
}

var strMethods methods

func init() {
	strMethods = methods{
		"strip":      stripper(true, true),
		"lstrip":     stripper(true, false),
		"rstrip":     stripper(false, true),
		"split":      func(c *call) any { return c.split(false) },
		"rsplit":     func(c *call) any { return c.split(true) },
		"splitlines": func(c *call) any { return texts(splitLines(c.str(c.self), truth(or(c.bind("keepends")[0], false)))) },
		"startswith": func(c *call) any { return c.affix(strings.HasPrefix) },
		"endswith":   func(c *call) any { return c.affix(strings.HasSuffix) },
		"upper":      plain(upper),
		"lower":      plain(lower),
		"casefold":   plain(func(s string) string { return cases.Fold().String(s) }),
		"title":      plain(title),
		"capitalize": plain(capitalize),
		"swapcase":   plain(swapCase),
		"find":       func(c *call) any { return c.find(strings.Index) },
		"rfind":      func(c *call) any { return c.find(strings.LastIndex) },
		"index":      func(c *call) any { return c.mustFind(strings.Index) },
		"rindex":     func(c *call) any { return c.mustFind(strings.LastIndex) },
		"partition":  func(c *call) any { return c.partition(strings.Index, false) },
		"rpartition": func(c *call) any { return c.partition(strings.LastIndex, true) },
		"ljust":      func(c *call) any { return c.pad(func(int, int) int { return 0 }) },
		"rjust":      func(c *call) any { return c.pad(func(pad, _ int) int { return pad }) },
		"center":     func(c *call) any { return c.pad(func(pad, width int) int { return pad/2 + pad&width&1 }) },
		"isspace":    func(c *call) any { return c.each(isSpace) },
		"isalpha":    func(c *call) any { return c.each(unicode.IsLetter) },
		"isalnum": func(c *call) any {
			return c.each(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })
		},
		"isdecimal":    func(c *call) any { return c.each(unicode.IsDigit) },
		"isdigit":      func(c *call) any { return c.each(c.digit) },
		"isupper":      func(c *call) any { return c.oneCase(isUpper, isLower) },
		"islower":      func(c *call) any { return c.oneCase(isLower, isUpper) },
		"removeprefix": func(c *call) any { return strings.TrimPrefix(c.self.(string), c.text(c.bind("prefix")[0])) },
		"removesuffix": func(c *call) any { return strings.TrimSuffix(c.self.(string), c.text(c.bind("suffix")[0])) },
		"format":       formatBraces,
		"zfill":        zeroFill,
		"replace": func(c *call) any {
			a := c.bind("old", "new", "count")
			return c.replace(c.self.(string), c.text(a[0]), c.text(a[1]), c.whole(or(a[2], -1)))
		},
		"count": func(c *call) any {
			a := c.bind("sub", "start", "end")
			sub := c.text(a[0])
			s, _, ok := c.window(a[1], a[2])
			if !ok {
				return 0
			}
			return strings.Count(s, sub)
		},
		"join": func(c *call) any {
			items := c.elements(c.bind("iterable")[0])
			for i, item := range items {
				if _, ok := item.(string); !ok {
					c.fail("sequence item %d: expected str instance, %s found", i, typeName(item))
				}
			}
			return c.joinTexts(c.self.(string), items)
		},
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func zeroFill(c *call) any {
	s, width := c.self.(string), c.whole(c.bind("width")[0])
	pad := max(width-utf8.RuneCountInString(s), 0)
	c.in.spend(c.line, pad)
	zeros := strings.Repeat("0", pad)
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		return s[:1] + zeros + s[1:]
	}
	return zeros + s
}
