package graph

import (
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Matrix is one matrix on the device: one tensor or several with the same columns, one below
// the other.
type Matrix struct {
	Rows, Width int
	Parts       []*Part
	paired      bool // rows 2i and 2i+1 are row i of two tensors
	fine        bool // a softmax reads what it makes: products by subgroup matrices are not to round its weights
}

// Part is a run of a matrix's rows that are packed alike and fit into one binding.
type Part struct {
	Packing
	Width, Rows  int
	row0         int // the part is rows row0 … row0+Rows−1 of the matrix
	pieces       []piece
	codes, heads *arena.Buffer // heads is nil for floats
	inOrder      bool          // codes lie in the order of the columns, see shared/layout.wgsl
}

// consts returns the constants by which a kernel knows how the part is packed and laid out.
func (p *Part) consts() kernels.Consts {
	c := p.Packing.consts()
	if p.inOrder {
		c["WOVEN"] = 0
	}
	return c
}

// piece is a run of a tensor's rows within a part.
type piece struct {
	tensor, from, rows int // rows from … from+rows−1 of the tensor
	to, step           int // row of the part where the first one goes, and from one to the next
}

// layOut plans a matrix of the given tensors for bindings of at most limit bytes. Parts are cut
// between runs of unit rows only.
func layOut(src Source, limit uint64, unit int, tensors ...int) (*Matrix, error) {
	list := src.Tensors()
	m := &Matrix{Width: list[tensors[0]].Cols()}
	for _, i := range tensors {
		if err := m.take(src, limit, unit, i, 0, list[i].Rows()); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// layOutRows plans a matrix of n rows of a tensor, from the given one on.
func layOutRows(src Source, limit uint64, tensor, first, n int) (*Matrix, error) {
	m := &Matrix{Width: src.Tensors()[tensor].Cols()}
	return m, m.take(src, limit, 1, tensor, first, n)
}

// take appends n rows of a tensor, from the given one on.
func (m *Matrix) take(src Source, limit uint64, unit, tensor, first, n int) error {
	s, err := packingOf(src, tensor)
	if err != nil {
		return err
	}
	row := max(s.CodeBytes(m.Width), s.HeadBytes(m.Width))
	most := int(limit) / (row * unit) * unit
	if most == 0 {
		return fmt.Errorf("%w: tensor %q: %d rows of %d columns are larger than this device's binding limit of %d bytes",
			ErrTooLarge, src.Tensors()[tensor].Name, unit, m.Width, limit)
	}
	m.add(s, tensor, first, n, most)
	return nil
}

// layOutPair plans a matrix whose rows are by turns those of two tensors, so that one workgroup has
// what belongs together. Tensors that are packed differently cannot be paired.
func layOutPair(src Source, limit uint64, a, b int) (*Matrix, error) {
	s, err := packingOf(src, a)
	if err != nil {
		return nil, err
	}
	if other, err := packingOf(src, b); err != nil || other != s {
		return layOut(src, limit, 1, a, b)
	}
	t := src.Tensors()[a]
	m := &Matrix{Rows: 2 * t.Rows(), Width: t.Cols(), paired: true}
	most := int(limit) / (2 * max(s.CodeBytes(m.Width), s.HeadBytes(m.Width)))
	if most == 0 {
		return nil, fmt.Errorf("%w: tensor %q: 2 rows of %d columns are larger than this device's binding limit of %d bytes", ErrTooLarge, t.Name, m.Width, limit)
	}
	for from := 0; from < t.Rows(); from += most {
		n := min(most, t.Rows()-from)
		m.Parts = append(m.Parts, &Part{Packing: s, Width: m.Width, row0: 2 * from, Rows: 2 * n, pieces: []piece{
			{tensor: a, from: from, rows: n, to: 0, step: 2}, {tensor: b, from: from, rows: n, to: 1, step: 2},
		}})
	}
	return m, nil
}

// order has the parts laid out as the kernels of a choice want them. Of no matrix it returns none.
func (m *Matrix) order(c Choice) *Matrix {
	if m != nil {
		for _, p := range m.Parts {
			p.inOrder = c.Variants[p.Packing].limbs()
		}
	}
	return m
}

// add appends rows of a tensor, from the first one on, at most most of them to a part.
func (m *Matrix) add(s Packing, tensor, first, rows, most int) {
	for from := 0; from < rows; {
		p := m.last()
		if p == nil || p.Packing != s || p.Rows == most {
			p = &Part{Packing: s, Width: m.Width, row0: m.Rows}
			m.Parts = append(m.Parts, p)
		}
		n := min(rows-from, most-p.Rows)
		p.pieces = append(p.pieces, piece{tensor: tensor, from: first + from, rows: n, to: p.Rows, step: 1})
		p.Rows += n
		m.Rows += n
		from += n
	}
}

func (m *Matrix) last() *Part {
	if len(m.Parts) == 0 {
		return nil
	}
	return m.Parts[len(m.Parts)-1]
}

// Bytes reports what the part takes on the device.
func (p *Part) Bytes() uint64 {
	return uint64(p.Rows) * uint64(p.CodeBytes(p.Width)+p.HeadBytes(p.Width))
}

// Bytes reports what the matrix takes on the device. Of none it is 0.
func (m *Matrix) Bytes() uint64 {
	var n uint64
	if m != nil {
		for _, p := range m.Parts {
			n += p.Bytes()
		}
	}
	return n
}

// reserve asks for the part's memory.
func (p *Part) reserve(a *arena.Arena) {
	p.codes = a.Reserve(PurposeWeights, p.Rows*p.CodeBytes(p.Width), gpu.Storage)
	if n := p.Rows * p.HeadBytes(p.Width); n > 0 {
		p.heads = a.Reserve(PurposeWeights, RoundUp(n, 16), gpu.Storage) // whole vec4<u32>
	}
}
