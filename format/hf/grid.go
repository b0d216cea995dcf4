package hf

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// grid is a matrix of integers: its value in row r and column c is (q−z)·s, with the code q of the
// element and the zero-point z and scale s that row r has for the group of column c. It implements
// values.
type grid struct {
	layout
	height, cols int
	groups       int
	size         int     // columns of a group
	group        []int32 // the group of each column; nil: column/size
	low, high    int     // bounds of the codes
}

// layout knows how codes and parameters are stored.
type layout interface {
	// codes fills dst, [n][cols], with the codes of rows row to row+n−1.
	codes(row, n int, dst []int16)
	// params fills scales and zeros, [n][groups].
	params(row, n int, scales []float32, zeros []int16)
}

func (g *grid) rows(row, n int, dst []float32) {
	codes := make([]int16, n*g.cols)
	scales, zeros := make([]float32, n*g.groups), make([]int16, n*g.groups)
	g.codes(row, n, codes)
	g.params(row, n, scales, zeros)
	for r := range n {
		line, q := dst[r*g.cols:(r+1)*g.cols], codes[r*g.cols:(r+1)*g.cols]
		s, z := scales[r*g.groups:(r+1)*g.groups], zeros[r*g.groups:(r+1)*g.groups]
		if g.group != nil {
			for c, k := range g.group {
				line[c] = float32(q[c]-z[k]) * s[k]
			}
			continue
		}
		for k := range s {
			from, to := k*g.size, min((k+1)*g.size, g.cols)
			scaleCodes(line[from:to], q[from:to], z[k], s[k])
		}
	}
}

func scaleCodes(dst []float32, q []int16, z int16, s float32) {
	q = q[:len(dst)]
	for i := range dst {
		dst[i] = float32(q[i]-z) * s
	}
}

// at returns the group of a column.
func (g *grid) at(column int) int {
	if g.group != nil {
		return int(g.group[column])
	}
	return column / g.size
}

// words are codes of 2, 4 or 8 bits packed into uint32s, lowest first.
type words struct {
	data []byte
	bits int
}

// per reports how many codes a word holds.
func (w words) per() int { return 32 / w.bits }

// code returns a code of the word with the given index.
func (w words) code(word, place int) int16 {
	return int16(binary.LittleEndian.Uint32(w.data[4*word:]) >> (place * w.bits) & (1<<w.bits - 1))
}

// unpack writes the first codes of a word.
func (w words) unpack(dst []int16, word uint32) {
	if w.bits == 4 && len(dst) == 8 {
		for i := range 8 {
			dst[i] = int16(word >> (4 * i) & 15)
		}
		return
	}
	for i := range dst {
		dst[i] = int16(word >> (i * w.bits) & (1<<w.bits - 1))
	}
}

// byInputs is the layout of GPTQ and AWQ: the scales are [groups][rows] and the zero-points
// [groups][rows/per]; the codes are [cols/per][rows] or, if across, [cols][rows/per].
type byInputs struct {
	weights, zeros words
	scales         stored
	rows, cols     int
	groups         int
	across         bool
	place          []int  // of each of the codes of a word along the rows
	add            uint32 // to a word of zero-points
}

// inOrder and interleaved are the places of codes in a word: that of GPTQ, and that of AWQ's gemm,
// where the words hold the codes 0, 2, 4, 6, 1, 3, 5, 7.
var (
	inOrder     = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	interleaved = []int{0, 4, 1, 5, 2, 6, 3, 7}
)

// chunk is how many words are taken of one row before the next: so many lines of memory stay at hand.
const chunk = 16

func (b *byInputs) codes(row, n int, dst []int16) {
	if b.across {
		b.codesAcross(row, n, dst)
		return
	}
	per, words := b.weights.per(), b.cols/b.weights.per()
	for from := 0; from < words; from += chunk {
		to := min(from+chunk, words)
		for r := range n {
			for k := from; k < to; k++ {
				word := binary.LittleEndian.Uint32(b.weights.data[4*(k*b.rows+row+r):])
				b.weights.unpack(dst[r*b.cols+k*per:][:per], word)
			}
		}
	}
}

// codesAcross is codes for words that hold the codes of several rows.
func (b *byInputs) codesAcross(row, n int, dst []int16) {
	per, mask := b.weights.per(), uint32(1<<b.weights.bits-1)
	var column [4 * chunk]uint32
	for from := 0; from < b.cols; from += len(column) {
		to := min(from+len(column), b.cols)
		for first := row; first < row+n; first += per - first%per {
			for c := from; c < to; c++ {
				column[c-from] = binary.LittleEndian.Uint32(b.weights.data[4*(c*(b.rows/per)+first/per):])
			}
			for r := first; r < min(first+per-first%per, row+n); r++ {
				shift := b.place[r%per] * b.weights.bits
				line := dst[(r-row)*b.cols+from : (r-row)*b.cols+to]
				for i := range line {
					line[i] = int16(column[i] >> shift & mask)
				}
			}
		}
	}
}

func (b *byInputs) params(row, n int, scales []float32, zeros []int16) {
	per, mask := b.zeros.per(), uint32(1<<b.zeros.bits-1)
	line := make([]float32, n)
	for g := range b.groups {
		b.scales.floats(g*b.rows+row, line)
		for r, s := range line {
			word := binary.LittleEndian.Uint32(b.zeros.data[4*(g*(b.rows/per)+(row+r)/per):]) + b.add
			z := word >> (b.place[(row+r)%per] * b.zeros.bits) & mask
			scales[r*b.groups+g], zeros[r*b.groups+g] = s, int16(z)
		}
	}
}

// byRows is the layout of compressed-tensors: codes and scales are [rows][…]; packed zero-points are
// [rows/per][groups].
type byRows struct {
	weights    words // bits 8 and not packed: bytes in two's complement
	packed     bool
	zeros      *stored // nil: all are middle
	middle     int16
	scales     stored
	cols, wide int // columns, words of a row
	groups     int
}

func (b *byRows) codes(row, n int, dst []int16) {
	if !b.packed {
		for i, q := range b.weights.data[row*b.cols : (row+n)*b.cols] {
			dst[i] = int16(int8(q))
		}
		return
	}
	per := b.weights.per()
	for r := range n {
		line := dst[r*b.cols : (r+1)*b.cols]
		for k := range b.wide {
			word := binary.LittleEndian.Uint32(b.weights.data[4*((row+r)*b.wide+k):])
			b.weights.unpack(line[k*per:min((k+1)*per, b.cols)], word)
		}
	}
}

func (b *byRows) params(row, n int, scales []float32, zeros []int16) {
	b.scales.floats(row*b.groups, scales)
	for i := range zeros {
		r, g := row+i/b.groups, i%b.groups
		switch {
		case b.zeros == nil:
			zeros[i] = b.middle
		case b.packed:
			w := words{b.zeros.data, b.weights.bits}
			zeros[i] = w.code(r/w.per()*b.groups+g, r%w.per())
		default:
			zeros[i] = int16(int8(b.zeros.data[r*b.groups+g]))
		}
	}
}

// integers takes a matrix that GPTQ or AWQ quantized.
func (m *module) integers() (part, error) {
	q := m.b.quant
	var err error
	if q == nil || q.method != methodGPTQ && q.method != methodAWQ {
		return part{}, fmt.Errorf("tensor %q: unexpected: the configuration does not say that gptq or awq quantized it", m.name+".qweight")
	}
	b := &byInputs{rows: m.rows, cols: m.cols, across: q.method == methodAWQ, place: inOrder}
	weights, err := m.codeWords(b, q)
	if err != nil {
		return part{}, err
	}
	if b.scales, err = m.take(".scales", scaleTypes); err != nil {
		return part{}, err
	}
	if b.groups = m.groupsOf(&b.scales, q); b.groups == 0 {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v, want [groups %d] with groups of %d columns of %d",
			b.scales.file, m.name+".scales", b.scales.shape, m.rows, q.group, m.cols)
	}
	zeros, err := m.tensor(".qzeros", []string{"I32", "U32"}, b.groups, m.rows/b.weights.per())
	if err != nil {
		return part{}, err
	}
	b.zeros = words{zeros.data, b.weights.bits}
	if q.lessOne {
		b.add = ones(b.weights.bits)
	}
	g := &grid{layout: b, height: m.rows, cols: m.cols, groups: b.groups, size: ceil(m.cols, b.groups), high: 1<<b.weights.bits - 1}
	if q.group > 0 {
		g.size = q.group
	}
	if q.method == methodGPTQ {
		if err := m.order(g, ".g_idx"); err != nil {
			return part{}, err
		}
	}
	return part{stored: weights, kind: m.kind(g, b.weights.bits), bytes: m.bytes, values: g}, nil
}

// ones returns a word of codes of which each is 1. GPTQ's first format stores zero-points less one; its
// tools subtract and add whole words, so that a borrow from one code to the next is undone.
func ones(bits int) (word uint32) {
	for at := 0; at < 32; at += bits {
		word |= 1 << at
	}
	return word
}

// codeWords takes the codes; it finds their width by the shape, which must be that of the
// configuration.
func (m *module) codeWords(b *byInputs, q *quantization) (stored, error) {
	s, err := m.take(".qweight", []string{"I32", "U32"})
	if err != nil {
		return s, err
	}
	bits := q.bits
	if bits == 0 && len(s.shape) == 2 {
		for _, n := range []int{2, 4, 8} {
			if s.shape[0] == m.cols*n/32 {
				bits = n
			}
		}
	}
	want := []int{m.cols * bits / 32, m.rows}
	if b.across {
		want, b.place = []int{m.cols, m.rows * bits / 32}, interleaved
	}
	if bits == 0 || m.rows*bits%32 != 0 || !b.across && m.cols*bits%32 != 0 || !slices.Equal(s.shape, want) {
		return s, fmt.Errorf("%s: tensor %q: shape %v, but a matrix [%d %d] quantized by %s to %d bits has %v",
			s.file, m.name+".qweight", s.shape, m.rows, m.cols, q.method, bits, want)
	}
	b.weights = words{s.data, bits}
	return s, nil
}

// groupsOf returns how many groups the scales of GPTQ or AWQ have, 0 if their shape is wrong.
func (m *module) groupsOf(s *stored, q *quantization) int {
	if len(s.shape) != 2 || s.shape[1] != m.rows || s.shape[0] < 1 || s.shape[0] > m.cols {
		return 0
	}
	switch n := s.shape[0]; {
	case q.group == -1 && n == 1, q.group == 0, q.group > 0 && n == ceil(m.cols, q.group):
		return n
	}
	return 0
}

// order reads which group each column is in, if the checkpoint says it. Columns that are in the order of
// their groups need no list.
func (m *module) order(g *grid, suffix string) error {
	if !m.b.has(m.name + suffix) {
		return nil
	}
	s, err := m.tensor(suffix, []string{"I32"}, m.cols)
	if err != nil {
		return err
	}
	list, natural := make([]int32, m.cols), true
	for c := range list {
		list[c] = int32(binary.LittleEndian.Uint32(s.data[4*c:]))
		if list[c] < 0 || int(list[c]) >= g.groups {
			return fmt.Errorf("%s: tensor %q: column %d is in group %d of %d", s.file, m.name+suffix, c, list[c], g.groups)
		}
		natural = natural && int(list[c]) == c/g.size
	}
	if !natural {
		g.group = list
	}
	return nil
}

// kind describes a grid.
func (m *module) kind(g *grid, bits int) string {
	what := fmt.Sprintf("%s int%d", m.b.quant.method, bits)
	if g.groups > 1 {
		what += fmt.Sprintf(" with groups of %d", g.size)
	}
	if g.group != nil {
		what += " in act-order"
	}
	return what
}

// packed takes a matrix of packed integers of compressed-tensors.
func (m *module) packed() (part, error) {
	q := m.b.quant
	if q == nil || q.method != methodCompressed {
		return part{}, fmt.Errorf("tensor %q: unexpected: the configuration does not say that compressed-tensors quantized it", m.name+".weight_packed")
	}
	s, err := m.take(".weight_packed", []string{"I32", "U32"})
	if err != nil {
		return part{}, err
	}
	b := &byRows{packed: true, cols: m.cols}
	for _, bits := range []int{2, 4, 8} {
		if wide := ceil(m.cols*bits, 32); slices.Equal(s.shape, []int{m.rows, wide}) {
			b.weights, b.wide, b.middle = words{s.data, bits}, wide, 1<<(bits-1)
		}
	}
	if b.wide == 0 {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v is not that of a matrix [%d %d] in 2, 4 or 8 bits",
			s.file, m.name+".weight_packed", s.shape, m.rows, m.cols)
	}
	if err := m.checkPackedShape(); err != nil {
		return part{}, err
	}
	return m.compressed(s, b, 0, 1<<b.weights.bits-1, []string{"I32", "U32"})
}

// checkPackedShape reads the shape that compressed-tensors stores beside packed codes.
func (m *module) checkPackedShape() error {
	if !m.b.has(m.name + ".weight_shape") {
		return nil
	}
	s, err := m.tensor(".weight_shape", []string{"I32", "I64"}, 2)
	if err != nil {
		return err
	}
	for i, want := range []int{m.rows, m.cols} {
		have := uint64(binary.LittleEndian.Uint32(s.data[4*i:]))
		if s.dtype == "I64" {
			have = binary.LittleEndian.Uint64(s.data[8*i:])
		}
		if have != uint64(want) {
			return fmt.Errorf("%s: tensor %q: dimension %d is %d, but config.json makes it %d", s.file, m.name+".weight_shape", i, have, want)
		}
	}
	return nil
}

// int8s takes a matrix of bytes of compressed-tensors.
func (m *module) int8s(s stored) (part, error) {
	if m.b.quant.method != methodCompressed {
		return part{}, fmt.Errorf("%s: tensor %q: dtype I8 of quant_method %q is not supported", s.file, m.name+".weight", m.b.quant.method)
	}
	if _, err := m.tensor(".weight", []string{"I8"}, m.rows, m.cols); err != nil {
		return part{}, err
	}
	return m.compressed(s, &byRows{weights: words{s.data, 8}, cols: m.cols}, -128, 127, []string{"I8"})
}

// compressed takes the parameters of integers of compressed-tensors.
func (m *module) compressed(s stored, b *byRows, low, high int, zeroTypes []string) (part, error) {
	var err error
	if b.scales, err = m.take(".weight_scale", scaleTypes); err != nil {
		return part{}, err
	}
	g := &grid{layout: b, height: m.rows, cols: m.cols, size: m.cols, groups: 1, low: low, high: high}
	if slices.Equal(b.scales.shape, []int{m.rows}) {
		b.scales.shape = []int{m.rows, 1}
	}
	for _, size := range m.b.quant.groups {
		if n := ceil(m.cols, size); n > 1 && slices.Equal(b.scales.shape, []int{m.rows, n}) {
			g.size, g.groups = size, n
		}
	}
	if b.groups = g.groups; !slices.Equal(b.scales.shape, []int{m.rows, b.groups}) {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v: want [%d 1], or as many columns as groups of the configuration: %v",
			b.scales.file, m.name+".weight_scale", b.scales.shape, m.rows, m.b.quant.groups)
	}
	if m.b.has(m.name + ".weight_zero_point") {
		rows := m.rows
		if b.packed {
			rows = ceil(m.rows*b.weights.bits, 32)
		}
		zeros, err := m.tensor(".weight_zero_point", zeroTypes, rows, g.groups)
		if err != nil {
			return part{}, err
		}
		b.zeros = &zeros
	}
	if err := m.order(g, ".weight_g_idx"); err != nil {
		return part{}, err
	}
	return part{stored: s, kind: m.kind(g, b.weights.bits), bytes: m.bytes, values: g}, nil
}
