package grammar

import (
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// A JSON value is nil, bool, string, number, []any or *object.
type number = strict.Number

// object is a schema, or another JSON object.
type object struct{ *strict.Object }

func newObject() object { return object{&strict.Object{Values: map[string]any{}}} }

func (o object) has(key string) bool { _, ok := o.Values[key]; return ok }

// without returns the object without some members.
func (o object) without(keys ...string) object {
	out := newObject()
	for _, k := range o.Keys {
		if !slices.Contains(keys, k) {
			out.Set(k, o.Values[k])
		}
	}
	return out
}

// asObject returns a value as an object.
func asObject(v any) (object, bool) {
	switch v := v.(type) {
	case *strict.Object:
		return object{v}, true
	case object:
		return v, true
	}
	return object{}, false
}

// written returns a value as text, without white space.
func written(v any) string {
	if o, ok := asObject(v); ok {
		text := "{"
		for i, k := range o.Keys {
			if i > 0 {
				text += ","
			}
			text += strict.Quote(k) + ":" + written(o.Values[k])
		}
		return text + "}"
	}
	switch v := v.(type) {
	case bool:
		return fmt.Sprint(v)
	case string:
		return strict.Quote(v)
	case number:
		return string(v)
	case []any:
		text := "["
		for i, e := range v {
			if i > 0 {
				text += ","
			}
			text += written(e)
		}
		return text + "]"
	}
	return "null"
}

// kindOf names the type of a value as JSON Schema does.
func kindOf(v any) string {
	if _, ok := asObject(v); ok {
		return "object"
	}
	switch v := v.(type) {
	case bool:
		return "boolean"
	case string:
		return "string"
	case number:
		if d, err := parseDecimal(string(v)); err == nil && d.fraction == "" {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "null"
}
