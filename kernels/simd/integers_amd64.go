package simd

import (
	"math"
	"unsafe"
)

// multiplyIntegers sets y to the rows at w times the arranged x.
func (m *Packed) multiplyIntegers(n integral, y []float32, w []byte, x []float32) {
	size, at := m.RowBytes(m.Cols), (*byte)(unsafe.Pointer(&x[0]))
	if quads := len(y) / 4; quads > 0 {
		n.products(&y[0], &w[0], size, at, quads, Pad(ahead, 4*size))
	}
	for i := len(y) &^ 3; i < len(y); i++ { // taken four times
		var four [4]float32
		n.products(&four[0], &w[i*size], 0, at, 1, 0)
		y[i] = four[0]
	}
}

// products calls the body for four rows at a time.
func (n integral) products(y *float32, w *byte, stride int, x *byte, quads, ahead int) {
	more := n.singles
	if n.together == 1 {
		more = n.registers
	}
	switch [2]int{8 / n.codes, n.together} {
	case [2]int{8, 1}:
		integers8x1(y, w, stride, x, quads, n.groups, more, ahead)
	case [2]int{8, 2}:
		integers8x2(y, w, stride, x, quads, n.groups, more, ahead)
	case [2]int{4, 1}:
		integers4x1(y, w, stride, x, quads, n.groups, more, ahead)
	case [2]int{4, 2}:
		integers4x2(y, w, stride, x, quads, n.groups, more, ahead)
	case [2]int{4, 4}:
		integers4x4(y, w, stride, x, quads, n.groups, more, ahead)
	case [2]int{2, 1}:
		integers2x1(y, w, stride, x, quads, n.groups, more, ahead)
	case [2]int{2, 2}:
		integers2x2(y, w, stride, x, quads, n.groups, more, ahead)
	case [2]int{2, 4}:
		integers2x4(y, w, stride, x, quads, n.groups, more, ahead)
	}
}

// arrange writes x to dst, of n.floats() numbers.
func (n integral) arrange(dst, x []float32) {
	for i := range n.groups + n.singles {
		group, together := dst[i*n.size()/4:][:n.size()/4], n.together
		if i >= n.groups {
			together = 1
			clear(group)
		}
		n.group(group, x[:min(len(x), together*n.block)], together)
		x = x[min(len(x), together*n.block):]
	}
}

// group writes a group of so many blocks together; columns behind x are 0.
func (n integral) group(dst, x []float32, together int) {
	const lanes = register / 4
	var last [256]float32
	for b := range together {
		block := x[min(len(x), b*n.block):]
		if len(block) < n.block {
			clear(last[copy(last[:], block):])
			block = last[:]
		}
		most := extent(block[:n.block])
		per := float32(0) // also for NaN
		if most > 0 {
			per = n.largest() / most
		}
		steps := dst[lanes:][b*lanes/together : (b+1)*lanes/together]
		for i := range steps {
			steps[i] = most / n.largest()
		}
		n.split(dst[2*lanes:], block[:n.block], b, per)
	}
	negativeSums(&dst[0], n.registers*n.codes)
}

// split writes the limbs of x·per, a block, which is number b of its group.
func (n integral) split(dst, x []float32, b int, per float32) {
	const columns = 16 // of codes at the same place of a byte, which are written at a time
	for r := range n.registers {
		part := x[r*register*n.codes:]
		pieces := min(register, n.block/n.codes) / columns
		at := dst[r*n.codes*limbs*register/4+b*n.block/n.codes/4:]
		to := (*byte)(unsafe.Pointer(&at[0]))
		switch n.codes {
		case 1:
			split8(to, &part[0], pieces, per)
		case 2:
			split4(to, &part[0], pieces, per)
		default:
			split2(to, &part[0], pieces, per)
		}
	}
}

// extent returns the largest magnitude in x, whose length is a multiple of 16; NaN, if there is one.
func extent(x []float32) float32 { return math.Float32frombits(extentAVX512(&x[0], len(x))) }

//go:noescape
func extentAVX512(x *float32, n int) uint32

// split8 writes the limbs of pieces·16 columns times per, the low ones to dst, the others a register and two registers
// further on. split4 and split2 write twice and four times as many: those of the second codes of a byte lie three
// registers behind those of the first.
//
//go:noescape
func split8(dst *byte, x *float32, pieces int, per float32)

//go:noescape
func split4(dst *byte, x *float32, pieces int, per float32)

//go:noescape
func split2(dst *byte, x *float32, pieces int, per float32)

// negativeSums writes the first register of a group that has n·limbs registers of limbs.
//
//go:noescape
func negativeSums(group *float32, n int)

// The bodies are explained in integers_amd64.s.

//go:noescape
func integers8x1(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)

//go:noescape
func integers8x2(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)

//go:noescape
func integers4x1(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)

//go:noescape
func integers4x2(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)

//go:noescape
func integers4x4(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)

//go:noescape
func integers2x1(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)

//go:noescape
func integers2x2(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)

//go:noescape
func integers2x4(y *float32, w *byte, stride int, x *byte, quads, groups, more, ahead int)
