package jinja

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// jsonWriter writes JSON as Python's json.dumps does.
type jsonWriter struct {
	strings.Builder
	c          *call
	ascii      bool
	sort       bool
	indent     string
	pretty     bool // with line breaks
	item, pair string
}

// toJSON is transformers' tojson filter.
func toJSON(c *call) any {
	a := c.bind("ensure_ascii", "indent", "separators", "sort_keys")
	w := &jsonWriter{c: c, ascii: truth(or(a[0], false)), sort: truth(or(a[3], false)), item: ", ", pair: ": "}
	switch indent := or(a[1], any(nil)).(type) {
	case nil:
	case string:
		w.indent, w.pretty, w.item = indent, true, ","
	default:
		n := max(c.whole(indent), 0)
		c.in.spend(c.line, n)
		w.indent, w.pretty, w.item = strings.Repeat(" ", n), true, ","
	}
	if s := or(a[2], any(nil)); s != nil {
		both := c.elements(s)
		if len(both) != 2 {
			c.fail("tojson wants two separators, got %d", len(both))
		}
		w.item, w.pair = c.text(both[0]), c.text(both[1])
	}
	w.value(c.self, 0)
	return w.String()
}

func (w *jsonWriter) write(s string) {
	w.c.in.spend(w.c.line, len(s))
	w.WriteString(s)
}

func (w *jsonWriter) value(v any, depth int) {
	w.c.in.spend(w.c.line, workPerStep)
	if depth > 10*maxNest {
		w.c.fail("tojson of a value nested more than %d deep", 10*maxNest)
	}
	switch v := v.(type) {
	case string:
		w.write(w.quote(v))
	case *list:
		w.items(v.items, depth)
	case *tuple:
		w.items(v.items, depth)
	case *dict:
		w.object(v, depth)
	default:
		w.write(w.scalar(v))
	}
}

// scalar writes a value that is also a key, in quotes then.
func (w *jsonWriter) scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case float64:
		switch {
		case math.IsNaN(v):
			return "NaN"
		case math.IsInf(v, 1):
			return "Infinity"
		case math.IsInf(v, -1):
			return "-Infinity"
		}
		return floatRepr(v)
	}
	w.c.fail("Object of type %s is not JSON serializable", typeName(v))
	return ""
}

// line breaks the line before an item at a depth, when indenting.
func (w *jsonWriter) line(depth int) {
	if w.pretty {
		w.write("\n")
		for range depth {
			w.write(w.indent)
		}
	}
}

func (w *jsonWriter) items(items []any, depth int) {
	w.write("[")
	for i, item := range items {
		if i > 0 {
			w.write(w.item)
		}
		w.line(depth + 1)
		w.value(item, depth+1)
	}
	if len(items) > 0 {
		w.line(depth)
	}
	w.write("]")
}

func (w *jsonWriter) object(d *dict, depth int) {
	order := make([]int, len(d.keys))
	for i := range order {
		order[i] = i
	}
	if w.sort {
		slices.SortFunc(order, func(i, j int) int { return w.c.in.order(w.c.line, "<", d.keys[i], d.keys[j]) })
	}
	w.write("{")
	for n, i := range order {
		if n > 0 {
			w.write(w.item)
		}
		w.line(depth + 1)
		key, ok := d.keys[i].(string)
		if !ok {
			key = w.scalar(d.keys[i])
		}
		w.write(w.quote(key))
		w.write(w.pair)
		w.value(d.vals[i], depth+1)
	}
	if len(order) > 0 {
		w.line(depth)
	}
	w.write("}")
}

func (w *jsonWriter) quote(s string) string {
	b := []byte{'"'}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' && strings.ContainsRune("\b\t\n\f\r", r):
			b = append(b, '\\', "btn?fr"[r-'\b'])
		case r < ' ' || w.ascii && r >= 0x7f && r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		case w.ascii && r >= 0x10000:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = append(b, string(r)...)
		}
	}
	return string(append(b, '"'))
}
