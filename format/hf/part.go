package hf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// part is a matrix, a stack of matrices or a vector of the checkpoint.
type part struct {
	stored        // of a quantized matrix, the tensor with the codes
	kind   string // the type in the file, for people
	bytes  int    // in the file, with scales and whatever else belongs to it
	values values // nil: as they are stored
}

// values computes the values of a quantized matrix.
type values interface {
	// rows fills dst, [n][columns], with rows row to row+n−1. Rows are those that outputs have,
	// however the matrix is stored; of a stack of matrices, those of the first come first.
	rows(row, n int, dst []float32)
}

// part finds the tensors that a matrix or vector is made of and checks them. Its name is that which it
// has where it is not quantized.
func (d *bound) part(b *binder, name string, shape []int) (part, error) {
	m := &module{b: b, name: strings.TrimSuffix(name, ".weight"), rows: d.total, cols: d.cols}
	if p, found, err := m.find(name, len(shape), d); found || err != nil {
		return p, err
	}
	s, ok := b.shards.tensors[name]
	switch {
	case !ok:
		return part{}, fmt.Errorf("tensor %q is missing%s", name, b.hint(name))
	case s.values == nil && decoders[s.dtype] == nil:
		return part{}, fmt.Errorf("%s: tensor %q: unsupported dtype %s; supported: %s", s.file, name, s.dtype, supportedDTypes())
	}
	if err := s.checkShape(name, shape); err != nil {
		return part{}, err
	}
	b.used[name] = true
	return part{stored: s, kind: s.dtype, bytes: len(s.data), values: s.values}, nil
}

// find takes the tensors of a quantized matrix, or of a stack of them, if it is quantized. Their rank
// is that of the tensor that would have the values.
func (m *module) find(name string, rank int, d *bound) (p part, found bool, err error) {
	if rank == 3 {
		m.stack = []int{d.experts}
	}
	for _, base := range []string{"", ".weight"} {
		if rank >= 2 && !m.b.has(name) && m.b.has(m.name+base+"_blocks") {
			p, err = m.blocks(base)
			return p, true, err
		}
	}
	if rank == 3 && m.name != name && m.b.shards.tensors[name].dtype == "U32" && m.b.quant.by(methodMLX) {
		p, err = m.mlx()
		return p, true, err
	}
	if rank != 2 || m.name == name {
		return p, false, nil
	}
	if p, err = m.matrix(d.transposed); err != nil {
		return p, true, err
	}
	if p.values != nil {
		err = m.smooth(&p)
	}
	return p, p.values != nil, err
}

// matrix is find for a matrix; without values, it is not quantized.
func (m *module) matrix(transposed bool) (part, error) {
	s, plain := m.b.shards.tensors[m.name+".weight"]
	q, state := m.b.quant, m.b.bnbStateOf(m.name)
	switch {
	case !plain && m.b.has(m.name+".qweight"):
		return m.integers()
	case !plain && m.b.has(m.name+".weight_packed"):
		return m.packed()
	case !plain || q == nil:
		return part{}, nil
	case state != "" || s.dtype == "U8" && q.by(methodBnB):
		return m.codebook(cmp.Or(state, m.name+bnbStateSuffix+"nf4"))
	case s.dtype == "I8" && q.by(methodBnB):
		return m.eightBits()
	case s.dtype == "I8":
		return m.int8s(s)
	case s.dtype == "U32":
		return m.mlx()
	case s.dtype == "U8", s.dtype == float4:
		return m.float4s(".weight")
	case isFloat8(s.dtype):
		return m.float8s(s, transposed)
	}
	return part{}, nil
}

// module is a matrix [rows][cols] with tensors that belong to it, like NAME.weight and
// NAME.weight_scale.
type module struct {
	b          *binder
	name       string
	rows, cols int
	stack      []int // how many matrices lie in the tensors, if these have a dimension for it
	bytes      int   // of the tensors that were taken
}

func (b *binder) has(name string) bool {
	_, ok := b.shards.tensors[name]
	return ok
}

// tensor takes a tensor of the module, which must have one of the types and the shape.
func (m *module) tensor(suffix string, dtypes []string, shape ...int) (stored, error) {
	s, err := m.take(suffix, dtypes)
	if err != nil {
		return s, err
	}
	return s, s.checkShape(m.name+suffix, shape)
}

// take takes a tensor of the module, which must have one of the types.
func (m *module) take(suffix string, dtypes []string) (stored, error) {
	name := m.name + suffix
	s, ok := m.b.shards.tensors[name]
	if !ok {
		return s, fmt.Errorf("tensor %q is missing; a matrix quantized by %s has it", name, m.b.quant.method)
	}
	for _, t := range dtypes {
		if s.dtype == t {
			m.b.used[name] = true
			m.bytes += len(s.data)
			return s, nil
		}
	}
	return s, fmt.Errorf("%s: tensor %q: unsupported dtype %s; supported: %s", s.file, name, s.dtype, strings.Join(dtypes, ", "))
}

func (s *stored) checkShape(name string, shape []int) error {
	if !slices.Equal(s.shape, shape) {
		return fmt.Errorf("%s: tensor %q: shape %v, but config.json makes it %v", s.file, name, s.shape, shape)
	}
	return nil
}

// scaleTypes are the types that scales may have. In powerTypes, bytes are exponents.
var (
	scaleTypes = []string{"BF16", "F16", "F32", float8E8M0}
	powerTypes = []string{"BF16", "F16", "F32", float8E8M0, "U8"}
)

// floats decodes elements of a tensor of one of the powerTypes.
func (s *stored) floats(at int, dst []float32) {
	size := elementSize[s.dtype]
	src := s.data[at*size : (at+len(dst))*size]
	if s.dtype == float8E8M0 || s.dtype == "U8" {
		decodeE8M0(dst, src)
		return
	}
	decoders[s.dtype](dst, src)
}

// float8s takes a matrix of 8-bit floats with its scales. Scales of 8-bit floats multiply.
func (m *module) float8s(s stored, transposed bool) (part, error) {
	name := m.name + ".weight"
	if transposed {
		return part{}, fmt.Errorf("%s: tensor %q: a matrix of 8-bit floats that is stored by columns is not supported", s.file, name)
	}
	if _, err := m.tensor(".weight", []string{float8E4M3, float8E5M2}, m.rows, m.cols); err != nil {
		return part{}, err
	}
	suffix := ".weight_scale"
	if q := m.b.quant; m.b.has(m.name+".weight_scale_inv") || q.by(methodFP8, methodMXFP8) && q.block[0] > 0 && !m.b.has(m.name+suffix) {
		suffix = ".weight_scale_inv"
	}
	scales, err := m.take(suffix, powerTypes)
	if err != nil {
		return part{}, err
	}
	if s := scales.shape; len(s) == 4 && s[1] == 1 && s[3] == 1 { // modelopt
		scales.shape = []int{s[0], s[2]}
	}
	f := &scaled{weights: s, scales: scales, cols: m.cols}
	if !f.divide(m.rows, m.b.quant) {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v: want one scale for each row, for all, or for each block that %s says",
			scales.file, m.name+suffix, scales.shape, m.b.quant.where)
	}
	return part{stored: s, kind: s.dtype + f.kind, bytes: m.bytes, values: f}, nil
}

// scaled is a matrix of floats of which each is multiplied by the scale of its block.
type scaled struct {
	weights, scales stored
	cols            int
	high, wide      int // rows and columns of a block
	across          int // blocks in a row
	kind            string
}

// divide finds the size of a block from the shapes.
func (f *scaled) divide(rows int, q *quantization) bool {
	n := 1
	for _, d := range f.scales.shape {
		n *= d
	}
	f.across = 1
	switch shape := f.scales.shape; {
	case q.block[0] > 0 && slices.Equal(shape, []int{ceil(rows, q.block[0]), ceil(f.cols, q.block[1])}):
		f.high, f.wide, f.across = q.block[0], q.block[1], shape[1]
		f.kind = fmt.Sprintf(" with blocks of %d×%d", f.high, f.wide)
	case n == 1:
		f.high, f.wide, f.kind = rows, f.cols, " with one scale"
	case n == rows && (len(shape) == 1 || slices.Equal(shape, []int{rows, 1})):
		f.high, f.wide, f.kind = 1, f.cols, " with a scale for each row"
	case f.scales.dtype == "U8" || f.scales.dtype == float8E8M0:
		return f.grouped(rows, append(slices.Clip(q.groups), mxGroup))
	default:
		return f.grouped(rows, q.groups)
	}
	return true
}

// grouped takes groups along a row.
func (f *scaled) grouped(rows int, sizes []int) bool {
	for _, size := range sizes {
		if across := ceil(f.cols, size); slices.Equal(f.scales.shape, []int{rows, across}) {
			f.high, f.wide, f.across = 1, size, across
			f.kind = fmt.Sprintf(" with groups of %d", size)
			return true
		}
	}
	return false
}

func (f *scaled) rows(row, n int, dst []float32) {
	f.weights.decode(row*f.cols, dst)
	scales := make([]float32, f.across)
	for r := range n {
		f.scales.floats((row+r)/f.high*f.across, scales)
		line := dst[r*f.cols : (r+1)*f.cols]
		for b, s := range scales {
			block := line[b*f.wide : min((b+1)*f.wide, f.cols)]
			for i := range block {
				block[i] *= s
			}
		}
	}
}

// ceil returns ⌈n/d⌉.
func ceil(n, d int) int { return (n + d - 1) / d }
