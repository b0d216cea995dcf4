package block

import (
	"errors"
	"fmt"
)

// Scheme says how a row is cut into blocks, and how many bits a code takes.
type Scheme struct {
	Bits  int // 8: codes −128..127; 4: 0..15; 2: 0..3
	Block int // weights that share a scale: 32, 64, 128 or 256
}

// HeaderBytes is the size of a block's scale and zero-point.
const HeaderBytes = 3

// Validate reports whether the scheme is one that the format has.
func (s Scheme) Validate() error {
	switch s.Bits {
	case 8, 4, 2:
	default:
		return fmt.Errorf("%d bits a code: want 8, 4 or 2", s.Bits)
	}
	switch s.Block {
	case 32, 64, 128, 256:
		return nil
	}
	return fmt.Errorf("block size %d: want 32, 64, 128 or 256", s.Block)
}

// String names the scheme, as in int4/128.
func (s Scheme) String() string { return fmt.Sprintf("int%d/%d", s.Bits, s.Block) }

// BlockBytes reports how many bytes a block takes: scale, zero-point, codes.
func (s Scheme) BlockBytes() int { return HeaderBytes + s.Block*s.Bits/8 }

// Blocks reports how many blocks a row of cols weights takes; the last may be partly padding.
func (s Scheme) Blocks(cols int) int { return (cols + s.Block - 1) / s.Block }

// RowBytes reports how many bytes a row of cols weights takes.
func (s Scheme) RowBytes(cols int) int { return s.Blocks(cols) * s.BlockBytes() }

// Words reports how many uint32 words n codes take.
func (s Scheme) Words(n int) int { return n * s.Bits / 32 }

// Steps is the distance between the lowest and the highest code.
func (s Scheme) Steps() int { return 1<<s.Bits - 1 }

// Low is the lowest code.
func (s Scheme) Low() int {
	if s.Bits == 8 {
		return -128
	}
	return 0
}

// Pack writes the codes u+Low of one block to dst, low bits first; u counts from 0. A code of 8 bits is
// two's complement, which is u with its top bit turned over.
func (s Scheme) Pack(dst []byte, u []uint8) {
	switch s.Bits {
	case 8:
		for i, v := range u {
			dst[i] = v ^ 0x80
		}
	case 4:
		for i := range dst[:len(u)/2] {
			dst[i] = u[2*i] | u[2*i+1]<<4
		}
	case 2:
		for i := range dst[:len(u)/4] {
			dst[i] = u[4*i] | u[4*i+1]<<2 | u[4*i+2]<<4 | u[4*i+3]<<6
		}
	}
}

// Params are what the weights of a block share.
type Params struct {
	Scale float32 // a float16 value, not negative
	Zero  int8
}

// ReadParams reads the header of a block.
func ReadParams(block []byte) Params {
	return Params{Scale: FromFloat16(uint16(block[0]) | uint16(block[1])<<8), Zero: int8(block[2])}
}

// DecodeRow fills dst, one row, from its blocks. It panics if src is not RowBytes(len(dst)) long.
// The products are exact: a code less a zero-point has 9 bits, a scale 11.
func (s Scheme) DecodeRow(dst []float32, src []byte) {
	if len(src) != s.RowBytes(len(dst)) {
		panic(fmt.Sprintf("block: a row of %d weights in %v has %d bytes, not %d", len(dst), s, s.RowBytes(len(dst)), len(src)))
	}
	for ; len(dst) > 0; src = src[s.BlockBytes():] {
		n := min(s.Block, len(dst))
		s.decodeBlock(dst[:n], src[:s.BlockBytes()])
		dst = dst[n:]
	}
}

func (s Scheme) decodeBlock(dst []float32, block []byte) {
	p := ReadParams(block)
	codes := block[HeaderBytes:]
	n := s.decodeCodes(dst, codes, p)
	if dst, codes = dst[n:], codes[n*s.Bits/8:]; len(dst) > 0 {
		s.decodeCodesGo(dst, codes, p)
	}
}

// decodeCodesGo is the definition of decodeCodes; it does all of them.
func (s Scheme) decodeCodesGo(dst []float32, codes []byte, p Params) {
	if s.Bits == 8 {
		for i := range dst {
			dst[i] = float32(int(int8(codes[i]))-int(p.Zero)) * p.Scale
		}
		return
	}
	var values [16]float32 // of each code
	for q := range values {
		values[q] = float32(q-int(p.Zero)) * p.Scale
	}
	per, mask := 8/s.Bits, byte(s.Steps())
	i := 0
	for ; i+per <= len(dst); i += per {
		c := codes[i/per]
		for k := range per {
			dst[i+k] = values[c&mask]
			c >>= s.Bits
		}
	}
	for k := i; k < len(dst); k++ {
		dst[k] = values[codes[i/per]>>((k-i)*s.Bits)&mask]
	}
}

// A ScaleError says that a block has a scale that no encoder writes.
type ScaleError struct {
	Block int // in the row
	Scale float32
}

func (e *ScaleError) Error() string {
	return fmt.Sprintf("block %d: scale is %v: want a finite one that is not negative", e.Block, e.Scale)
}

// ErrNotFinite is the reason to refuse a weight that is NaN or infinite.
var ErrNotFinite = errors.New("not a finite number")

// ErrLength is the error of Check for a row of the wrong length.
var ErrLength = errors.New("wrong length")

// Check reports the first block of the row, of cols weights, whose scale is NaN, infinite or
// negative.
func (s Scheme) Check(src []byte, cols int) error {
	if len(src) != s.RowBytes(cols) {
		return fmt.Errorf("%w: %d bytes for a row of %d weights in %v: want %d", ErrLength, len(src), cols, s, s.RowBytes(cols))
	}
	for b := range s.Blocks(cols) {
		at := b * s.BlockBytes()
		bits := uint16(src[at]) | uint16(src[at+1])<<8
		if bits >= InfFloat16 { // negative values have the top bit
			return &ScaleError{Block: b, Scale: FromFloat16(bits)}
		}
	}
	return nil
}
