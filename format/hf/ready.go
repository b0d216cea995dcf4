package hf

import (
	"fmt"
	"math"

	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// Rounded is what Ready says of values that fit blocks except for rounding.
const Rounded = "scales and zero-points are rounded to those of blocks, which moves no weight by more than an eighth of a step"

// Least is what Ready says of values that fit blocks, except for blocks with smaller scales than ours can have.
const Least = "blocks whose scales are smaller than a block may have are rounded for the smallest, as from any weights"

// closeness is how far, in steps of blocks, a value may be from that of a block: rounding it anew would
// move it by up to half a step.
const closeness = 1 / 8.

// Ready reports whether tensor i can be stored without loss in blocks of integers of the given width,
// each with block columns, a float16 scale that is 0 or normal, and an int8 zero-point. If it cannot,
// although it is quantized, why gives the reason. If it can, why is "", or Rounded if a value may differ
// by an eighth of a step, or Least.
func (c *Checkpoint) Ready(i, bits, block int) (ok bool, why string) {
	err := mapped.Reading(func() error {
		ok, why = c.ready(i, bits, block)
		return nil
	})
	if err != nil {
		return false, err.Error()
	}
	return ok, why
}

func (c *Checkpoint) ready(i, bits, block int) (ok bool, why string) {
	rounded := ""
	merged := len(c.bound[i].changes) > 0
	for k := range c.bound[i].parts {
		p := &c.bound[i].parts[k]
		g, why := p.grid(), p.unlike()
		switch {
		case g == nil || why != "":
			return false, why
		case merged:
			return false, "an adapter is merged into them"
		case c.bound[i].adjusted():
			return false, "they are scaled when they are read"
		}
		if why := g.fits(bits, block); why != "" {
			return false, why
		}
		exact, why := g.scalesFit(bits)
		if why != "" {
			return false, why
		}
		if !exact {
			rounded = Rounded
		}
		if v, ok := p.values.(*ggufRows); ok && v.rounded() {
			rounded = Least
		}
	}
	return true, rounded
}

// Group reports how many successive columns of tensor i share a scale in the checkpoint; 0 if it was not quantized, or
// not in groups of columns.
func (c *Checkpoint) Group(i int) int {
	size := 0
	for k := range c.bound[i].parts {
		g := c.bound[i].parts[k].grid()
		if g == nil || g.group != nil || size != 0 && g.size != size {
			return 0
		}
		size = g.size
	}
	return size
}

// grid returns a quantized matrix as one of integers, nil if it is none.
func (p *part) grid() *grid {
	switch v := p.values.(type) {
	case *grid:
		return v
	case interface{ grid() *grid }:
		return v.grid()
	}
	return nil
}

// unlike says in which way the blocks of a quantized matrix are unlike ours, "" if in none.
func (p *part) unlike() string {
	if v, ok := p.values.(interface{ unlike() string }); ok {
		return v.unlike()
	}
	return ""
}

// codeRange returns the codes that a block of the given width has.
func codeRange(bits int) (low, high int) {
	if bits == 8 {
		return -128, 127
	}
	return 0, 1<<bits - 1
}

// shift returns what must be added to a code, and to a zero-point, to make it a code of a block.
func (g *grid) shift(bits int) (add int, ok bool) {
	low, high := codeRange(bits)
	if g.high > high {
		add = high - g.high
	}
	return add, g.low+add >= low
}

// fits says what keeps codes and groups from being those of blocks, "" if nothing does.
func (g *grid) fits(bits, block int) string {
	if _, ok := g.shift(bits); !ok {
		why := fmt.Sprintf("their codes %d to %d do not fit in %d bits", g.low, g.high, bits)
		if _, ok := g.shift(8); ok && g.high-g.low < 64 {
			why += ", but in 8"
		}
		return why
	}
	for c := range g.cols {
		if c%block == 0 || g.at(c) == g.at(c-1) {
			continue
		}
		if g.group != nil {
			return "their columns are in act-order: the columns of a group do not lie together"
		}
		return fmt.Sprintf("their groups of %d do not fill blocks of %d", g.size, block)
	}
	return ""
}

// inexact is what layouts implement whose zero-points are no whole numbers.
type inexact interface {
	// fractions fills dst, [n][groups], with how far zero-points are from those that params returns.
	fractions(row, n int, dst []float32)
}

// scalesFit says what keeps scales and zero-points from being those of blocks, and whether these are
// exactly the same.
func (g *grid) scalesFit(bits int) (exact bool, why string) {
	const step = 64
	scales, zeros, fractions := make([]float32, step*g.groups), make([]int16, step*g.groups), make([]float32, step*g.groups)
	exact = true
	for row := 0; row < g.height; row += step {
		n := min(step, g.height-row)
		g.params(row, n, scales[:n*g.groups], zeros[:n*g.groups])
		if f, ok := g.layout.(inexact); ok {
			f.fractions(row, n, fractions[:n*g.groups])
		}
		for i, s := range scales[:n*g.groups] {
			if s != 0 && !(s >= 0x1p-14) && g.silent(row+i/g.groups, i%g.groups, zeros[i]) {
				continue
			}
			same, why := g.scaleFits(bits, s, int(zeros[i]), fractions[i])
			if why != "" {
				return false, why
			}
			exact = exact && same
		}
	}
	return exact, ""
}

// scaleFits is scalesFit for a group.
func (g *grid) scaleFits(bits int, scale float32, zero int, fraction float32) (exact bool, why string) {
	add, _ := g.shift(bits)
	reach := max(g.high-zero, zero-g.low)
	half := float16.Fromfloat32(scale).Float32()
	if scale != 0 && !(half >= 0x1p-14 && float32(reach)*half <= 65504) {
		return false, "some of their scales are none that a block may have"
	}
	if z := zero + add; z < -128 || z > 127 {
		return false, "some of their zero-points are none that a block may have"
	}
	if half == scale && fraction == 0 {
		return true, ""
	}
	width := float64(g.high-g.low) / float64(int(1)<<bits-1) // of a step of blocks, in steps of the grid
	moved := math.Abs(float64(fraction)) + float64(reach)*math.Abs(float64(half/scale)-1)
	if !(moved <= closeness*width) {
		return false, "with scales and zero-points rounded to those of blocks, weights would move by more than an eighth of a step"
	}
	return false, ""
}

// silent reports whether all values of a group are 0, whatever its scale.
func (g *grid) silent(row, group int, zero int16) bool {
	codes := make([]int16, g.cols)
	g.codes(row, 1, codes)
	for c, q := range codes {
		if g.at(c) == group && q != zero {
			return false
		}
	}
	if f, ok := g.layout.(inexact); ok {
		fractions := make([]float32, g.groups)
		f.fractions(row, 1, fractions)
		return fractions[group] == 0
	}
	return true
}

// Blocks fills dst with rows row0 to row0+n−1 of a tensor that is Ready for blocks of this kind: for
// each block the scale, the zero-point and the codes, low bits first. The codes that pad the last
// block of a row are its zero-point, within the range of codes.
func (c *Checkpoint) Blocks(i, bits, block, row0, n int, dst []byte) error {
	b, t := &c.bound[i], &c.tensors[i]
	size := ceil(b.cols, block) * (3 + block*bits/8)
	if row0 < 0 || n < 0 || row0 > t.Rows()-n || len(dst) != n*size {
		return fmt.Errorf("tensor %q: rows %d–%d of %d into %d bytes of %d", t.Name, row0, row0+n, t.Rows(), len(dst), n*size)
	}
	return mapped.Reading(func() error {
		for n > 0 {
			run := min(n, b.rows-row0%b.rows)
			b.pieces(row0/b.rows, row0%b.rows, run, func(p *part, first, at, n int) {
				p.grid().blocks(first+at, n, bits, block, dst[:n*size])
				dst = dst[n*size:]
			})
			row0, n = row0+run, n-run
		}
		return nil
	})
}

// blocks writes rows row to row+n−1.
func (g *grid) blocks(row, n, bits, block int, dst []byte) {
	codes := make([]int16, n*g.cols)
	scales, zeros := make([]float32, n*g.groups), make([]int16, n*g.groups)
	g.codes(row, n, codes)
	g.params(row, n, scales, zeros)
	add, _ := g.shift(bits)
	size := 3 + block*bits/8
	for r := range n {
		for c := 0; c < g.cols; c += block {
			k := r*g.groups + g.at(c)
			put(dst[:size], codes[r*g.cols+c:r*g.cols+min(c+block, g.cols)], scales[k], int(zeros[k])+add, add, bits)
			dst = dst[size:]
		}
	}
}

// put writes one block.
func put(dst []byte, codes []int16, scale float32, zero, add, bits int) {
	if !(scale >= 0x1p-14) { // all values are 0
		clear(dst)
		return
	}
	s := float16.Fromfloat32(scale).Bits()
	dst[0], dst[1], dst[2] = byte(s), byte(s>>8), byte(zero)
	dst = dst[3:]
	low, high := codeRange(bits)
	per, mask := 8/bits, 1<<bits-1
	whole := len(codes) / per
	for i := range whole {
		b := 0
		for j, q := range codes[i*per : (i+1)*per] {
			b |= (int(q) + add) & mask << (j * bits)
		}
		dst[i] = byte(b)
	}
	for i := whole * per; i < len(dst)*per; i++ {
		q := min(max(zero, low), high)
		if i < len(codes) {
			q = int(codes[i]) + add
		}
		if i%per == 0 {
			dst[i/per] = 0
		}
		dst[i/per] |= byte(q & mask << (i % per * bits))
	}
}
