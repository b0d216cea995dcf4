package grammar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// FromSchema returns the grammar of a JSON schema: every text of it is JSON that the schema accepts. Of what the schema accepts
// it leaves out some: members come in the order of properties; others than those come only where additionalProperties is given,
// or where there are no properties; numbers, formats and white space are kept short. The error is a *SyntaxError with the JSON
// pointer of a keyword that no grammar can hold to, or of a schema that accepts nothing.
func FromSchema(schema []byte) (*Grammar, error) {
	root, err := strict.Tree(schema)
	if err != nil {
		return nil, wrong("", "schema: %w", err)
	}
	c := &compiler{root: root, g: &Grammar{rules: []*rule{{name: "root"}}}, ids: map[string]int{}}
	e, err := c.schema(root, "#")
	if err != nil {
		return nil, err
	}
	c.g.rules[0].expr = e
	return c.g, nil
}

// JSON returns the grammar of a JSON object with anything in it.
func JSON() *Grammar {
	c := &compiler{g: &Grammar{rules: []*rule{{name: "root"}}}, ids: map[string]int{}}
	c.g.rules[0].expr = c.anyObject()
	return c.g
}

// compiler turns schemas into expressions. at is the JSON pointer of the one that is being read.
type compiler struct {
	root   any
	g      *Grammar
	ids    map[string]int // rules by name
	depth  int
	serial int // of objects
}

// shared returns a call of a rule that is made when it is asked for first. A rule may call itself.
func (c *compiler) shared(name string, make func() (*expr, error)) (*expr, error) {
	id, ok := c.ids[name]
	if ok {
		return call(id), nil
	}
	if len(c.g.rules) >= maxRules {
		return nil, wrong("", "schema: it has more than %d parts", maxRules)
	}
	id = len(c.g.rules)
	c.ids[name] = id
	r := &rule{name: name}
	c.g.rules = append(c.g.rules, r)
	e, err := make()
	r.expr = e
	return call(id), err
}

// known is shared for what cannot fail.
func (c *compiler) known(name string, make func() *expr) *expr {
	e, _ := c.shared(name, func() (*expr, error) { return make(), nil }) // the few known ones fit
	return e
}

// notes are keywords that say nothing about what is accepted.
var notes = []string{
	"$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "example",
	"deprecated", "readOnly", "writeOnly", "discriminator", "contentEncoding", "contentMediaType", "contentSchema", "strict", "name",
}

// refused are keywords of JSON Schema that no grammar of this kind can hold to.
var refused = []string{
	"not", "if", "then", "else", "contains", "minContains", "maxContains", "dependentRequired", "dependentSchemas", "dependencies",
	"unevaluatedProperties", "unevaluatedItems", "propertyNames", "patternProperties", "$dynamicRef", "$recursiveRef",
}

// schema compiles a schema.
func (c *compiler) schema(s any, at string) (*expr, error) {
	if c.depth++; c.depth > maxDepth {
		return nil, wrong(at, "schema: more than %d levels, or a $ref that leads to itself", maxDepth)
	}
	defer func() { c.depth-- }()
	if o, ok := asObject(s); ok {
		return c.object(o, at)
	}
	accepts, ok := s.(bool)
	switch {
	case !ok:
		return nil, wrong(at, "schema: want an object or a boolean")
	case accepts:
		return c.anything(), nil
	}
	return alt(), nil
}

// object compiles a schema that is an object: what refers to others first, then enum and const, then by type.
func (c *compiler) object(s object, at string) (*expr, error) {
	if err := checkKeywords(s, at); err != nil {
		return nil, err
	}
	switch {
	case s.has("$ref"):
		return c.reference(s, at)
	case s.has("allOf"):
		return c.allOf(s, at)
	case s.has("anyOf"):
		return c.anyOf(s, "anyOf", at)
	case s.has("oneOf"):
		return c.anyOf(s, "oneOf", at)
	case s.has("const"), s.has("enum"):
		return c.listed(s, at)
	}
	kinds, err := kindsOf(s, at)
	if err != nil {
		return nil, err
	}
	if kinds == nil {
		return c.anything(), nil
	}
	var kids []*expr
	for _, kind := range kinds {
		e, err := c.ofKind(kind, s, at)
		if err != nil {
			return nil, err
		}
		kids = append(kids, e)
	}
	return alt(kids...), nil
}

// checkKeywords refuses keywords that would have to be ignored.
func checkKeywords(s object, at string) error {
	for _, k := range s.Keys {
		if slices.Contains(refused, k) && s.Values[k] != true {
			return wrong(at+"/"+k, "schema: %s is not supported", k)
		}
	}
	if v := s.Values["uniqueItems"]; v == true {
		return wrong(at+"/uniqueItems", "schema: uniqueItems is not supported")
	}
	return nil
}

// reference compiles a $ref. What stands beside it holds, too.
func (c *compiler) reference(s object, at string) (*expr, error) {
	name, ok := s.Values["$ref"].(string)
	if !ok {
		return nil, wrong(at+"/$ref", "schema: want a string")
	}
	target, err := c.resolve(name, at)
	if err != nil {
		return nil, err
	}
	beside := s.without(append(notes, "$ref")...)
	if len(beside.Keys) == 0 {
		return c.shared("schema "+name, func() (*expr, error) { return c.schema(target, name) })
	}
	both, err := merge(target, s.without("$ref"), at)
	if err != nil {
		return nil, err
	}
	return c.schema(both, at)
}

// resolve returns the schema that a $ref names, by a JSON pointer into this document.
func (c *compiler) resolve(name, at string) (any, error) {
	pointer, ok := strings.CutPrefix(name, "#")
	if !ok || pointer != "" && pointer[0] != '/' {
		return nil, wrong(at+"/$ref", "schema: %q is not a part of this schema: want #/…", name)
	}
	pointer = percentDecoded(pointer)
	v := c.root
	for _, key := range strings.Split(pointer, "/")[1:] {
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		var next any
		found := false
		if o, ok := asObject(v); ok {
			next, found = o.Values[key]
		} else if list, ok := v.([]any); ok {
			if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(list) {
				next, found = list[i], true
			}
		}
		if !found {
			return nil, wrong(at+"/$ref", "schema: there is no %s", name)
		}
		v = next
	}
	return v, nil
}

// percentDecoded replaces %20 and its like: a pointer in a $ref is a part of a URL. (Package net/url would be the larger part of what
// a page fetches for it.)
func percentDecoded(text string) string {
	var out []byte
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if b, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(b))
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}

// allOf compiles schemas that hold together with what stands beside them, as one.
func (c *compiler) allOf(s object, at string) (*expr, error) {
	list, err := schemas(s, "allOf", at)
	if err != nil {
		return nil, err
	}
	both := any(s.without("allOf"))
	for i, part := range list {
		part, err := c.whole(part, fmt.Sprintf("%s/allOf/%d", at, i), 0)
		if err != nil {
			return nil, err
		}
		if both, err = merge(both, part, at); err != nil {
			return nil, err
		}
	}
	return c.schema(both, at)
}

// whole puts the target of a $ref in its place.
func (c *compiler) whole(s any, at string, depth int) (any, error) {
	o, ok := asObject(s)
	if !ok || !o.has("$ref") {
		return s, nil
	}
	name, ok := o.Values["$ref"].(string)
	if !ok || depth > maxDepth {
		return nil, wrong(at+"/$ref", "schema: want a string that does not lead to itself")
	}
	target, err := c.resolve(name, at)
	if err == nil {
		target, err = c.whole(target, at, depth+1)
	}
	if err != nil {
		return nil, err
	}
	return merge(target, o.without("$ref"), at)
}

// schemas returns the list of a keyword.
func schemas(s object, key, at string) ([]any, error) {
	list, ok := s.Values[key].([]any)
	if !ok || len(list) == 0 {
		return nil, wrong(at+"/"+key, "schema: want a list of schemas")
	}
	return list, nil
}

// anyOf compiles schemas of which one holds together with what stands beside them. Those of oneOf must exclude each other.
func (c *compiler) anyOf(s object, key, at string) (*expr, error) {
	list, err := schemas(s, key, at)
	if err != nil {
		return nil, err
	}
	beside := s.without(key)
	var kids []*expr
	var all []any
	for i, part := range list {
		place := fmt.Sprintf("%s/%s/%d", at, key, i)
		merged := part
		if len(beside.without(notes...).Keys) > 0 || key == "oneOf" {
			whole, err := c.whole(part, place, 0)
			if err != nil {
				return nil, err
			}
			if merged, err = merge(beside, whole, place); err != nil {
				return nil, err
			}
		}
		for j, other := range all {
			if key == "oneOf" && !exclusive(other, merged) {
				return nil, wrong(place, "schema: a value may be accepted by this part of oneOf and by part %d, which oneOf forbids: use anyOf, or give each part a type, or a required property with a const, that the other does not have", j)
			}
		}
		all = append(all, merged)
		e, err := c.schema(refOr(part, merged, len(beside.without(notes...).Keys)), place)
		if err != nil {
			return nil, err
		}
		kids = append(kids, e)
	}
	return alt(kids...), nil
}

// refOr prefers the part as it was written, a $ref perhaps, if nothing was beside it: then it is one rule wherever it is used.
func refOr(part, merged any, beside int) any {
	if beside == 0 {
		return part
	}
	return merged
}

// listed compiles const and enum.
func (c *compiler) listed(s object, at string) (*expr, error) {
	values, isList := s.Values["enum"].([]any)
	if s.has("enum") && !isList {
		return nil, wrong(at+"/enum", "schema: want a list")
	}
	if s.has("const") {
		v := s.Values["const"]
		if isList && !slices.ContainsFunc(values, func(o any) bool { return written(o) == written(v) }) {
			return alt(), nil
		}
		values = []any{v}
	}
	for _, k := range s.without(notes...).Keys {
		if k != "enum" && k != "const" && k != "type" && k != "format" {
			return nil, wrong(at+"/"+k, "schema: %s beside enum or const is not supported", k)
		}
	}
	kinds, err := kindsOf(s, at)
	if err != nil {
		return nil, err
	}
	var kids []*expr
	for _, v := range values {
		kind := kindOf(v)
		if kinds == nil || slices.Contains(kinds, kind) || kind == "integer" && slices.Contains(kinds, "number") {
			kids = append(kids, literal(written(v)))
		}
	}
	return alt(kids...), nil
}
