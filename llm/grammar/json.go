package grammar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// A JSON value is nil, bool, string, number, []any or *object.
type (
	number string // as it is written
	object struct {
		keys   []string // in their order
		values map[string]any
	}
)

func (o *object) has(key string) bool { _, ok := o.values[key]; return ok }

// without returns the object without some members.
func (o *object) without(keys ...string) *object {
	out := &object{values: map[string]any{}}
	for _, k := range o.keys {
		if !slices.Contains(keys, k) {
			out.set(k, o.values[k])
		}
	}
	return out
}

func (o *object) set(key string, value any) {
	if !o.has(key) {
		o.keys = append(o.keys, key)
	}
	o.values[key] = value
}

// readJSON reads one value and nothing after it.
func readJSON(data []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	v, err := readValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows after the JSON value")
	}
	return v, nil
}

func readValue(d *jsontext.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels of nesting", maxDepth)
	}
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return t.Bool(), nil
	case '"':
		return t.String(), nil
	case '0':
		return number(t.String()), nil
	case '[':
		list := []any{}
		for d.PeekKind() != ']' {
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.ReadToken()
		return list, err
	}
	o := &object{values: map[string]any{}}
	for d.PeekKind() != '}' {
		k, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := k.String()
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		o.set(key, v)
	}
	_, err = d.ReadToken()
	return o, err
}

// written returns a value as text, without white space.
func written(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return fmt.Sprint(v)
	case string:
		return quote(v)
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
	o, text := v.(*object), "{"
	for i, k := range o.keys {
		if i > 0 {
			text += ","
		}
		text += quote(k) + ":" + written(o.values[k])
	}
	return text + "}"
}

// quote writes a string as JSON.
func quote(text string) string {
	out, err := jsontext.AppendQuote(nil, text)
	if err != nil { // what is not UTF-8 was refused when it was read
		return `""`
	}
	return string(out)
}

// kindOf names the type of a value as JSON Schema does.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
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
	return "object"
}
