package jinja

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// filterTable holds the filters; c.self is what is filtered. init fills it, since map and its like
// look other filters up in it.
var filterTable map[string]func(c *call) any

var (
	titleRE   = regexp.MustCompile(`[-\s({\[<]+`)
	wordRE    = regexp.MustCompile(`[\pL\pN_]+`)
	escapeAll = strings.NewReplacer("&", "&amp;", ">", "&gt;", "<", "&lt;", "'", "&#39;", `"`, "&#34;")
)

func init() {
	filterTable = map[string]func(c *call) any{
		"abs":         absolute,
		"attr":        func(c *call) any { return c.attr() },
		"batch":       batch,
		"capitalize":  plain(capitalize),
		"count":       lengthOf,
		"d":           fallback,
		"default":     fallback,
		"dictsort":    dictSort,
		"first":       first,
		"float":       toFloat,
		"format":      func(c *call) any { return c.format() },
		"forceescape": plain(escapeAll.Replace),
		"html escape": plain(escapeAll.Replace), // what the parser makes of a last escape
		"indent":      indent,
		"int":         toInt,
		"items":       items,
		"join":        joinFilter,
		"last":        last,
		"length":      lengthOf,
		"list":        func(c *call) any { c.bind(); return &list{slices.Clone(c.elements(c.self))} },
		"lower":       plain(lower),
		"map":         mapFilter,
		"max":         func(c *call) any { return c.extreme(1) },
		"min":         func(c *call) any { return c.extreme(-1) },
		"reject":      func(c *call) any { return c.selection(false, false) },
		"rejectattr":  func(c *call) any { return c.selection(false, true) },
		"replace":     replaceFilter,
		"reverse":     reverse,
		"round":       round,
		"select":      func(c *call) any { return c.selection(true, false) },
		"selectattr":  func(c *call) any { return c.selection(true, true) },
		"sort":        sortFilter,
		"string":      plain(func(s string) string { return s }),
		"sum":         sum,
		"title":       plain(titleWords),
		"tojson":      toJSON,
		"trim":        func(c *call) any { return c.strip(c.str(c.self), c.bind("chars")[0], true, true) },
		"unique":      unique,
		"upper":       plain(upper),
		"wordcount":   func(c *call) any { c.bind(); return len(wordRE.FindAllString(c.str(c.self), -1)) },
	}
}

func (c *call) attr() any {
	name := c.text(c.bind("name")[0])
	defined(c.line, c.self)
	if v, ok := attribute(c.line, c.self, name); ok {
		return v
	}
	return missing(c.self, name)
}

func absolute(c *call) any {
	c.bind()
	defined(c.line, c.self)
	if f, ok := c.self.(float64); ok {
		return math.Abs(f)
	}
	n := c.whole(c.self)
	if n < 0 {
		return intOp(c.line, "-", 0, n)
	}
	return n
}

func batch(c *call) any {
	a := c.bind("linecount", "fill_with")
	n := c.whole(a[0])
	if n < 1 {
		c.fail("batch wants a positive number, got %d", n)
	}
	out := &sequence{kind: "generator"}
	for rows := range slices.Chunk(c.elements(c.self), n) {
		row := slices.Clone(rows)
		if fill := or(a[1], any(nil)); fill != nil {
			c.in.spendTimes(c.line, n, workPerStep)
			for len(row) < n {
				row = append(row, fill)
			}
		}
		out.items = append(out.items, &list{row})
	}
	return out
}

func lengthOf(c *call) any {
	c.bind()
	n, ok := length(c.self)
	if !ok {
		c.fail("object of type '%s' has no len()", typeName(c.self))
	}
	return n
}

func fallback(c *call) any {
	a := c.bind("default_value", "boolean")
	_, isUndefined := c.self.(undefined)
	if isUndefined || truth(or(a[1], false)) && !truth(c.self) {
		return or(a[0], "")
	}
	return c.self
}

func dictSort(c *call) any {
	a := c.bind("case_sensitive", "by", "reverse")
	d, ok := c.self.(*dict)
	by := c.text(or(a[1], "key"))
	if !ok || by != "key" && by != "value" {
		c.fail("dictsort wants a mapping, and 'key' or 'value'")
	}
	place := map[string]int{"key": 0, "value": 1}[by]
	return &list{c.sorted(d.pairs(), truth(or(a[2], false)), truth(or(a[0], false)), func(v any) []any {
		return []any{v.(*tuple).items[place]}
	})}
}

// sorted sorts items by keys.
func (c *call) sorted(items []any, reverse, exact bool, keys func(v any) []any) []any {
	type entry struct{ key, item any }
	entries := make([]entry, len(items))
	for i, item := range items {
		k := keys(item)
		for j := range k {
			k[j] = ignoreCase(k[j], exact)
		}
		if len(k) == 1 {
			entries[i] = entry{k[0], item}
		} else {
			entries[i] = entry{&tuple{k}, item}
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		if reverse {
			a, b = b, a
		}
		return c.in.order(c.line, "<", a.key, b.key)
	})
	out := make([]any, len(entries))
	for i, e := range entries {
		out[i] = e.item
	}
	return out
}

func ignoreCase(v any, exact bool) any {
	if s, ok := v.(string); ok && !exact {
		return lower(s)
	}
	return v
}

// getter reads an attribute such as a.b.0 of a value; none for no attribute.
func (c *call) getter(attr any) func(v any) any {
	var parts []any
	switch a := attr.(type) {
	case nil, unset:
	case int:
		parts = []any{a}
	case string:
		for _, part := range strings.Split(a, ".") {
			if n, err := strconv.Atoi(part); err == nil && part[0] != '-' && part[0] != '+' {
				parts = append(parts, n)
			} else {
				parts = append(parts, part)
			}
		}
	default:
		c.fail("%s wants the name of an attribute, got %s", c.name, typeName(attr))
	}
	return func(v any) any {
		for _, part := range parts {
			v = c.in.item(c.line, v, part)
		}
		return v
	}
}

func first(c *call) any {
	c.bind()
	if items := c.elements(c.self); len(items) > 0 {
		if s, ok := c.self.(*sequence); ok && s.iterator() {
			s.items = items[1:]
		}
		return items[0]
	}
	return undefined{"No first item, sequence was empty."}
}

func last(c *call) any {
	c.bind()
	if s, ok := c.self.(*sequence); ok && s.iterator() {
		c.fail("'%s' object is not reversible", s.kind)
	}
	if items := c.elements(c.self); len(items) > 0 {
		return items[len(items)-1]
	}
	return undefined{"No last item, sequence was empty."}
}

func (c *call) format() any {
	if len(c.pos) > 0 && len(c.names) > 0 {
		c.fail("format takes positional or named arguments, not both")
	}
	if len(c.names) > 0 {
		return c.in.percent(c.line, c.str(c.self), c.dict())
	}
	return c.in.percent(c.line, c.str(c.self), &tuple{c.pos})
}

func indent(c *call) any {
	a := c.bind("width", "first", "blank")
	by, ok := or(a[0], 4).(string)
	if !ok {
		n := max(c.whole(or(a[0], 4)), 0)
		c.in.spend(c.line, n)
		by = strings.Repeat(" ", n)
	}
	lines := splitLines(c.text(c.self)+"\n", false)
	c.in.spendTimes(c.line, len(lines), len(by)+1)
	for i, line := range lines {
		if i == 0 && truth(or(a[1], false)) || i > 0 && (line != "" || truth(or(a[2], false))) {
			lines[i] = by + line
		}
	}
	return strings.Join(lines, "\n")
}

func toInt(c *call) any {
	a := c.bind("default", "base")
	defined(c.line, c.self)
	if n, ok := integer(c.self); ok {
		return n
	}
	if s, ok := c.self.(string); ok {
		base := c.whole(or(a[1], 10))
		s = strings.TrimFunc(s, isSpace)
		if base != 10 || strings.Contains(s, "_") {
			c.fail("int of another base or with underscores is not supported")
		}
		n, err := strconv.Atoi(s)
		if err == nil {
			return n
		}
		if strings.Trim(s, "+-0123456789") == "" && err.(*strconv.NumError).Err == strconv.ErrRange {
			c.fail("the number %s is too large", s)
		}
	}
	f, ok := c.parseFloat()
	if !ok {
		return or(a[0], 0)
	}
	if math.Abs(f) >= 1<<62 || math.IsNaN(f) {
		c.fail("the number %s is too large", floatRepr(f))
	}
	return int(f)
}

var floatTextRE = regexp.MustCompile(`^(?i)[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|inf|infinity|nan)$`)

// parseFloat is Python's float of the subject.
func (c *call) parseFloat() (float64, bool) {
	if s, ok := c.self.(string); ok {
		s = strings.TrimFunc(s, isSpace)
		if !floatTextRE.MatchString(s) {
			return 0, false
		}
		f, _ := strconv.ParseFloat(s, 64) // out of range is an infinity, as in Python
		return f, true
	}
	return float(c.self)
}

func toFloat(c *call) any {
	a := c.bind("default")
	defined(c.line, c.self)
	if f, ok := c.parseFloat(); ok {
		return f
	}
	return or(a[0], 0.0)
}

func items(c *call) any {
	c.bind()
	out := &sequence{kind: "generator"}
	switch d := c.self.(type) {
	case undefined:
	case *dict:
		out.items = d.pairs()
	default:
		c.fail("Can only get item pairs from a mapping.")
	}
	return out
}

func joinFilter(c *call) any {
	a := c.bind("d", "attribute")
	get := c.getter(a[1])
	items := slices.Clone(c.elements(c.self))
	for i, item := range items {
		items[i] = get(item)
	}
	return c.joinTexts(c.str(or(a[0], "")), items)
}

func mapFilter(c *call) any {
	out := &sequence{kind: "generator"}
	if !truth(c.self) {
		return out
	}
	apply := c.mapped()
	for _, item := range c.elements(c.self) {
		out.items = append(out.items, apply(item))
	}
	return out
}

// mapped is what map does to an item: read an attribute or apply a filter.
func (c *call) mapped() func(v any) any {
	if len(c.pos) == 0 {
		c.name = "map"
		a := c.bind("attribute", "default")
		if a[0] == (unset{}) {
			c.fail("map requires a filter argument")
		}
		get := c.getter(a[0])
		return func(v any) any {
			v = get(v)
			if _, ok := v.(undefined); ok {
				return or(a[1], v)
			}
			return v
		}
	}
	name := c.text(c.pos[0])
	f := filterTable[name]
	if f == nil || name == "html escape" {
		c.fail("the filter '%s' is unknown or not supported in map", name)
	}
	return func(v any) any {
		c.in.spend(c.line, workPerStep)
		return f(&call{in: c.in, line: c.line, name: name, self: v, pos: c.pos[1:], names: c.names, named: c.named})
	}
}

// selection keeps the items that a test passes, or those that it does not; with attr it tests an
// attribute.
func (c *call) selection(keep, attr bool) any {
	out := &sequence{kind: "generator"}
	if !truth(c.self) {
		return out
	}
	get := func(v any) any { return v }
	args := c.pos
	if attr {
		if len(args) == 0 {
			c.fail("%s wants the name of an attribute", c.name)
		}
		get, args = c.getter(args[0]), args[1:]
	}
	test := func(v any) bool { return truth(v) }
	if len(args) > 0 {
		name := c.text(args[0])
		f := testTable[name]
		if f == nil {
			c.fail("the test '%s' is unknown or not supported", name)
		}
		test = func(v any) bool {
			return truth(f(&call{in: c.in, line: c.line, name: name, self: v, pos: args[1:], names: c.names, named: c.named}))
		}
	}
	for _, item := range c.elements(c.self) {
		if test(get(item)) == keep {
			out.items = append(out.items, item)
		}
	}
	return out
}

func (c *call) extreme(sign int) any {
	a := c.bind("case_sensitive", "attribute")
	get := c.getter(a[1])
	exact := truth(or(a[0], false))
	items := c.elements(c.self)
	if len(items) == 0 {
		return undefined{"No aggregated item, sequence was empty."}
	}
	best := items[0]
	for _, item := range items[1:] {
		if sign*c.in.order(c.line, "<", ignoreCase(get(item), exact), ignoreCase(get(best), exact)) > 0 {
			best = item
		}
	}
	return best
}

func replaceFilter(c *call) any {
	a := c.bind("old", "new", "count")
	if a[1] == (unset{}) {
		c.fail("replace wants what to replace and by what")
	}
	count := or(a[2], any(nil))
	if count == nil {
		count = -1
	}
	return c.replace(c.str(c.self), c.str(a[0]), c.str(a[1]), c.whole(count))
}

func reverse(c *call) any {
	c.bind()
	items := slices.Clone(c.elements(c.self))
	slices.Reverse(items)
	if _, ok := c.self.(string); ok {
		return c.joinTexts("", items)
	}
	return &sequence{"list_reverseiterator", items}
}

func round(c *call) any {
	a := c.bind("precision", "method")
	defined(c.line, c.self)
	digits, how := c.whole(or(a[0], 0)), c.text(or(a[1], "common"))
	if digits < 0 || digits > 300 {
		c.fail("round to %d digits is not supported", digits)
	}
	f, ok := float(c.self)
	if !ok {
		c.fail("round wants a number, got %s", typeName(c.self))
	}
	switch n, whole := integer(c.self); {
	case how == "common" && whole:
		return n
	case how == "common":
		f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'f', digits, 64), 64)
		return f
	case how == "ceil":
		return math.Ceil(f*math.Pow10(digits)) / math.Pow10(digits)
	case how == "floor":
		return math.Floor(f*math.Pow10(digits)) / math.Pow10(digits)
	}
	c.fail("method must be common, ceil or floor")
	return nil
}

func sortFilter(c *call) any {
	a := c.bind("reverse", "case_sensitive", "attribute")
	var gets []func(v any) any
	if s, ok := or(a[2], any(nil)).(string); ok {
		for _, part := range strings.Split(s, ",") {
			gets = append(gets, c.getter(part))
		}
	} else {
		gets = append(gets, c.getter(a[2]))
	}
	return &list{c.sorted(c.elements(c.self), truth(or(a[0], false)), truth(or(a[1], false)), func(v any) []any {
		out := make([]any, len(gets))
		for i, get := range gets {
			out[i] = get(v)
		}
		return out
	})}
}

func sum(c *call) any {
	a := c.bind("attribute", "start")
	get := c.getter(a[0])
	total := or(a[1], 0)
	for _, item := range c.elements(c.self) {
		total = c.in.binary(c.line, "+", total, get(item))
	}
	return total
}

func titleWords(s string) string {
	var b strings.Builder
	word := func(w string) {
		_, n := utf8.DecodeRuneInString(w)
		b.WriteString(upper(w[:n]) + lower(w[n:]))
	}
	at := 0
	for _, m := range titleRE.FindAllStringIndex(s, -1) {
		word(s[at:m[0]])
		b.WriteString(s[m[0]:m[1]])
		at = m[1]
	}
	word(s[at:])
	return b.String()
}

func unique(c *call) any {
	a := c.bind("case_sensitive", "attribute")
	get := c.getter(a[1])
	seen := newDict()
	out := &sequence{kind: "generator"}
	for _, item := range c.elements(c.self) {
		key := ignoreCase(get(item), truth(or(a[0], false)))
		if _, ok := seen.get(key); ok {
			continue
		}
		if !seen.set(key, true) {
			c.fail("unique of %s objects is not supported", typeName(key))
		}
		out.items = append(out.items, item)
	}
	return out
}
