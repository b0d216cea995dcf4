package block

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Packing says how the rows of a matrix are stored: in blocks of 8, 4 or 2 bits a weight, as a Scheme,
// or, if Block is 0, as floats of 16 or 32 bits.
type Packing struct{ Bits, Block int }

// String names the packing as int4/128 or f16.
func (p Packing) String() string {
	if p.Block == 0 {
		return fmt.Sprintf("f%d", p.Bits)
	}
	return Scheme(p).String()
}

// RowBytes reports how many bytes a row of cols weights takes.
func (p Packing) RowBytes(cols int) int {
	if p.Block == 0 {
		return cols * p.Bits / 8
	}
	return Scheme(p).RowBytes(cols)
}

// DecodeRow fills dst with the weights of a stored row. It panics if src is not RowBytes(len(dst)) long.
func (p Packing) DecodeRow(dst []float32, src []byte) {
	switch {
	case p.Block > 0:
		Scheme(p).DecodeRow(dst, src)
	case len(src) != p.RowBytes(len(dst)):
		panic(fmt.Sprintf("block: a row of %d weights in %v has %d bytes, not %d", len(dst), p, p.RowBytes(len(dst)), len(src)))
	case p.Bits == 16:
		FromFloat16s(dst, src)
	default:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	}
}
