package jinja

import "strings"

// testTable holds what may follow 'is'; c.self is what is tested.
var testTable map[string]func(c *call) any

// kindTest makes a test without arguments.
func kindTest(is func(v any) bool) func(c *call) any {
	return func(c *call) any {
		c.bind()
		return is(c.self)
	}
}

func typeTest(names ...string) func(c *call) any {
	return kindTest(func(v any) bool {
		for _, name := range names {
			if typeName(v) == name {
				return true
			}
		}
		return false
	})
}

func opTest(op string) func(c *call) any {
	return func(c *call) any {
		other := c.bind("other")[0]
		if other == (unset{}) {
			c.fail("the test '%s' wants a value", c.name)
		}
		return c.in.compares(c.line, op, c.self, other)
	}
}

func caseTest(change func(s string) string) func(c *call) any {
	return func(c *call) any {
		c.bind()
		s := c.str(c.self)
		return change(s) == s && strings.ContainsFunc(s, cased)
	}
}

// remainder tests the rest of the subject divided by n.
func (c *call) remainder(n any, want int) any {
	return c.in.equal(c.line, c.in.binary(c.line, "%", c.self, n), want)
}

func init() {
	testTable = map[string]func(c *call) any{
		"boolean":     typeTest("bool"),
		"callable":    typeTest("function", "Undefined"),
		"defined":     kindTest(func(v any) bool { return typeName(v) != "Undefined" }),
		"divisibleby": func(c *call) any { return c.remainder(c.bind("num")[0], 0) },
		"even":        func(c *call) any { c.bind(); return c.remainder(2, 0) },
		"odd":         func(c *call) any { c.bind(); return c.remainder(2, 1) },
		"false":       kindTest(func(v any) bool { return v == false }),
		"true":        kindTest(func(v any) bool { return v == true }),
		"filter":      func(c *call) any { c.bind(); return filterTable[c.str(c.self)] != nil },
		"test":        func(c *call) any { c.bind(); return testTable[c.str(c.self)] != nil },
		"float":       typeTest("float"),
		"integer":     typeTest("int"),
		"number":      typeTest("int", "float", "bool"),
		"string":      typeTest("str"),
		"mapping":     typeTest("dict"),
		"none":        typeTest("NoneType"),
		"undefined":   typeTest("Undefined"),
		"lower":       caseTest(lower),
		"upper":       caseTest(upper),
		"iterable": kindTest(func(v any) bool {
			_, isSequence := v.(*sequence)
			_, isLoop := v.(*loop)
			_, sized := length(v)
			return sized || isSequence || isLoop
		}),
		"sequence": typeTest("str", "list", "tuple", "dict", "range", "Undefined"),
		"in":       opTest("in"),
		"sameas":   func(c *call) any { return same(c.self, c.bind("other")[0]) },
	}
	for op, names := range map[string][]string{
		"==": {"==", "eq", "equalto"}, "!=": {"!=", "ne"},
		"<": {"<", "lt", "lessthan"}, "<=": {"<=", "le"},
		">": {">", "gt", "greaterthan"}, ">=": {">=", "ge"},
	} {
		for _, name := range names {
			testTable[name] = opTest(op)
		}
	}
}

// same is Python's is, where equal numbers and equal strings are one object.
func same(a, b any) bool { return a == b }
