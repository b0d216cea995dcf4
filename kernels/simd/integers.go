package simd

// A vector that rows of blocks are multiplied by can be arranged as integers: processors multiply bytes several times
// faster than they decode weights. In each block of columns x is step·q, rounded, and q is cut into limbs of a signed
// byte each, q = low + 2⁸·middle + 2¹⁶·high. The product of a row is then
//
//	Σ over blocks: scale · step · Σ (code − zero)·q
//
// whose inner sum is exact: |q| is bounded so that an int32 holds it. That leaves at least 2¹⁹ steps between 0 and the
// largest x of a block.
//
// An arranged vector consists of groups, one for each 64 bytes of a row's codes or for each block that has more. Blocks
// that have less share a group, two or four of them; those left over at the end of a row have one each. A group begins
// with two registers of 64 bytes, in lanes of 32 bits: the negative sums of all q that a lane adds up, which products
// with the zero-point begin from; and the steps. Then come three registers, of low, middle and high limbs, for the first
// codes of 64 bytes, three for the second codes of these bytes, and so on.

const (
	register = 64 // bytes
	limbs    = 3  // of an integer
)

// integral says how a vector is arranged as integers; the zero value is for one of floats.
type integral struct {
	block     int // columns of a block
	codes     int // in a byte
	together  int // blocks in a group
	registers int // of codes in a group
	groups    int
	singles   int // groups of one block behind them, where the others have several
}

// integral returns how products with m want their vector.
func (m *Packed) integral() integral {
	bytes := m.Block * m.Bits / 8 // of codes in a block
	if !multipliesBytes() || bytes < register/4 {
		return integral{}
	}
	n := integral{block: m.Block, together: 1, registers: max(1, bytes/register)}
	shift := 0
	switch bytes { // asked for each few rows: no divisions
	case register / 2:
		n.together, shift = 2, 1
	case register / 4:
		n.together, shift = 4, 2
	}
	switch m.Bits {
	case 8:
		n.codes = 1
	case 4:
		n.codes = 2
	default:
		n.codes = 4
	}
	blocks := (m.Cols + m.Block - 1) / m.Block
	n.groups, n.singles = blocks>>shift, blocks&(n.together-1)
	return n
}

// size is the length of a group in bytes.
func (n integral) size() int { return register * (2 + n.registers*n.codes*limbs) }

// floats is how many float32 have the length of the vector.
func (n integral) floats() int { return (n.groups + n.singles) * n.size() / 4 }

// largest bounds the integers.
func (n integral) largest() float32 {
	// What differs most from its zero-point: a code of eight bits from −128 to 127, or one that begins at 0.
	apart := 255
	if n.codes > 1 {
		apart = 127 + 1<<(8/n.codes)
	}
	return float32((1<<31 - 1) / (apart * 4 * n.codes * n.registers))
}
