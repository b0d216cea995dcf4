package jinja

import "strings"

var globals map[string]func(c *call) any

func init() {
	globals = map[string]func(c *call) any{
		"range":           rangeOf,
		"dict":            func(c *call) any { return c.dict() },
		"namespace":       func(c *call) any { return c.namespace() },
		"raise_exception": func(c *call) any { c.fail("%s", c.str(c.bind("message")[0])); return nil },
		"strftime_now": func(c *call) any {
			return strftime(c, c.in.now, c.text(c.bind("format")[0]))
		},
	}
}

// maxRange is the longest range the sandbox allows.
const maxRange = 100000

func rangeOf(c *call) any {
	if len(c.names) > 0 || len(c.pos) == 0 || len(c.pos) > 3 {
		c.fail("range takes 1 to 3 positional arguments")
	}
	low, high, step := 0, c.whole(c.pos[0]), 1
	if len(c.pos) > 1 {
		low, high = high, c.whole(c.pos[1])
	}
	if len(c.pos) > 2 {
		step = c.whole(c.pos[2])
	}
	if step == 0 {
		c.fail("range() arg 3 must not be zero")
	}
	r := &sequence{kind: "range"}
	for i := low; step > 0 && i < high || step < 0 && i > high; {
		if len(r.items) == maxRange {
			c.fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", maxRange)
		}
		c.in.spend(c.line, workPerStep)
		r.items = append(r.items, i)
		if i += step; (step > 0) != (i > i-step) {
			break
		}
	}
	return r
}

// dict makes a dictionary of a mapping or of pairs, and of named arguments.
func (c *call) dict() *dict {
	out := newDict()
	if len(c.pos) > 1 {
		c.fail("%s takes at most one positional argument", c.name)
	}
	put := func(key, val any) {
		c.in.spend(c.line, workPerStep)
		if !out.set(key, val) {
			c.fail("a %s is not supported as a key", typeName(key))
		}
	}
	for _, from := range c.pos {
		if d, ok := from.(*dict); ok {
			from = &list{d.pairs()}
		}
		for _, item := range c.elements(from) {
			pair := c.elements(item)
			if len(pair) != 2 {
				c.fail("%s wants pairs, got %d values", c.name, len(pair))
			}
			put(pair[0], pair[1])
		}
	}
	for i, name := range c.names {
		put(name, c.named[i])
	}
	return out
}

func (c *call) namespace() any {
	d := c.dict()
	ns := &namespace{map[string]any{}}
	for i, key := range d.keys {
		ns.vars[c.text(key)] = d.vals[i]
	}
	return ns
}

// attribute is a method or attribute of a value other than an item of a dict. A name that Python
// knows and this package does not is an error.
func attribute(line int, v any, name string) (any, bool) {
	switch v := v.(type) {
	case *loop:
		return v.attribute(name)
	case *namespace:
		x, ok := v.vars[name]
		return x, ok
	case string:
		return method(line, v, name, strMethods)
	case *dict:
		return method(line, v, name, dictMethods)
	case *list, *tuple:
		return method(line, v, name, listMethods)
	}
	if v != nil && strings.Contains(otherAttributes, " "+name+" ") {
		fail(line, "attribute '%s' of a %s object is not supported", name, typeName(v))
	}
	return nil, false
}

// Names Python has and this package has not, and names that the sandbox forbids.
const (
	otherAttributes = " real imag numerator denominator conjugate as_integer_ratio bit_length bit_count to_bytes from_bytes is_integer hex" +
		" fromhex start stop step count index mapping isdisjoint send throw close name arguments catch_kwargs catch_varargs caller "
	unsupported = " encode expandtabs format_map isascii isidentifier isnumeric isprintable istitle maketrans translate fromkeys "
	unsafe      = " append clear extend insert pop popitem remove reverse setdefault sort update "
)

type methods map[string]func(c *call) any

func method(line int, v any, name string, table methods) (any, bool) {
	if f := table[name]; f != nil {
		return &function{name, func(c *call) any {
			c.self = v
			return f(c)
		}}, true
	}
	_, text := v.(string)
	_, pairs := v.(*dict)
	if strings.Contains(unsupported, " "+name+" ") && (text || pairs && name == "fromkeys") {
		fail(line, "the method '%s' of a %s object is not supported", name, typeName(v))
	}
	if _, fixed := v.(*tuple); strings.Contains(unsafe, " "+name+" ") && !text && !fixed && unsafeFor(name, pairs) {
		fail(line, "access to attribute '%s' of '%s' object is unsafe.", name, typeName(v))
	}
	return nil, false
}

// unsafeFor tells whether the forbidden name is a method of dictionaries, or else of lists.
func unsafeFor(name string, pairs bool) bool {
	switch name {
	case "clear", "pop":
		return true
	case "popitem", "setdefault", "update":
		return pairs
	}
	return !pairs
}

var dictMethods = methods{
	"items":  func(c *call) any { c.bind(); return &sequence{"dict_items", c.self.(*dict).pairs()} },
	"keys":   func(c *call) any { c.bind(); return &sequence{"dict_keys", c.self.(*dict).keys} },
	"values": func(c *call) any { c.bind(); return &sequence{"dict_values", c.self.(*dict).vals} },
	"copy":   func(c *call) any { c.pos = []any{c.self}; return c.dict() },
	"get": func(c *call) any {
		a := c.bind("key", "default")
		if v, ok := c.self.(*dict).get(a[0]); ok {
			return v
		}
		if a[0] == (unset{}) {
			c.fail("get wants a key")
		}
		return or(a[1], any(nil))
	},
}

var listMethods = methods{
	"copy": func(c *call) any { c.bind(); return &list{c.elements(c.self)} },
	"count": func(c *call) any {
		x, n := c.bind("value")[0], 0
		for _, item := range c.elements(c.self) {
			if c.in.equal(c.line, item, x) {
				n++
			}
		}
		return n
	},
	"index": func(c *call) any {
		x := c.bind("value")[0]
		for i, item := range c.elements(c.self) {
			if c.in.equal(c.line, item, x) {
				return i
			}
		}
		c.fail("the value is not in the %s", typeName(c.self))
		return nil
	},
}
