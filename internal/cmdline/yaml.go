package cmdline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ReadYAML reads one document into a struct with yaml tags. Unlike the package's own decoder it says of a
// mistake what key it is in, in words for people who have not seen the struct.
func ReadYAML(data []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // nothing in it
	case err != nil:
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return errors.New("want one YAML document")
	}
	return decodeYAML(doc.Content[0], "", reflect.ValueOf(into).Elem())
}

// decodeYAML decodes the value of a key.
func decodeYAML(n *yaml.Node, key string, into reflect.Value) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch kind := into.Kind(); {
	case isNull(n):
		return nil
	case kind == reflect.Struct && n.Kind == yaml.MappingNode:
		return decodeMapping(n, key, into)
	case kind == reflect.Slice && n.Kind == yaml.SequenceNode:
		into.Set(reflect.MakeSlice(into.Type(), 0, len(n.Content)))
		for i, item := range n.Content {
			if isNull(item) {
				continue // as the package's own decoder does
			}
			element := reflect.New(into.Type().Elem()).Elem()
			if err := decodeYAML(item, fmt.Sprintf("%s[%d]", key, i), element); err != nil {
				return err
			}
			into.Set(reflect.Append(into, element))
		}
		return nil
	case kind != reflect.Struct && kind != reflect.Slice && n.Kind == yaml.ScalarNode:
		if tag := n.ShortTag(); (kind != reflect.Int || tag == "!!int") && n.Decode(into.Addr().Interface()) == nil {
			return nil
		}
	}
	return fmt.Errorf("line %d: %swant %s, have %s", n.Line, prefixed(key), wantedYAML(into), foundYAML(n))
}

func isNull(n *yaml.Node) bool {
	return n.Tag == "!!null" || n.Kind == yaml.AliasNode && n.Alias.Tag == "!!null"
}

func decodeMapping(n *yaml.Node, key string, into reflect.Value) error {
	fields := map[string]reflect.Value{}
	var known []string
	for i := range into.NumField() {
		name, _, _ := strings.Cut(into.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "-" {
			fields[name], known = into.Field(i), append(known, name)
		}
	}
	lines := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		field, ok := fields[name.Value]
		if !ok || name.Kind != yaml.ScalarNode {
			slices.Sort(known)
			return fmt.Errorf("line %d: %sunknown key %q%s; there are %s", name.Line, prefixed(key), name.Value, DidYouMean(name.Value, known), strings.Join(known, ", "))
		}
		if at := lines[name.Value]; at != 0 {
			return fmt.Errorf("line %d: %skey %q is in line %d already", name.Line, prefixed(key), name.Value, at)
		}
		lines[name.Value] = name.Line
		if err := decodeYAML(value, join(key, name.Value), field); err != nil {
			return err
		}
	}
	return nil
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func prefixed(key string) string {
	if key == "" {
		return ""
	}
	return key + ": "
}

// wantedYAML says what is to be in a value.
func wantedYAML(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Struct:
		return "keys and values"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "text"
}

// foundYAML says what is in it.
func foundYAML(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", n.Value)
}
