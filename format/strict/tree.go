package strict

import (
	"fmt"
	"reflect"
)

// A Number is a JSON number as it is written.
type Number string

// An Object has the members of a JSON object in their order.
type Object struct {
	Keys   []string
	Values map[string]any
}

// Set adds a member, or gives it another value.
func (o *Object) Set(key string, value any) {
	if _, ok := o.Values[key]; !ok {
		o.Keys = append(o.Keys, key)
	}
	if o.Values == nil {
		o.Values = map[string]any{}
	}
	o.Values[key] = value
}

// Tree returns a value of any kind: nil, bool, string, Number, []any or *Object.
func Tree(data []byte) (any, error) {
	r := &reader{data: data}
	v, err := r.tree()
	if err == nil {
		if r.space(); r.at < len(data) {
			err = fmt.Errorf("there is more behind the value")
		}
	}
	if err != nil {
		return nil, r.located(err)
	}
	return v, nil
}

func (r *reader) tree() (any, error) {
	r.space()
	switch c := r.next(); {
	case c == '{':
		o := &Object{Values: map[string]any{}}
		return o, r.members(reflect.Struct, func(name string) error {
			v, err := r.tree()
			o.Set(name, v)
			return err
		})
	case c == '[':
		list := []any{}
		err := r.elements(func(int) error {
			v, err := r.tree()
			list = append(list, v)
			return err
		})
		return list, err
	case c == '"':
		return r.text()
	case c == '-' || c >= '0' && c <= '9':
		text, err := r.digits()
		return Number(text), err
	}
	text, err := r.skip()
	if err != nil {
		return nil, err
	}
	switch text[0] {
	case 't':
		return true, nil
	case 'f':
		return false, nil
	}
	return nil, nil
}

// Quote writes a text as a JSON string.
func Quote(text string) string { return string(appendText(nil, text)) }
