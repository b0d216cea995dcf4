package hf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// lenient rewrites a JSON document that Python's json module reads, as transformers uses it for the
// small files beside the weights, into strict JSON. It takes NaN, Infinity and numbers too large for
// float64, a name that is there twice (the last one counts), and half of a surrogate pair. Notes say
// what was mended. A strict document comes back as it is.
//
// Numbers that JSON cannot write become {"__float__": "Infinity"}, as transformers writes them.
func lenient(data []byte) (strict []byte, notes []string, err error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return nil, nil, errors.New("begins with a byte order mark, which JSON does not have; remove the first 3 bytes of the file")
	case !utf8.Valid(data):
		return nil, nil, errors.New("is not UTF-8")
	}
	m := mender{d: jsontext.NewDecoder(bytes.NewReader(bareNumbers(data)),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))}
	mended, err := m.value("")
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("is empty")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("is not JSON, or not all of it: %s", strings.TrimPrefix(err.Error(), "jsontext: "))
	}
	if _, err := m.d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("there is something after the value")
	}
	if !m.overflow && jsontext.Value(data).IsValid() {
		return data, nil, nil
	}
	return mended, m.notes, nil
}

// Mended turns JSON that Python's json module accepts into strict JSON: with NaN and infinities, and with duplicate
// names, of which the last one counts.
func Mended(data []byte) ([]byte, error) {
	data, _, err := lenient(data)
	return data, err
}

// floatTag is the name under which transformers writes a number that JSON cannot write.
const floatTag = "__float__"

func taggedFloat(name string) string { return `{"` + floatTag + `":"` + name + `"}` }

// bareNumbers replaces NaN, Infinity and -Infinity outside strings. Valid JSON has none of their
// capital letters there.
func bareNumbers(data []byte) []byte {
	if !bytes.Contains(data, []byte("NaN")) && !bytes.Contains(data, []byte("Infinity")) {
		return data
	}
	out := make([]byte, 0, len(data)+64)
	inString := false
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case inString && c == '\\' && i+1 < len(data):
			out = append(out, c)
			i++
			c = data[i]
		case c == '"':
			inString = !inString
		case !inString && (c == '-' || c == 'I' || c == 'N'):
			if name := bareNumber(data[i:]); name != "" {
				out = append(out, taggedFloat(name)...)
				i += len(name) - 1
				continue
			}
		}
		out = append(out, c)
	}
	return out
}

func bareNumber(data []byte) string {
	for _, name := range []string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(data, []byte(name)) {
			return name
		}
	}
	return ""
}

// mender copies a document, mended.
type mender struct {
	d        *jsontext.Decoder
	notes    []string
	overflow bool // there was a number that is infinite to Python
}

// maxDepth is about how deep Python reads.
const maxDepth = 900

// value copies the next value; path leads to it.
func (m *mender) value(path string) (jsontext.Value, error) {
	switch kind := m.d.PeekKind(); {
	case m.d.StackDepth() > maxDepth:
		return nil, errors.New("nested too deep")
	case kind == '{':
		return m.object(path)
	case kind == '[':
		return m.array(path)
	}
	v, err := m.d.ReadValue()
	if err != nil {
		return nil, err
	}
	switch v.Kind() {
	case '0':
		return m.number(v.Clone()), nil
	case '"':
		return m.text(path, v)
	}
	return v.Clone(), nil
}

// number makes an infinity of what is too large for float64. Whole numbers have no bound in Python.
func (m *mender) number(v jsontext.Value) jsontext.Value {
	f, err := strconv.ParseFloat(string(v), 64)
	if err == nil || !bytes.ContainsAny(v, ".eE") {
		return v
	}
	m.overflow = true
	if f > 0 {
		return jsontext.Value(taggedFloat("Infinity"))
	}
	return jsontext.Value(taggedFloat("-Infinity"))
}

func (m *mender) text(path string, v jsontext.Value) (jsontext.Value, error) {
	if v.IsValid() {
		return v.Clone(), nil
	}
	text, _ := jsontext.AppendUnquote(nil, v) // the error says what IsValid said
	where := "the document"
	if path != "" {
		where = fmt.Sprintf("key %q", path)
	}
	m.notes = append(m.notes, fmt.Sprintf("%s has half of a surrogate pair; it became U+FFFD", where))
	return jsontext.AppendQuote(nil, text)
}

func (m *mender) array(path string) (jsontext.Value, error) {
	if _, err := m.d.ReadToken(); err != nil {
		return nil, err
	}
	out := jsontext.Value("[")
	for i := 0; m.d.PeekKind() != ']'; i++ {
		v, err := m.value(path)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, v...)
	}
	_, err := m.d.ReadToken()
	return append(out, ']'), err
}

func (m *mender) object(path string) (jsontext.Value, error) {
	if _, err := m.d.ReadToken(); err != nil {
		return nil, err
	}
	var list []member
	index := map[string]int{}
	for m.d.PeekKind() != '}' {
		name, err := m.d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		at := strings.TrimPrefix(path+"."+key, ".")
		v, err := m.value(at)
		if err != nil {
			return nil, err
		}
		if i, twice := index[key]; twice {
			m.notes = append(m.notes, fmt.Sprintf("key %q is there more than once; the last one counts", at))
			list[i].value = v
			continue
		}
		index[key] = len(list)
		list = append(list, member{key, v})
	}
	if _, err := m.d.ReadToken(); err != nil {
		return nil, err
	}
	return joined(list)
}

// joined writes an object of its members.
func joined(list []member) (jsontext.Value, error) {
	out := jsontext.Value("{")
	for i, m := range list {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = jsontext.AppendQuote(out, m.name); err != nil {
			return nil, err
		}
		out = append(append(out, ':'), m.value...)
	}
	return append(out, '}'), nil
}
