package grammar

import (
	"slices"
)

// merge returns the schema of what both accept. The error names a keyword that both have and that cannot be joined.
func merge(a, b any, at string) (any, error) {
	for _, side := range []struct{ one, other any }{{a, b}, {b, a}} {
		switch side.one {
		case true:
			return side.other, nil
		case false:
			return false, nil
		}
	}
	x, okA := asObject(a)
	y, okB := asObject(b)
	if !okA || !okB {
		return nil, wrong(at, "schema: want an object or a boolean")
	}
	return mergeObjects(x, y, at)
}

// joinOf returns how values of a keyword that both schemas have are joined, nil: they must be equal.
func joinOf(key string) func(a, b any, at string) (any, error) {
	switch key {
	case "required":
		return union
	case "type":
		return sharedKinds
	case "enum":
		return sharedValues
	case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
		return extreme(true)
	case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
		return extreme(false)
	case "items":
		return merge
	case "allOf":
		return concat
	}
	return nil
}

func mergeObjects(a, b object, at string) (any, error) {
	out := a.without()
	for _, k := range b.Keys {
		v := b.Values[k]
		mine, both := a.Values[k]
		join := joinOf(k)
		var err error
		switch {
		case k == "properties" || k == "additionalProperties": // together, below
			continue
		case !both || slices.Contains(notes, k):
			out.Set(k, v)
			continue
		case join != nil:
			v, err = join(mine, v, at+"/"+k)
		case written(mine) != written(v):
			err = wrong(at+"/"+k, "schema: %s is in schemas that must all hold, and cannot be joined", k)
		}
		if err != nil {
			return nil, err
		}
		out.Set(k, v)
	}
	return out, mergeProperties(out, a, b, at)
}

// mergeProperties joins properties and additionalProperties.
func mergeProperties(out, a, b object, at string) error {
	pa, pb := propertiesOf(a), propertiesOf(b)
	all := newObject()
	for _, side := range []struct{ mine, other, owner object }{{pa, pb, b}, {pb, pa, a}} {
		for _, k := range side.mine.Keys {
			if all.has(k) {
				continue
			}
			other, both := side.other.Values[k]
			if !both {
				if other, both = side.owner.Values["additionalProperties"]; !both {
					all.Set(k, side.mine.Values[k])
					continue
				}
			}
			v, err := merge(side.mine.Values[k], other, at+"/properties/"+k)
			if err != nil {
				return err
			}
			all.Set(k, v)
		}
	}
	if len(all.Keys) > 0 {
		out.Set("properties", all)
	}
	va, hasA := a.Values["additionalProperties"]
	vb, hasB := b.Values["additionalProperties"]
	switch {
	case hasA && hasB:
		v, err := merge(va, vb, at+"/additionalProperties")
		if err != nil {
			return err
		}
		out.Set("additionalProperties", v)
	case hasB:
		out.Set("additionalProperties", vb)
	}
	return nil
}

func propertiesOf(s object) object {
	if p, ok := asObject(s.Values["properties"]); ok {
		return p
	}
	return newObject()
}

func union(a, b any, at string) (any, error) {
	la, _ := a.([]any)
	lb, ok := b.([]any)
	if !ok {
		return nil, wrong(at, "schema: want a list")
	}
	out := slices.Clone(la)
	for _, v := range lb {
		if !slices.ContainsFunc(out, func(o any) bool { return written(o) == written(v) }) {
			out = append(out, v)
		}
	}
	return out, nil
}

func concat(a, b any, at string) (any, error) {
	la, okA := a.([]any)
	lb, okB := b.([]any)
	if !okA || !okB {
		return nil, wrong(at, "schema: want a list")
	}
	return slices.Concat(la, lb), nil
}

func sharedValues(a, b any, at string) (any, error) {
	la, okA := a.([]any)
	lb, okB := b.([]any)
	if !okA || !okB {
		return nil, wrong(at, "schema: want a list")
	}
	return slices.DeleteFunc(slices.Clone(la), func(v any) bool {
		return !slices.ContainsFunc(lb, func(o any) bool { return written(o) == written(v) })
	}), nil
}

// sharedKinds returns the types that both lists allow; an integer is a number.
func sharedKinds(a, b any, at string) (any, error) {
	la, err := kindList(a, at)
	if err != nil {
		return nil, err
	}
	lb, err := kindList(b, at)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, kind := range la {
		switch {
		case slices.Contains(lb, kind), kind == "integer" && slices.Contains(lb, "number"):
			out = append(out, kind)
		case kind == "number" && slices.Contains(lb, "integer"):
			out = append(out, "integer")
		}
	}
	return out, nil
}

// extreme returns the larger or the smaller of two limits.
func extreme(larger bool) func(a, b any, at string) (any, error) {
	return func(a, b any, at string) (any, error) {
		x, err := readBound(a, false)
		if err != nil {
			return nil, wrong(at, "schema: %w", err)
		}
		y, err := readBound(b, false)
		if err != nil {
			return nil, wrong(at, "schema: %w", err)
		}
		if beyond(x, y) == larger {
			return a, nil
		}
		return b, nil
	}
}

// exclusive reports whether no value is accepted by both schemas, as far as can be told: by their types, by listed values, or by
// a required property whose listed values differ.
func exclusive(a, b any) bool {
	x, okX := asObject(a)
	y, okY := asObject(b)
	if !okX || !okY {
		return a == false || b == false
	}
	vx, vy := valuesOf(x), valuesOf(y)
	if vx != nil && vy != nil {
		return !slices.ContainsFunc(vx, func(v any) bool {
			return slices.ContainsFunc(vy, func(o any) bool { return written(o) == written(v) })
		})
	}
	if kinds, err := sharedKinds(kindsAsValue(x), kindsAsValue(y), ""); err == nil && len(kinds.([]any)) == 0 {
		return true
	}
	px, py := propertiesOf(x), propertiesOf(y)
	for _, k := range px.Keys {
		if requires(x, k) && requires(y, k) && py.has(k) && exclusive(px.Values[k], py.Values[k]) && onlyObjects(x) && onlyObjects(y) {
			return true
		}
	}
	return false
}

// valuesOf returns the values that const and enum list, nil: there are neither.
func valuesOf(s object) []any {
	if s.has("const") {
		return []any{s.Values["const"]}
	}
	list, _ := s.Values["enum"].([]any)
	return list
}

// kindsAsValue returns the types of a schema as a list; those of listed values where there are some.
func kindsAsValue(s object) any {
	if values := valuesOf(s); values != nil && !s.has("type") {
		list := []any{}
		for _, v := range values {
			list = append(list, kindOf(v))
		}
		return list
	}
	kinds, err := kindsOf(s, "")
	if err != nil || kinds == nil {
		kinds = allKinds
	}
	list := []any{}
	for _, k := range kinds {
		list = append(list, k)
	}
	return list
}

func onlyObjects(s object) bool {
	kinds, err := kindsOf(s, "")
	return err == nil && len(kinds) == 1 && kinds[0] == "object"
}

func requires(s object, key string) bool {
	list, _ := s.Values["required"].([]any)
	return slices.Contains(list, any(key))
}
