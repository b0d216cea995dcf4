package hf

import (
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/gguf"
)

// ggufRows are the rows of a tensor of a GGUF file. It implements values.
type ggufRows struct {
	kind *gguf.Type
	data []byte
	cols int
	// head, if not 0, is the height of a head whose rows lie in pairs: row j of the first half is row
	// 2j, that of the second half the one behind it.
	head           int
	minus          float32    // is subtracted from every value
	decay          bool       // values are −exp of what they should be
	tiles, columns *ggufTiles // order of rows, of columns
}

// at returns where a row lies.
func (v *ggufRows) at(row int) int {
	if v.tiles != nil {
		return v.tiles.at(row)
	}
	if v.head == 0 {
		return row
	}
	first, r := row/v.head*v.head, row%v.head
	if r < v.head/2 {
		return first + 2*r
	}
	return first + 2*(r-v.head/2) + 1
}

// size returns how many bytes a row has.
func (v *ggufRows) size() int { return v.cols / v.kind.Elements * v.kind.Bytes }

// row returns the bytes of a row.
func (v *ggufRows) row(row int) []byte {
	at := v.at(row) * v.size()
	return v.data[at : at+v.size()]
}

func (v *ggufRows) rows(row, n int, dst []float32) {
	decode := v.kind.Decode
	if plain := decoders[v.kind.Name]; plain != nil {
		decode = plain
	}
	if v.head == 0 && v.tiles == nil {
		at := row * v.size()
		decode(dst[:n*v.cols], v.data[at:at+n*v.size()])
	} else {
		for r := range n {
			decode(dst[r*v.cols:(r+1)*v.cols], v.row(row+r))
		}
	}
	if v.minus != 0 {
		for i := range dst[:n*v.cols] {
			dst[i] -= v.minus
		}
	}
	if v.columns != nil {
		stored := make([]float32, v.cols)
		for r := range n {
			ours := dst[r*v.cols : (r+1)*v.cols]
			copy(stored, ours)
			for c := range ours {
				ours[c] = stored[v.columns.at(c)]
			}
		}
	}
	if v.decay {
		for i, x := range dst[:n*v.cols] {
			dst[i] = float32(math.Log(-float64(x)))
		}
	}
}

// unlike says in which way the blocks are unlike ours, "" if in none.
func (v *ggufRows) unlike() string {
	ints := v.kind.Integers()
	switch {
	case v.kind.Plain():
		return ""
	case v.columns != nil:
		return "their columns lie in another order"
	case ints == nil:
		return fmt.Sprintf("blocks of %s are not whole numbers with a scale of 16 bits", v.kind.Name)
	}
	for at := 0; at < len(v.data); at += v.kind.Bytes {
		if _, _, ok := ints.Block(nil, v.data[at:at+v.kind.Bytes]); !ok {
			return fmt.Sprintf("blocks of %s begin at any value, ours at a whole number of steps from 0", v.kind.Name)
		}
	}
	return ""
}

// grid returns the rows as a matrix of integers, nil if they are none.
func (v *ggufRows) grid() *grid {
	ints := v.kind.Integers()
	if ints == nil || v.minus != 0 || v.columns != nil {
		return nil
	}
	return &grid{
		layout: ggufLayout{v, ints}, height: len(v.data) / v.size(), cols: v.cols,
		groups: v.cols / v.kind.Elements, size: v.kind.Elements, low: ints.Low, high: ints.High,
	}
}

// ggufLayout is the layout of blocks that are whole numbers.
type ggufLayout struct {
	*ggufRows
	ints *gguf.Integers
}

func (l ggufLayout) codes(row, n int, dst []int16) {
	for r := range n {
		for src := l.row(row + r); len(src) > 0; src = src[l.kind.Bytes:] {
			block := dst[:l.kind.Elements]
			if scale, zero, _ := l.ints.Block(block, src[:l.kind.Bytes]); small(scale) {
				for i, q := range block {
					block[i] = zero + int16(math.Round(float64(q-zero)*float64(scale)/leastScale))
				}
			}
			dst = dst[l.kind.Elements:]
		}
	}
}

// leastScale is the smallest that a block of ours has.
const leastScale = 0x1p-14

// small reports whether a scale is smaller. The codes of its block are then rounded for the smallest.
func small(scale float32) bool { return scale > 0 && scale < leastScale }

// rounded reports whether there is a block whose codes are.
func (v *ggufRows) rounded() bool {
	ints := v.kind.Integers()
	for at := 0; ints != nil && at < len(v.data); at += v.kind.Bytes {
		if scale, _, _ := ints.Block(nil, v.data[at:at+v.kind.Bytes]); small(scale) {
			return true
		}
	}
	return false
}

func (l ggufLayout) params(row, n int, scales []float32, zeros []int16) {
	k := 0
	for r := range n {
		for src := l.row(row + r); len(src) > 0; src = src[l.kind.Bytes:] {
			scales[k], zeros[k], _ = l.ints.Block(nil, src[:l.kind.Bytes])
			if small(scales[k]) {
				scales[k] = leastScale
			}
			k++
		}
	}
}
