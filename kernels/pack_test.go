package kernels_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// packing is how weights are stored: bits per weight, and weights per block; floats have no blocks.
type packing struct {
	bits, block int
	ordered     bool // see shared/layout.wgsl: not woven
}

// inOrder returns the packing with the codes of a row in the order of its columns.
func (p packing) inOrder() packing {
	p.ordered = true
	return p
}

var f32, f16 = packing{bits: 32}, packing{bits: 16}

func codes(bits, block int) packing { return packing{bits: bits, block: block} }

// packings are all packings.
var packings = func() []packing {
	all := []packing{f32, f16}
	for _, bits := range []int{8, 4, 2} {
		for _, block := range []int{32, 64, 128, 256} {
			all = append(all, codes(bits, block))
			if block > 128/bits {
				all = append(all, codes(bits, block).inOrder())
			}
		}
	}
	return all
}()

func (p packing) String() string {
	if p.ordered {
		return fmt.Sprintf("%d.%d.ordered", p.bits, p.block)
	}
	return fmt.Sprintf("%d.%d", p.bits, p.block)
}

// consts are the constants that tell a kernel the packing.
func (p packing) consts() kernels.Consts {
	if p.block == 0 {
		return kernels.Consts{"BITS": p.bits, "BLOCK": 128 / p.bits} // a vector
	}
	c := kernels.Consts{"BITS": p.bits, "BLOCK": p.block}
	if p.ordered {
		c["WOVEN"] = 0
	}
	return c
}

// cols reports how many columns are stored for a matrix of this width: whole blocks, whole vec4<u32>, whole
// steps of matmul.
func (p packing) cols(width int) int { return roundUp(width, max(p.block, 128/p.bits, 16)) }

func (p packing) scheme() block.Scheme { return block.Scheme{Bits: p.bits, Block: p.block} }

// rowBytes reports the bytes of a row in the bundle.
func (p packing) rowBytes(width int) int {
	if p.block == 0 {
		return width * p.bits / 8
	}
	return p.scheme().RowBytes(width)
}

// rows makes up rows as a bundle has them, and what they decode to. Codes and zero-points are arbitrary; scales and
// plain weights are zero or normal and of moderate size, as encoders write them.
func (p packing) rows(rng *rand.Rand, n, width int) (rest []byte, values []float32) {
	values = make([]float32, n*width)
	for r := range n {
		row, out := make([]byte, p.rowBytes(width)), values[r*width:(r+1)*width]
		for i := range row {
			row[i] = byte(rng.Uint32())
		}
		switch {
		case p.bits == 32:
			for i := range out {
				out[i] = float32(rng.NormFloat64())
				binary.LittleEndian.PutUint32(row[4*i:], bits(out[i]))
			}
		case p.bits == 16:
			for i := range out {
				h := block.Float16(float32(rng.NormFloat64()))
				out[i] = block.FromFloat16(h)
				binary.LittleEndian.PutUint16(row[2*i:], h)
			}
		default:
			for b := range p.scheme().Blocks(width) {
				h := block.Float16(0.01 + rng.Float32()/16)
				if rng.IntN(8) == 0 {
					h = 0
				}
				binary.LittleEndian.PutUint16(row[b*p.scheme().BlockBytes():], h)
			}
			p.scheme().DecodeRow(out, row)
		}
		rest = append(rest, row...)
	}
	return rest, values
}

// planes is the expected output of repack for rows of a bundle: codes and heads of each row, zero past the last
// block or float. Codes and zero-points of 8 bits are shifted to start at 0.
func (p packing) planes(rest []byte, n, width int) (w, h []uint32) {
	cols := p.cols(width)
	words := cols * p.bits / 32
	w = make([]uint32, n*words)
	put := func(r, k int, code uint32) {
		k = p.stored(k)
		at := k * p.bits % 32
		if p.bits < 8 {
			at = k%4*8 + k/4%(8/p.bits)*p.bits
		}
		w[r*words+k*p.bits/32] |= code << at
	}
	for r := range n {
		row := rest[r*p.rowBytes(width):][:p.rowBytes(width)]
		if p.block == 0 {
			for k := range width {
				if p.bits == 32 {
					put(r, k, binary.LittleEndian.Uint32(row[4*k:]))
				} else {
					put(r, k, uint32(binary.LittleEndian.Uint16(row[2*k:])))
				}
			}
			continue
		}
		heads := make([]uint32, cols/p.block)
		for b := range p.scheme().Blocks(width) {
			record := row[b*p.scheme().BlockBytes():][:p.scheme().BlockBytes()]
			shift := 0
			if p.bits == 8 {
				shift = 128
			}
			zero := int16(int(int8(record[2])) + shift)
			heads[b] = uint32(binary.LittleEndian.Uint16(record)) | uint32(uint16(zero))<<16
			for k := range p.block {
				code := record[3+k*p.bits/8] >> (k * p.bits % 8) & byte(1<<p.bits-1)
				put(r, b*p.block+k, uint32(byte(int(code)+shift)))
			}
		}
		h = append(h, heads...)
	}
	return w, h
}

// stored reports where in a stored row the weight of column k is: the four-column quads of a block are
// interleaved across its vectors of 128 bits, unless they lie in order.
func (p packing) stored(k int) int {
	vec := 128 / p.bits // weights of a vector
	if p.block <= vec || p.ordered {
		return k
	}
	share, at := p.block/vec, k%p.block
	quad := at / 4
	return k - at + (quad%share)*vec + quad/share*4 + at%4
}

// words32 pads bytes of a bundle to whole words, and by the one word that repack may read past the end.
func words32(b []byte) []uint32 {
	b = append(slices.Clone(b), make([]byte, 4+-len(b)&3)...)
	w := make([]uint32, len(b)/4)
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return w
}

// repack runs the kernel on rows of a bundle that go to row0, row0+step, … of w and h.
func (p packing) repack(t *testing.T, rest []byte, n, width, row0, step int, w, h []uint32) {
	t.Helper()
	cols, heads := p.cols(width), any(h)
	threads := n * cols * p.bits / 32
	if p.block == 0 {
		heads = nil
	} else {
		threads += n * cols / p.block
	}
	groups := (threads + 63) / 64
	chunk := []uint32{uint32(width), uint32(cols), uint32(n), uint32(row0), uint32(step)}
	launch(t, "repack", p.consts(), min(groups, 65535), (groups+65534)/65535, words32(rest), w, heads, chunk)
}

// TestRepackEmbed repacks rows of a bundle into planes and looks rows up in them. Every step is exact:
// a code minus a zero-point has 9 bits and a scale 11, so the product fits into a float32, and the
// scales of the lookup are powers of two.
func TestRepackEmbed(t *testing.T) {
	for i, p := range packings {
		for j, width := range []int{1 + 2*i, 257 + 12*i} {
			rows := 3 + 2*((i+j)%4)
			t.Run(fmt.Sprintf("%v/%dx%d", p, rows, width), func(t *testing.T) {
				testRepackEmbed(t, p, rows, width, (i+j)%4)
			})
		}
	}
}

func testRepackEmbed(t *testing.T, p packing, rows, width, mode int) {
	rng := random(uint64(100*p.bits + width))
	rest, values := p.rows(rng, rows, width)
	wantW, wantH := p.planes(rest, rows, width)
	w, h := make([]uint32, len(wantW)), make([]uint32, len(wantH))
	for i := range w {
		w[i] = ^uint32(0) // all of it must be overwritten
	}
	for i := range h {
		h[i] = ^uint32(0)
	}
	first := rows/2 + 1 // rows of the first chunk
	at := first * p.rowBytes(width)
	if mode == 3 { // the rows of two chunks alternate
		var even, odd []byte
		for r := range rows {
			row := rest[r*p.rowBytes(width):][:p.rowBytes(width)]
			if r%2 == 0 {
				even = append(even, row...)
			} else {
				odd = append(odd, row...)
			}
		}
		p.repack(t, even, (rows+1)/2, width, 0, 2, w, h)
		p.repack(t, odd, rows/2, width, 1, 2, w, h)
	} else {
		p.repack(t, rest[:at], first, width, 0, 1, w, h)
		p.repack(t, rest[at:], rows-first, width, first, 1, w, h)
	}
	if !slices.Equal(w, wantW) || !slices.Equal(h, wantH) {
		t.Fatal("repack: the planes differ from their definition")
	}
	testEmbed(t, p, w, h, values, rows, width, mode)
}

// testEmbed looks up rows in two parts of a matrix that is cut after its first rows.
func testEmbed(t *testing.T, p packing, w, h []uint32, values []float32, rows, width, mode int) {
	stride, field, add := width+mode, mode%2, mode/2
	scale := math.Ldexp(1, mode-1)
	ids := []int{rows - 1, 0, rows / 2, rows - 1, rows + 5} // the last one is in neither part, or is taken for 0
	known := mode % 2 * rows
	tokens := make([]uint32, 4*len(ids))
	for i, id := range ids {
		for f := range 2 { // the other field is a row too, but a different one
			tokens[4*i+f] = uint32((id + 1) % rows)
		}
		tokens[4*i+field] = uint32(id)
	}
	x := filled(len(ids) * stride)
	want := slices.Clone(x)
	for i, id := range ids {
		switch {
		case id >= rows && known == 0:
			continue
		case id >= rows:
			id = 0
		}
		for k := range width {
			v := float32(scale) * values[id*width+k]
			if add == 1 {
				v += untouched
			}
			want[i*stride+k] = v
		}
	}
	wordsOf, headsOf := len(w)/rows, len(h)/rows
	for _, part := range [][2]int{{rows / 2, rows}, {0, rows / 2}} { // a row too many would remain
		c := p.consts()
		for name, v := range map[string]any{
			"COLS": p.cols(width), "WIDTH": width, "ROW0": part[0], "OUT": part[1] - part[0],
			"X_STRIDE": stride, "FIELD": field, "ADD": add, "SCALE": scale, "KNOWN": known,
		} {
			c[name] = v
		}
		heads := any(h[part[0]*headsOf : part[1]*headsOf])
		if p.block == 0 {
			heads = nil
		}
		launch(t, "embed", c, len(ids), (p.cols(width)+255)/256, w[part[0]*wordsOf:part[1]*wordsOf], heads, tokens, x, nil, nil)
	}
	for i := range x {
		if x[i] != want[i] {
			t.Fatalf("embed: row %d, element %d: got %v, want %v", i/stride, i%stride, x[i], want[i])
		}
	}
}

// TestRepackLarge needs more workgroups than one dimension allows.
func TestRepackLarge(t *testing.T) {
	p := f32
	const rows, width = 1025, 4096
	rest := make([]byte, 4*rows*width)
	for i := range rows * width {
		binary.LittleEndian.PutUint32(rest[4*i:], uint32(i)*2654435761)
	}
	w := make([]uint32, rows*width)
	p.repack(t, rest, rows, width, 0, 1, w, nil)
	for i, v := range w {
		if v != uint32(i)*2654435761 {
			t.Fatalf("word %d: got %#x", i, v)
		}
	}
}
