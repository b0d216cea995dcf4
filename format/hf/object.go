package hf

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// object is a JSON object of a configuration. It remembers which keys were read, so that those
// that nobody understood can be named, and keeps the first error, so that a family can be read
// without a check at every key.
type object struct {
	path     string // of the object in the file, with a point at its end; empty at the top
	values   map[string]jsontext.Value
	defaults map[string]jsontext.Value // of keys that are absent; null is not absent
	read     map[string]bool
	names    map[string]string // what the file calls keys whose values it has under other names
	children []*object
	err      error
	notes    []string
}

// parseDocument parses an object that is a file by itself, as Python does; notes say what was mended.
func parseDocument(data []byte) (*object, error) {
	data, notes, err := lenient(data)
	if err != nil {
		return nil, err
	}
	o, err := parseObject("", data)
	if err != nil {
		return nil, err
	}
	o.notes = notes
	return o, nil
}

func parseObject(path string, data []byte) (*object, error) {
	list, err := members(data)
	if err != nil {
		return nil, err
	}
	o := &object{path: path, values: map[string]jsontext.Value{}, read: map[string]bool{}}
	for _, m := range list {
		o.values[m.name] = m.value
	}
	return o, nil
}

// fail keeps the first error, with the name that the file has for the key.
func (o *object) fail(key, format string, args ...any) {
	if o.err == nil {
		key = cmp.Or(o.names[key], key)
		o.err = fmt.Errorf("key %q: %s", o.path+key, fmt.Sprintf(format, args...))
	}
}

// alias lets a key be found under another name. If both are there, key counts.
func (o *object) alias(key, other string) {
	v, ok := o.values[other]
	o.ignore(other)
	if !ok {
		return
	}
	switch own, both := o.values[key]; {
	case !both:
		o.values[key] = v
		o.rename(key, other)
	case v.Kind() != 'n':
		o.noteDifference(o.path+key, own, o.path+other, v)
	}
}

// set gives a key a value that the file does not say.
func (o *object) set(key, value string) { o.values[key] = jsontext.Value(value) }

// setFloat is set with a number.
func (o *object) setFloat(key string, value float64) {
	o.set(key, strconv.FormatFloat(value, 'g', -1, 64))
}

// replace puts the value of another key, or its default, in the place of key's.
func (o *object) replace(key, by string) {
	v := o.value(by)
	if own, ok := o.values[key]; ok && v != nil {
		o.noteDifference(o.path+by, v, o.path+key, own)
	}
	delete(o.values, key)
	if v != nil {
		o.values[key] = v
		o.rename(key, by)
	}
}

func (o *object) rename(key, name string) {
	if o.names == nil {
		o.names = map[string]string{}
	}
	o.names[key] = cmp.Or(o.names[name], name)
}

// noteDifference says which of two keys, by their whole names, counts that should say the same.
func (o *object) noteDifference(key string, v jsontext.Value, other string, w jsontext.Value) {
	var x, y any
	if json.Unmarshal(v, &x) == nil && json.Unmarshal(w, &y) == nil && reflect.DeepEqual(x, y) {
		return
	}
	o.note("%s is %s, but %s is %s; the former counts, as in transformers", key, short(v), other, short(w))
}

// with returns an object that has another value for a key.
func (o *object) with(key string, v jsontext.Value) *object {
	values := maps.Clone(o.values)
	if values == nil {
		values = map[string]jsontext.Value{}
	}
	values[key] = v
	return &object{path: o.path, values: values, read: o.read, names: o.names}
}

// value returns the value of a key, or nil if it is absent or null.
func (o *object) value(key string) jsontext.Value {
	o.read[key] = true
	v, ok := o.values[key]
	if !ok {
		v = o.defaults[key]
	}
	if v.Kind() == 'n' {
		return nil
	}
	return v
}

func (o *object) has(key string) bool { return o.value(key) != nil }

// decode reads a key into to, and reports whether it was there.
func (o *object) decode(key, want string, to any) bool {
	v := o.value(key)
	if v == nil {
		return false
	}
	if err := json.Unmarshal(v, to); err != nil {
		o.fail(key, "want %s, have %s", want, short(v))
		return false
	}
	return true
}

// short writes a value for an error.
func short(v jsontext.Value) string {
	text := string(v)
	for _, name := range []string{"NaN", "Infinity", "-Infinity"} {
		text = strings.ReplaceAll(text, taggedFloat(name), name)
	}
	if runes := []rune(text); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return text
}

// size reads a whole number from 1 to 2²⁴, or fallback if the key is absent. A fallback of 0
// makes the key required.
func (o *object) size(key string, fallback int) int {
	n := o.int(key, fallback)
	switch {
	case !o.has(key) && fallback == 0:
		o.fail(key, "missing")
	case o.has(key) && (n < 1 || n > 1<<24):
		o.fail(key, "want a number from 1 to %d, have %d", 1<<24, n)
	}
	return max(n, 1)
}

func (o *object) int(key string, fallback int) int {
	var f float64
	if !o.decode(key, "a whole number", &f) {
		return fallback
	}
	if f != float64(int(f)) || f > 1<<53 || f < -1<<53 {
		o.fail(key, "want a whole number, have %s", short(o.value(key)))
		return fallback
	}
	return int(f)
}

func (o *object) float(key string, fallback float64) float64 {
	f := fallback
	o.decode(key, "a number", &f)
	return f
}

func (o *object) bool(key string, fallback bool) bool {
	b := fallback
	o.decode(key, "true or false", &b)
	return b
}

func (o *object) string(key, fallback string) string {
	s := fallback
	o.decode(key, "a string", &s)
	return s
}

func (o *object) floats(key string) []float64 {
	list, _ := arrayOf[float64](o, key, "an array of numbers")
	return list
}

// arrayOf reads an array without null in it; nothing of one that is wrong somewhere.
func arrayOf[T any](o *object, key, want string) (list []T, ok bool) {
	var all []*T
	if !o.decode(key, want, &all) {
		return nil, false
	}
	list = make([]T, len(all))
	for i, v := range all {
		if v == nil {
			o.fail(key, "want %s, have %s", want, short(o.value(key)))
			return nil, false
		}
		list[i] = *v
	}
	return list, true
}

// floatsOrNull is floats for a list whose members may be null, which are 0.
func (o *object) floatsOrNull(key string) []float64 {
	var list []*float64
	if !o.decode(key, "a list of numbers", &list) {
		return nil
	}
	out := make([]float64, len(list))
	for i, f := range list {
		if f != nil {
			out[i] = *f
		}
	}
	return out
}

func (o *object) strings(key string) []string {
	list, _ := arrayOf[string](o, key, "an array of strings")
	return list
}

// ints reads an array of whole numbers; present tells an empty one from none.
func (o *object) ints(key string) (list []int, present bool) {
	return arrayOf[int](o, key, "an array of whole numbers")
}

// object reads an object, nil if it is absent or null.
func (o *object) object(key string) *object {
	v := o.value(key)
	if v == nil {
		return nil
	}
	child, err := parseObject(o.path+key+".", v)
	if err != nil {
		o.fail(key, "%v", err)
		return nil
	}
	o.children = append(o.children, child)
	return child
}

// ignore marks keys that change nothing as read.
func (o *object) ignore(keys ...string) {
	for _, k := range keys {
		o.read[k] = true
	}
}

// refuse makes keys an error that were not read, say something, and contain one of the words.
func (o *object) refuse(words []string, why string) {
	for _, k := range slices.Sorted(maps.Keys(o.values)) {
		if o.read[k] || trivial(o.values[k]) {
			continue
		}
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(k), w) }) {
			o.fail(k, "%s", why)
		}
	}
}

// note keeps a remark for people.
func (o *object) note(format string, args ...any) {
	o.notes = append(o.notes, fmt.Sprintf(format, args...))
}

// allNotes returns the notes of the object and those in it.
func (o *object) allNotes() []string {
	notes := slices.Clone(o.notes)
	for _, c := range o.children {
		notes = append(notes, c.allNotes()...)
	}
	return notes
}

// firstError returns the first error of the object and those in it.
func (o *object) firstError() error {
	err := o.err
	for _, c := range o.children {
		if err == nil {
			err = c.firstError()
		}
	}
	return err
}

// unread lists, sorted, the keys that were not read and that say something: null, false, 0 and
// empty values switch nothing on. Keys that begin with an underscore are notes that transformers
// makes for itself.
func (o *object) unread() []string {
	var keys []string
	for k, v := range o.values {
		if !o.read[k] && !strings.HasPrefix(k, "_") && !trivial(v) {
			keys = append(keys, o.path+k)
		}
	}
	for _, c := range o.children {
		keys = append(keys, c.unread()...)
	}
	slices.Sort(keys)
	return keys
}

func trivial(v jsontext.Value) bool {
	switch strings.ReplaceAll(string(v), " ", "") {
	case "null", "false", "0", "0.0", `""`, "[]", "{}":
		return true
	}
	return false
}
