package transformer

import (
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// scheme says how the weights of a matrix are packed: 2, 4 or 8 bits in blocks that share a
// scale and a zero, or 16 or 32, floats without blocks.
type scheme struct{ bits, block int }

// cols reports how many columns the device stores for a matrix of width columns: whole blocks,
// whole vec4<u32>, whole steps of matmul.
func (s scheme) cols(width int) int { return roundUp(width, max(s.block, 128/s.bits, 16)) }

// codeBytes and headBytes report the bytes of a row in the two planes that repack makes.
func (s scheme) codeBytes(width int) int { return s.cols(width) * s.bits / 8 }

func (s scheme) headBytes(width int) int {
	if s.block == 0 {
		return 0
	}
	return s.cols(width) / s.block * 4
}

// restBytes reports the bytes of a row in model.wgpu.
func (s scheme) restBytes(width int) int {
	if s.block == 0 {
		return width * s.bits / 8
	}
	return block.Scheme{Bits: s.bits, Block: s.block}.RowBytes(width)
}

func (s scheme) String() string {
	if s.block == 0 {
		return fmt.Sprintf("f%d", s.bits)
	}
	return fmt.Sprintf("int%d/%d", s.bits, s.block)
}

// consts returns the constants by which a kernel knows the packing.
func (s scheme) consts() kernels.Consts {
	if s.block == 0 {
		return kernels.Consts{"BITS": s.bits, "BLOCK": 128 / s.bits} // a vector
	}
	return kernels.Consts{"BITS": s.bits, "BLOCK": s.block}
}

// matrix is one matrix on the device: one tensor or several with the same columns, one below
// the other.
type matrix struct {
	rows, width int
	paired      bool // rows 2i and 2i+1 are row i of two tensors
	parts       []*part
}

// part is a run of a matrix's rows that are packed alike and fit into one binding.
type part struct {
	scheme
	width, row0, rows int // rows row0 … row0+rows−1 of the matrix
	pieces            []piece
	codes, heads      *gpu.Buffer
}

// piece is a run of a tensor's rows within a part.
type piece struct {
	tensor, from, rows int // rows from … from+rows−1 of the tensor
	to, step           int // row of the part where the first one goes, and from one to the next
}

// layOut plans a matrix of the given tensors for bindings of at most limit bytes. Parts are cut
// between runs of unit rows only.
func layOut(src Source, limit uint64, unit int, tensors ...int) (*matrix, error) {
	list := src.Tensors()
	m := &matrix{width: list[tensors[0]].Cols()}
	for _, i := range tensors {
		t := list[i]
		s, err := schemeOf(src, i)
		if err != nil {
			return nil, err
		}
		row := max(s.codeBytes(m.width), s.headBytes(m.width))
		most := int(limit) / (row * unit) * unit
		if most == 0 {
			return nil, fmt.Errorf("%w: tensor %q: %d rows of %d columns are larger than this device's binding limit of %d bytes", ErrTooLarge, t.Name, unit, m.width, limit)
		}
		m.add(s, i, t.Rows(), most)
	}
	return m, nil
}

// layOutPair plans a matrix whose rows are by turns those of two tensors, so that one workgroup has
// what belongs together. Tensors that are packed differently cannot be paired.
func layOutPair(src Source, limit uint64, a, b int) (*matrix, error) {
	s, err := schemeOf(src, a)
	if err != nil {
		return nil, err
	}
	if other, err := schemeOf(src, b); err != nil || other != s {
		return layOut(src, limit, 1, a, b)
	}
	t := src.Tensors()[a]
	m := &matrix{rows: 2 * t.Rows(), width: t.Cols(), paired: true}
	most := int(limit) / (2 * max(s.codeBytes(m.width), s.headBytes(m.width)))
	if most == 0 {
		return nil, fmt.Errorf("%w: tensor %q: 2 rows of %d columns are larger than this device's binding limit of %d bytes", ErrTooLarge, t.Name, m.width, limit)
	}
	for from := 0; from < t.Rows(); from += most {
		n := min(most, t.Rows()-from)
		m.parts = append(m.parts, &part{scheme: s, width: m.width, row0: 2 * from, rows: 2 * n, pieces: []piece{
			{tensor: a, from: from, rows: n, to: 0, step: 2}, {tensor: b, from: from, rows: n, to: 1, step: 2},
		}})
	}
	return m, nil
}

// add appends the rows of a tensor, at most most of them to a part.
func (m *matrix) add(s scheme, tensor, rows, most int) {
	for from := 0; from < rows; {
		p := m.last()
		if p == nil || p.scheme != s || p.rows == most {
			p = &part{scheme: s, width: m.width, row0: m.rows}
			m.parts = append(m.parts, p)
		}
		n := min(rows-from, most-p.rows)
		p.pieces = append(p.pieces, piece{tensor: tensor, from: from, rows: n, to: p.rows, step: 1})
		p.rows += n
		m.rows += n
		from += n
	}
}

func (m *matrix) last() *part {
	if len(m.parts) == 0 {
		return nil
	}
	return m.parts[len(m.parts)-1]
}

// bytes reports what the part takes on the device.
func (p *part) bytes() uint64 {
	return uint64(p.rows) * uint64(p.codeBytes(p.width)+p.headBytes(p.width))
}

// schemeOf reports how a matrix of the source is packed.
func schemeOf(src Source, i int) (scheme, error) {
	bits, block := src.Packing(i)
	switch {
	case (bits == 16 || bits == 32) && block == 0,
		(bits == 2 || bits == 4 || bits == 8) && block >= 32 && block&(block-1) == 0:
		return scheme{bits, block}, nil
	}
	return scheme{}, fmt.Errorf("tensor %q: %d bits in blocks of %d: the runtime takes floats of 16 or 32 bits and blocks of 2, 4 or 8 bits", src.Tensors()[i].Name, bits, block)
}

// Source is where the weights come from: a bundle.
type Source interface {
	model.Weights
	// Packing reports how tensor i is stored: bits a weight and weights a block. 16 and 0 is
	// float16, 32 and 0 float32.
	Packing(i int) (bits, block int)
	// ReadAt fills p with the stored bytes of tensor i from byte off on. Tensors are read by several
	// goroutines at once, each from its first byte to its last. p may be slow to be read from.
	ReadAt(i int, p []byte, off int64) error
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
