package grammar

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// allKinds are the types of JSON Schema; an integer is a number.
var allKinds = []string{"object", "array", "string", "number", "boolean", "null"}

// keywordsOf are those of a type.
var keywordsOf = map[string][]string{
	"object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
	"array":  {"items", "prefixItems", "additionalItems", "minItems", "maxItems"},
	"string": {"minLength", "maxLength", "pattern", "format"},
	"number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}

// kindsOf returns the types that a schema allows. If it does not say, they are those that its keywords are for: what is made then
// is still accepted. nil: there are no such keywords either.
func kindsOf(s object, at string) (kinds []string, err error) {
	if s.has("type") {
		return kindList(s.Values["type"], at+"/type")
	}
	for _, kind := range allKinds {
		if slices.ContainsFunc(keywordsOf[kind], s.has) {
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

// kindList reads the value of type.
func kindList(v any, at string) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	kinds := []string{}
	for _, v := range list {
		kind, ok := v.(string)
		if !ok || kind != "integer" && !slices.Contains(allKinds, kind) {
			return nil, wrong(at, "schema: %s is no type of JSON", written(v))
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

// ofKind compiles the values of one type.
func (c *compiler) ofKind(kind string, s object, at string) (*expr, error) {
	switch kind {
	case "null":
		return literal("null"), nil
	case "boolean":
		return alt(literal("true"), literal("false")), nil
	case "string":
		return c.text(s, at)
	case "integer", "number":
		return c.number(s, kind == "integer", at)
	case "array":
		return c.array(s, at)
	}
	return c.members(s, at)
}

// blank is the white space that may stand between parts of a value; short, since some models do not stop writing it.
func (c *compiler) blank() *expr {
	return optional(c.known("white space", func() *expr {
		return alt(literal(" "), seq(literal("\n"), repeat(chars(' ', ' ', '\t', '\t'), 0, 20)))
	}))
}

// anything is any value.
func (c *compiler) anything() *expr {
	return c.known("value", func() *expr {
		return alt(c.anyObject(), c.anyArray(), c.anyText(), c.anyNumber(false), literal("true"), literal("false"), literal("null"))
	})
}

func (c *compiler) anyText() *expr {
	return c.known("string", func() *expr { return inQuotes(repeat(char(), 0, -1)) })
}

func (c *compiler) anyObject() *expr {
	return c.known("object", func() *expr {
		return c.list("{", "}", seq(c.anyText(), literal(":"), optional(literal(" ")), c.anything()), 0, -1)
	})
}

func (c *compiler) anyArray() *expr {
	return c.known("array", func() *expr { return c.list("[", "]", c.anything(), 0, -1) })
}

// anyNumber is a number without bounds.
func (c *compiler) anyNumber(whole bool) *expr {
	name := "number"
	if whole {
		name = "integer"
	}
	return c.known(name, func() *expr {
		digits := func(least, most int) *expr { return repeat(chars('0', '9'), least, most) }
		parts := []*expr{optional(literal("-")), alt(literal("0"), seq(chars('1', '9'), digits(0, wholeDigits-1)))}
		if !whole {
			parts = append(parts, optional(seq(literal("."), digits(1, fractionDigits))),
				optional(seq(chars('e', 'e', 'E', 'E'), optional(chars('+', '+', '-', '-')), digits(1, 2))))
		}
		return seq(parts...)
	})
}

// list is from least to most items (−1: without end) between brackets.
func (c *compiler) list(open, end string, item *expr, least, most int) *expr {
	if most == 0 {
		return seq(literal(open), c.blank(), literal(end))
	}
	more := -1
	if most > 0 {
		more = most - 1
	}
	items := seq(item, repeat(seq(literal(","), c.blank(), item), max(least-1, 0), more))
	if least == 0 {
		items = optional(seq(items, c.blank()))
	} else {
		items = seq(items, c.blank())
	}
	return seq(literal(open), c.blank(), items, literal(end))
}

// counts reads a pair of limits such as minItems and maxItems; most is −1 without one.
func counts(s object, low, high, at string) (least, most int, err error) {
	most = -1
	for key, to := range map[string]*int{low: &least, high: &most} {
		v, ok := s.Values[key]
		if !ok {
			continue
		}
		n, ok := v.(number)
		if d, derr := parseDecimal(string(n)); ok && derr == nil && d.fraction == "" && !d.negative {
			*to, err = strconv.Atoi(d.whole)
			ok = err == nil && *to <= maxRepeat
		} else {
			ok = false
		}
		if !ok {
			return 0, 0, wrong(at+"/"+key, "schema: want a whole number up to %d", maxRepeat)
		}
	}
	return least, most, nil
}

// text compiles a string.
func (c *compiler) text(s object, at string) (*expr, error) {
	least, most, err := counts(s, "minLength", "maxLength", at)
	if err != nil {
		return nil, err
	}
	sized := s.has("minLength") || s.has("maxLength")
	for _, key := range []string{"pattern", "format"} {
		if !s.has(key) {
			continue
		}
		text, ok := s.Values[key].(string)
		if !ok {
			return nil, wrong(at+"/"+key, "schema: want a string")
		}
		source := text
		if key == "format" {
			if slices.Contains(unsupported, text) {
				return nil, wrong(at+"/format", "schema: the format %s is not supported", text)
			}
			if source, ok = formats[text]; !ok {
				continue // a name that JSON Schema does not have is a note
			}
		}
		if sized || key == "pattern" && formats[asText(s.Values["format"])] != "" {
			return nil, wrong(at+"/"+key, "schema: %s beside minLength, maxLength or another pattern is not supported", key)
		}
		e, err := pattern(source)
		if err != nil {
			return nil, wrong(at+"/"+key, "schema: %w", err)
		}
		return inQuotes(e), nil
	}
	if !sized {
		return c.anyText(), nil
	}
	if most >= 0 && most < least {
		return alt(), nil
	}
	return inQuotes(repeat(char(), least, most)), nil
}

func asText(v any) string {
	text, _ := v.(string)
	return text
}

// number compiles a number. An exclusive bound that is a boolean, as in an old draft, makes the other one exclusive.
func (c *compiler) number(s object, whole bool, at string) (*expr, error) {
	if v, ok := s.Values["multipleOf"]; ok {
		if n, isNumber := v.(number); !isNumber || !whole || written(n) != "1" {
			return nil, wrong(at+"/multipleOf", "schema: multipleOf is not supported, but for whole numbers of 1")
		}
	}
	low, err := tighter(s, "minimum", "exclusiveMinimum", at, beyond)
	if err != nil {
		return nil, err
	}
	high, err := tighter(s, "maximum", "exclusiveMaximum", at, func(a, b *bound) bool { return beyond(b, a) })
	if err != nil {
		return nil, err
	}
	if low == nil && high == nil {
		return c.anyNumber(whole), nil
	}
	return numbers(low, high, whole)
}

// tighter returns the limit of two keywords that says more; above reports whether it is a.
func tighter(s object, closed, open, at string, above func(a, b *bound) bool) (*bound, error) {
	var a, b *bound
	var err error
	exclusive, isOld := s.Values[open].(bool)
	if v, ok := s.Values[closed]; ok {
		if a, err = readBound(v, isOld && exclusive); err != nil {
			return nil, wrong(at+"/"+closed, "schema: %w", err)
		}
	}
	if v, ok := s.Values[open]; ok && !isOld {
		if b, err = readBound(v, true); err != nil {
			return nil, wrong(at+"/"+open, "schema: %w", err)
		}
	}
	if a == nil || b != nil && !above(a, b) {
		return b, nil
	}
	return a, nil
}

// array compiles an array: its first items, and others.
func (c *compiler) array(s object, at string) (*expr, error) {
	least, most, err := counts(s, "minItems", "maxItems", at)
	if err != nil {
		return nil, err
	}
	key, other := "prefixItems", "items"
	if _, old := s.Values["items"].([]any); old {
		key, other = "items", "additionalItems"
	}
	first, _ := s.Values[key].([]any)
	if s.has(key) && first == nil {
		return nil, wrong(at+"/"+key, "schema: want a list of schemas")
	}
	item := c.anything()
	if v, ok := s.Values[other]; ok {
		if item, err = c.schema(v, at+"/"+other); err != nil {
			return nil, err
		}
	}
	if most >= 0 && most < least {
		return alt(), nil
	}
	if len(first) == 0 {
		return c.list("[", "]", item, least, most), nil
	}
	var firsts []*expr
	for i, v := range first {
		e, err := c.schema(v, fmt.Sprintf("%s/%s/%d", at, key, i))
		if err != nil {
			return nil, err
		}
		firsts = append(firsts, e)
	}
	return seq(literal("["), c.blank(), c.tuple(firsts, item, 0, least, most), literal("]")), nil
}

// tuple is what remains of an array after i items; the first ones are given, others follow.
func (c *compiler) tuple(first []*expr, item *expr, i, least, most int) *expr {
	before := empty()
	if i > 0 {
		before = seq(literal(","), c.blank())
	}
	if i == len(first) {
		more := -1
		if most >= 0 {
			more = max(most-i, 0)
		}
		return seq(repeat(seq(before, item), max(least-i, 0), more), c.blank())
	}
	if i == most {
		return c.blank()
	}
	next := seq(before, first[i], c.tuple(first, item, i+1, least, most))
	if i < least {
		return next
	}
	return alt(next, c.blank())
}

// members compiles an object.
func (c *compiler) members(s object, at string) (*expr, error) {
	least, most, err := counts(s, "minProperties", "maxProperties", at)
	if err != nil {
		return nil, err
	}
	if _, ok := asObject(s.Values["properties"]); s.has("properties") && !ok {
		return nil, wrong(at+"/properties", "schema: want an object")
	}
	properties := propertiesOf(s).without() // a copy: names that are only required join it
	required, err := requiredOf(s, properties, at)
	if err != nil {
		return nil, err
	}
	more, err := c.more(s, properties, at)
	if err != nil {
		return nil, err
	}
	if len(properties.Keys) == 0 {
		if more == nil {
			more = alt()
			most = 0
		}
		if most >= 0 && most < least {
			return alt(), nil
		}
		return c.list("{", "}", more, least, most), nil
	}
	if err := countable(s, len(required), len(properties.Keys), least, most, more != nil, at); err != nil {
		return nil, err
	}
	var pairs []pair
	for _, k := range properties.Keys {
		e, err := c.schema(properties.Values[k], at+"/properties/"+k)
		if err != nil {
			return nil, err
		}
		p := pair{e: seq(literal(strict.Quote(k)+":"), optional(literal(" ")), e), required: slices.Contains(required, k)}
		if !p.required && properties.Values[k] == false {
			continue
		}
		pairs = append(pairs, p)
	}
	c.serial++
	inside, err := c.pairs(pairs, more, fmt.Sprintf("object %d", c.serial), 0, true)
	if err != nil {
		return nil, err
	}
	return seq(literal("{"), c.blank(), inside, literal("}")), nil
}

// requiredOf reads required. A name that is no property becomes one that may hold anything, or what additionalProperties says.
func requiredOf(s, properties object, at string) (names []string, err error) {
	list, ok := s.Values["required"].([]any)
	if s.has("required") && !ok {
		return nil, wrong(at+"/required", "schema: want a list")
	}
	for _, v := range list {
		name, ok := v.(string)
		if !ok {
			return nil, wrong(at+"/required", "schema: want strings")
		}
		if !properties.has(name) {
			value, given := s.Values["additionalProperties"]
			if !given {
				value = true
			}
			properties.Set(name, value)
		}
		names = append(names, name)
	}
	return names, nil
}

// more is a member that is no property, nil: there are none.
func (c *compiler) more(s, properties object, at string) (*expr, error) {
	v, given := s.Values["additionalProperties"]
	if !given {
		if len(properties.Keys) > 0 {
			return nil, nil
		}
		v = true
	}
	if v == false {
		return nil, nil
	}
	e, err := c.schema(v, at+"/additionalProperties")
	if err != nil {
		return nil, err
	}
	key := c.anyText()
	if len(properties.Keys) > 0 {
		key = inQuotes(otherThan(properties.Keys))
	}
	return seq(key, literal(":"), optional(literal(" ")), e), nil
}

var errCount = errors.New("is supported only where there are no properties")

// countable refuses limits on the number of members that the properties do not keep by themselves.
func countable(s object, required, properties, least, most int, more bool, at string) error {
	if s.has("minProperties") && least > required {
		return wrong(at+"/minProperties", "schema: minProperties %w", errCount)
	}
	if s.has("maxProperties") && (most < properties || more) {
		return wrong(at+"/maxProperties", "schema: maxProperties %w", errCount)
	}
	return nil
}

// pair is a member of an object.
type pair struct {
	e        *expr
	required bool
}

// pairs are the members from the i-th on; first says that none came before. What follows a member is a rule of its own,
// because there are several ways to it.
func (c *compiler) pairs(list []pair, more *expr, name string, i int, first bool) (*expr, error) {
	if i == len(list) {
		return c.rest(more, first), nil
	}
	after, err := c.shared(fmt.Sprintf("%s after %d members", name, i+1), func() (*expr, error) { return c.pairs(list, more, name, i+1, false) })
	if err != nil {
		return nil, err
	}
	next := seq(list[i].e, after)
	if !first {
		next = seq(literal(","), c.blank(), next)
	}
	if list[i].required {
		return next, nil
	}
	if !first {
		return alt(next, after), nil
	}
	skipped, err := c.pairs(list, more, name, i+1, true)
	return alt(next, skipped), err
}

// rest are members after the properties, and white space before the bracket.
func (c *compiler) rest(more *expr, first bool) *expr {
	if more == nil {
		return c.blank()
	}
	again := repeat(seq(literal(","), c.blank(), more), 0, -1)
	if first {
		return optional(seq(more, again, c.blank()))
	}
	return seq(again, c.blank())
}
