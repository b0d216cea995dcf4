// Package gguf reads GGUF files: their metadata, where each tensor lies and how it is stored, and what
// the values of stored tensors are. It writes nothing and knows nothing of models.
package gguf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// File is the content of a GGUF file.
type File struct {
	Version int      // 2 or 3
	Keys    []string // of the metadata, in their order
	Tensors []Tensor // in their order

	values map[string]any
}

// Tensor is a tensor of a file.
type Tensor struct {
	Name  string
	Shape []int  // as in NumPy: the dimension that varies fastest comes last
	Type  *Type  // how it is stored
	Data  []byte // a view of the file, blocks of Type one after the other, row by row
}

const (
	magic            = "GGUF"
	defaultAlignment = 32
	alignmentKey     = "general.alignment"
	maxDimensions    = 4
	maxElements      = 1 << 48 // of a tensor
)

// Parse reads the file in data. Tensors are views of it. If there is no error, the result is consistent:
// every tensor is within the file, overlaps no other, and has the number of bytes that its shape and type
// need.
func Parse(data []byte) (*File, error) {
	r := &reader{data: data}
	if err := r.checkMagic(); err != nil {
		return nil, err
	}
	f := &File{Version: int(r.uint32()), values: map[string]any{}}
	if err := checkVersion(f.Version); err != nil {
		return nil, err
	}
	tensors, values := r.uint64(), r.uint64()
	if err := f.readValues(r, values); err != nil {
		return nil, err
	}
	alignment, err := f.alignment()
	if err != nil {
		return nil, err
	}
	offsets, err := f.readTensors(r, tensors)
	if err != nil {
		return nil, err
	}
	start := (r.at + alignment - 1) / alignment * alignment
	return f, f.place(data, offsets, start, alignment)
}

// older are the first bytes of what came before GGUF, as they lie in a file.
var older = map[string]string{"lmgg": "GGML", "fmgg": "GGMF", "tjgg": "GGJT", "algg": "GGLA"}

func (r *reader) checkMagic() error {
	head := r.data[:min(len(r.data), len(magic))]
	switch name := older[string(head)]; {
	case name != "":
		return fmt.Errorf("a %s file, of the format before GGUF, is not supported: convert the model to GGUF or safetensors again", name)
	case string(head) != magic:
		return fmt.Errorf("not a GGUF file: it begins with %q, not %q", head, magic)
	}
	r.at = len(magic)
	return nil
}

func checkVersion(v int) error {
	switch {
	case v == 2 || v == 3:
		return nil
	case v != 0 && v&0xffff == 0:
		return errors.New("a big-endian GGUF file is not supported: convert the model to a little-endian one")
	}
	return fmt.Errorf("GGUF version %d is not supported, only 2 and 3 are: convert the model again", v)
}

func (f *File) readValues(r *reader, n uint64) error {
	for i := range n {
		key := r.string()
		if r.err != nil {
			return fmt.Errorf("metadata %d of %d: %w", i+1, n, r.err)
		}
		if _, ok := f.values[key]; ok {
			return fmt.Errorf("metadata %q: it is there twice", key)
		}
		v := r.value(valueType(r.uint32()), 0)
		if r.err != nil {
			return fmt.Errorf("metadata %q: %w", key, r.err)
		}
		f.Keys = append(f.Keys, key)
		f.values[key] = v
	}
	return r.err
}

// alignment is what offsets of tensors are multiples of.
func (f *File) alignment() (int, error) {
	a, ok, err := f.Int(alignmentKey)
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return defaultAlignment, nil
	case a < 1 || a > 1<<30 || a&(a-1) != 0:
		return 0, fmt.Errorf("metadata %q: want a power of two, have %d", alignmentKey, a)
	}
	return a, nil
}

// readTensors reads the list of tensors, and returns where each begins, in bytes from the first.
func (f *File) readTensors(r *reader, n uint64) (offsets []uint64, err error) {
	seen := map[string]bool{}
	for i := range n {
		t := Tensor{Name: r.string()}
		if r.err != nil {
			return nil, fmt.Errorf("tensor %d of %d: %w", i+1, n, r.err)
		}
		if seen[t.Name] {
			return nil, fmt.Errorf("tensor %q: it is there twice", t.Name)
		}
		seen[t.Name] = true
		if t.Shape, err = r.shape(); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		id := r.uint32()
		offsets = append(offsets, r.uint64())
		if r.err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, r.err)
		}
		if t.Type = types[id]; t.Type == nil {
			return nil, fmt.Errorf("tensor %q: type %d is unknown; supported: %s", t.Name, id, strings.Join(Supported(), ", "))
		}
		f.Tensors = append(f.Tensors, t)
	}
	return offsets, nil
}

// shape reads dimensions, which a file lists from the one that varies fastest.
func (r *reader) shape() ([]int, error) {
	n := r.uint32()
	if n > maxDimensions {
		return nil, fmt.Errorf("%d dimensions are too many", n)
	}
	shape, elements := make([]int, n), uint64(1)
	for i := range shape {
		d := r.uint64()
		if d > maxElements || d > 0 && elements > maxElements/d {
			return nil, errors.New("its dimensions are too large")
		}
		elements *= d
		shape[len(shape)-1-i] = int(d)
	}
	return shape, r.err
}

// place finds the bytes of each tensor.
func (f *File) place(data []byte, offsets []uint64, start, alignment int) error {
	order := make([]int, len(f.Tensors))
	for i := range f.Tensors {
		order[i] = i
		t := &f.Tensors[i]
		size, err := t.size()
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		offset := offsets[i]
		if offset%uint64(alignment) != 0 {
			return fmt.Errorf("tensor %q: offset %d is not a multiple of the alignment, %d", t.Name, offset, alignment)
		}
		if room := uint64(max(0, len(data)-start)); offset > room || uint64(size) > room-offset {
			return fmt.Errorf("tensor %q: needs bytes %d–%d, the file ends at %d: it is cut off; fetch it again", t.Name, uint64(start)+offset, uint64(start)+offset+uint64(size), len(data))
		}
		from := start + int(offset)
		t.Data = data[from : from+size : from+size]
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(offsets[a], offsets[b]) })
	end, before := uint64(0), ""
	for _, i := range order {
		t := &f.Tensors[i]
		if len(t.Data) == 0 {
			continue
		}
		if offsets[i] < end {
			return fmt.Errorf("tensor %q: it overlaps %q", t.Name, before)
		}
		end, before = offsets[i]+uint64(len(t.Data)), t.Name
	}
	return nil
}

// size returns how many bytes the tensor has.
func (t *Tensor) size() (int, error) {
	elements := 1
	for _, d := range t.Shape {
		elements *= d
	}
	row := 1
	if n := len(t.Shape); n > 0 {
		row = t.Shape[n-1]
	}
	if row%t.Type.Elements != 0 {
		return 0, fmt.Errorf("rows of %d do not consist of blocks of %d, as %s has them", row, t.Type.Elements, t.Type.Name)
	}
	return elements / t.Type.Elements * t.Type.Bytes, nil
}
