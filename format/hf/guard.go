package hf

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of a safetensors header: that of the format itself, and more than real ones have.
const (
	maxHeader = 100_000_000
	maxRank   = 8
	maxName   = 1024
)

// entry is what a safetensors header says about one tensor.
type entry struct {
	name       string
	dtype      string
	shape      []int
	begin, end int // bytes from the end of the header
}

// guard checks the header of a safetensors file and returns its tensors in the order of their
// bytes, and where these begin. It is stricter than the reader behind it: each key once, names in
// UTF-8, every byte of the file owned by exactly one tensor. Tensors may begin at any byte: writers that
// do not pad the header leave all of them unaligned.
func guard(file []byte) (entries []entry, data int, err error) {
	header, err := headerBytes(file)
	if err != nil {
		return nil, 0, err
	}
	fields, err := members(header)
	if err != nil {
		return nil, 0, fmt.Errorf("header: %w", err)
	}
	for _, f := range fields {
		if f.name == "__metadata__" {
			if err := checkMetadata(f.value); err != nil {
				return nil, 0, fmt.Errorf("header: __metadata__: %w", err)
			}
			continue
		}
		e, err := parseEntry(f)
		if err != nil {
			return nil, 0, fmt.Errorf("header: tensor %q: %w", f.name, err)
		}
		entries = append(entries, e)
	}
	data = 8 + len(header)
	return entries, data, checkLayout(entries, data, len(file))
}

// headerBytes cuts the JSON header out of the file.
func headerBytes(file []byte) ([]byte, error) {
	if len(file) < 8 {
		return nil, fmt.Errorf("%d bytes are too few for a safetensors file", len(file))
	}
	n := binary.LittleEndian.Uint64(file)
	switch {
	case n > maxHeader:
		return nil, fmt.Errorf("header of %d bytes: at most %d are read; is this a safetensors file?", n, maxHeader)
	case n > uint64(len(file)-8):
		return nil, fmt.Errorf("truncated: the header needs bytes 8–%d, the file ends at %d", 8+n, len(file))
	case n == 0 || file[8] != '{':
		return nil, errors.New("header does not begin with {")
	}
	return file[8 : 8+n], nil
}

// member is one key of a JSON object and its value.
type member struct {
	name  string
	value jsontext.Value
}

// members lists the keys of a JSON object in the order in which they stand there. Duplicate keys,
// invalid UTF-8 and anything but space after the object are errors.
func members(data []byte) ([]member, error) {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	start, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	if start.Kind() != '{' {
		return nil, fmt.Errorf("want an object, have %s", start.Kind())
	}
	var list []member
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		m := member{name: name.String()}
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		m.value = value.Clone()
		list = append(list, m)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the object")
	}
	return list, nil
}

func checkMetadata(v jsontext.Value) error {
	var m map[string]string
	if v.Kind() != '{' {
		return fmt.Errorf("want an object, have %s", v.Kind())
	}
	return json.Unmarshal(v, &m)
}

// parseEntry reads {"dtype": …, "shape": […], "data_offsets": [begin, end]}.
func parseEntry(f member) (entry, error) {
	e := entry{name: f.name}
	if len(f.name) == 0 || len(f.name) > maxName {
		return e, fmt.Errorf("name of %d bytes, want 1–%d", len(f.name), maxName)
	}
	fields, err := members(f.value)
	if err != nil {
		return e, err
	}
	var offsets []int
	seen := 0
	for _, f := range fields {
		switch f.name {
		case "dtype":
			err = json.Unmarshal(f.value, &e.dtype)
		case "shape":
			e.shape, err = naturals(f.value)
		case "data_offsets":
			offsets, err = naturals(f.value)
		default:
			return e, fmt.Errorf("unknown key %q", f.name)
		}
		if err != nil {
			return e, fmt.Errorf("%s: %w", f.name, err)
		}
		seen++
	}
	if seen != 3 {
		return e, errors.New("want dtype, shape and data_offsets")
	}
	if len(offsets) != 2 {
		return e, fmt.Errorf("data_offsets: want 2 numbers, have %d", len(offsets))
	}
	e.begin, e.end = offsets[0], offsets[1]
	return e, checkEntry(e)
}

// naturals reads an array of integers that are not below 0 and fit an int.
func naturals(v jsontext.Value) ([]int, error) {
	if v.Kind() != '[' {
		return nil, fmt.Errorf("want an array, have %s", v.Kind())
	}
	var raw []jsontext.Value
	if err := json.Unmarshal(v, &raw); err != nil {
		return nil, err
	}
	list := make([]int, len(raw))
	for i, r := range raw {
		n, err := strconv.ParseUint(string(r), 10, strconv.IntSize-1)
		if err != nil {
			return nil, fmt.Errorf("%s is no whole number from 0 to 2⁶³−1", r)
		}
		list[i] = int(n)
	}
	return list, nil
}

// checkEntry checks that type, shape and bytes of a tensor agree.
func checkEntry(e entry) error {
	size, ok := bitsOf(e.dtype)
	if !ok {
		return fmt.Errorf("unsupported dtype %q; supported: %s", e.dtype, supportedDTypes())
	}
	if len(e.shape) > maxRank {
		return fmt.Errorf("%d dimensions, at most %d are read", len(e.shape), maxRank)
	}
	if e.end < e.begin {
		return fmt.Errorf("data_offsets %d–%d run backwards", e.begin, e.end)
	}
	want := uint64(size)
	for _, d := range e.shape {
		high, low := bits.Mul64(want, uint64(d))
		if high != 0 {
			return fmt.Errorf("shape %v overflows", e.shape)
		}
		want = low
	}
	want = want/8 + (want%8+7)/8
	if have := uint64(e.end - e.begin); have != want {
		return fmt.Errorf("%s %v needs %d bytes, data_offsets give %d", e.dtype, e.shape, want, have)
	}
	return nil
}

// checkLayout sorts the tensors by their bytes and checks that they cover the file from byte data
// to its end without a gap.
func checkLayout(entries []entry, data, size int) error {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
	})
	at := 0
	for _, e := range entries {
		switch {
		case e.begin < at:
			return fmt.Errorf("tensor %q: bytes %d–%d overlap the tensor before, which ends at %d", e.name, e.begin, e.end, at)
		case e.begin > at:
			return fmt.Errorf("tensor %q: bytes %d–%d before it belong to no tensor", e.name, at, e.begin)
		case e.end > size-data:
			return fmt.Errorf("tensor %q: truncated: needs bytes %d–%d, the file ends at %d", e.name, data+e.begin, data+e.end, size)
		}
		at = e.end
	}
	if at != size-data {
		return fmt.Errorf("%d bytes after the last tensor belong to no tensor", size-data-at)
	}
	return nil
}
