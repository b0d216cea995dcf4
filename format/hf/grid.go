package hf

import "encoding/binary"

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

// words are codes of 2 to 8 bits, one after the other in a stream of uint32s, the lowest bits first. A
// code of 3, 5, 6 or 7 bits may lie in two words; 32 codes are always whole words.
type words struct {
	data []byte
	bits int
}

// whole reports whether no code lies in two words.
func (w words) whole() bool { return 32%w.bits == 0 }

// per reports how many codes a word holds if they are whole.
func (w words) per() int { return 32 / w.bits }

func (w words) word(i int) uint32 { return binary.LittleEndian.Uint32(w.data[4*i:]) }

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

// stream writes the first codes of a stream of which each word is step words after the one before.
func (w words) stream(dst []int16, first, step int) {
	if w.whole() {
		for i := 0; i < len(dst); i += w.per() {
			w.unpack(dst[i:min(i+w.per(), len(dst))], w.word(first))
			first += step
		}
		return
	}
	var hold uint64 // bits that were read and not yet used
	have := 0
	for i := range dst {
		if have < w.bits {
			hold |= uint64(w.word(first)) << have
			first, have = first+step, have+32
		}
		dst[i] = int16(hold & (1<<w.bits - 1))
		hold, have = hold>>w.bits, have-w.bits
	}
}

// byInputs is the layout of GPTQ and AWQ: the scales are [groups][rows] and the zero-points
// [groups][words of rows]; the codes are [words of cols][rows] or, if across, [cols][words of rows].
type byInputs struct {
	weights, zeros words
	scales         stored
	rows, cols     int
	groups         int
	across         bool
	place          []int // of each of the codes of a word along the rows
	lessOne        bool  // zero-points are stored less one
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
	switch {
	case b.across:
		b.codesAcross(row, n, dst)
		return
	case !b.weights.whole():
		for r := range n {
			b.weights.stream(dst[r*b.cols:(r+1)*b.cols], row+r, b.rows)
		}
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
	line, codes := make([]float32, n), make([]int16, n)
	for g := range b.groups {
		b.scales.floats(g*b.rows+row, line)
		b.zeroPoints(g, row, codes)
		for r, s := range line {
			scales[r*b.groups+g], zeros[r*b.groups+g] = s, codes[r]
		}
	}
}

// zeroPoints fills dst with the zero-points of a group in the rows from row on.
func (b *byInputs) zeroPoints(group, row int, dst []int16) {
	w, mask := b.zeros, uint32(1<<b.zeros.bits-1)
	first := group * (b.rows * w.bits / 32)
	if !w.whole() {
		from := row / 32 * 32
		all := make([]int16, row-from+len(dst))
		w.stream(all, first+from*w.bits/32, 1)
		for r := range dst {
			z := uint32(all[row-from+r])
			if b.lessOne {
				z++
			}
			dst[r] = int16(z & mask)
		}
		return
	}
	var add uint32
	if b.lessOne {
		add = ones(w.bits)
	}
	for r := range dst {
		at := row + r
		word := w.word(first+at/w.per()) + add
		dst[r] = int16(word >> (b.place[at%w.per()] * w.bits) & mask)
	}
}

// byRows is the layout of compressed-tensors: codes and scales are [rows][…]; packed zero-points are
// [words of rows][groups].
type byRows struct {
	weights    words // bits 8 and not packed: bytes in two's complement
	packed     bool
	zeros      *stored // nil: all are middle
	middle     int16
	scales     stored
	times      float32 // what scales are multiplied by; 0: nothing
	cols, wide int     // columns, words of a row
	groups     int
	whole      bool // one scale for the matrix; zeros, if any, is a byte in two's complement, more than middle
}

func (b *byRows) codes(row, n int, dst []int16) {
	if !b.packed {
		for i, q := range b.weights.data[row*b.cols : (row+n)*b.cols] {
			dst[i] = int16(int8(q))
		}
		return
	}
	for r := range n {
		b.weights.stream(dst[r*b.cols:(r+1)*b.cols], (row+r)*b.wide, 1)
	}
}

func (b *byRows) params(row, n int, scales []float32, zeros []int16) {
	if b.whole {
		b.wholeParams(scales, zeros)
		return
	}
	b.scales.floats(row*b.groups, scales)
	if b.times != 0 {
		for i := range scales {
			scales[i] *= b.times
		}
	}
	switch {
	case b.zeros == nil:
		for i := range zeros {
			zeros[i] = b.middle
		}
	case b.packed:
		b.packedZeros(row, zeros)
	default:
		for i, z := range b.zeros.data[row*b.groups:][:len(zeros)] {
			zeros[i] = int16(int8(z))
		}
	}
}

func (b *byRows) wholeParams(scales []float32, zeros []int16) {
	zero := b.middle
	if b.zeros != nil {
		zero += int16(int8(b.zeros.data[0]))
	}
	b.scales.floats(0, scales[:1])
	for i := range scales {
		scales[i], zeros[i] = scales[0], zero
	}
}

// packedZeros fills zeros, [n][groups], with those of the rows from row on, which are packed along the
// rows.
func (b *byRows) packedZeros(row int, zeros []int16) {
	w := words{b.zeros.data, b.weights.bits}
	from := row / 32 * 32
	column := make([]int16, row-from+len(zeros)/b.groups)
	for g := range b.groups {
		w.stream(column, from*w.bits/32*b.groups+g, b.groups)
		for r, z := range column[row-from:] {
			zeros[r*b.groups+g] = z
		}
	}
}
