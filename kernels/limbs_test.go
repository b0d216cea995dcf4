package kernels_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

const limit = 16319 // LIMIT in shared/limbs.wgsl

// limbsSize is how many words a vector takes as limbs, in planes of so many blocks.
func limbsSize(blocks int) int { return 20 * blocks }

// toLimbs makes limbs of a vector, with the squares of its elements.
func toLimbs(x []float32, blocks int) []uint32 {
	words := make([]uint32, limbsSize(blocks))
	for b := 0; 32*b < len(x); b++ {
		own := x[32*b : min(len(x), 32*b+32)]
		var most, squares float64
		for _, v := range own {
			most, squares = max(most, math.Abs(float64(v))), squares+float64(v)*float64(v)
		}
		unit := float32(most / limit)
		sum := 0
		for i, v := range own {
			whole := int(math.RoundToEven(float64(v) / max(float64(unit), 1e-30)))
			hi := (whole + 64) >> 7
			at := (i/16*blocks+b)*4 + i%16/4
			words[at] |= uint32(uint8(hi)) << (i % 4 * 8)
			words[at+8*blocks] |= uint32(uint8(whole-128*hi)) << (i % 4 * 8)
			sum += whole
		}
		head := (4*blocks + b) * 4
		words[head], words[head+1], words[head+2] = bits(unit), uint32(int32(sum)), bits(float32(squares))
	}
	return words
}

// checkLimbs compares limbs with the vector that they stand for: each element within half a unit, each sum exactly. squares
// are those of the elements before a norm's weights, nil if nothing reads them.
func checkLimbs(t *testing.T, what string, words []uint32, blocks int, want, squares []float32) {
	t.Helper()
	for b := 0; 32*b < len(want); b++ {
		head := (4*blocks + b) * 4
		unit := float64(math.Float32frombits(words[head]))
		var most, size float64
		sum := 0
		for i := 32 * b; i < min(len(want), 32*b+32); i++ {
			at := (i%32/16*blocks+b)*4 + i%16/4
			limb := func(at int) int { return int(int8(words[at] >> (i % 4 * 8))) }
			whole := 128*limb(at) + limb(at+8*blocks)
			sum += whole
			most = max(most, math.Abs(float64(want[i])))
			v := value{float64(want[i]), unit*(0.5+limit*8*ulp) + 1e-30}
			v.check(t, what, i, float32(unit*float64(whole)))
			if squares != nil {
				size += float64(squares[i]) * float64(squares[i])
			}
		}
		if most < 1e-30 {
			most = 0
		}
		value{most / limit, 4 * ulp * most / limit}.check(t, what+": unit", b, float32(unit))
		if int32(words[head+1]) != int32(sum) {
			t.Fatalf("%s: block %d: sum %d, want %d", what, b, int32(words[head+1]), sum)
		}
		if squares != nil {
			value{size, 40 * unit64 * size}.check(t, what+": squares", b, math.Float32frombits(words[head+2]))
		}
	}
}

const unit64 = 0x1p-24 // relative error of a sum

// TestLimbs turns vectors into limbs: also one with a block of zeros, and one that ends within a block.
func TestLimbs(t *testing.T) {
	for _, width := range []int{32, 33, 300, 2050} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			stride, blocks := roundUp(width, 256), roundUp(width, 256)/32
			x := normals(random(uint64(width)), 2*stride, 0, 3)
			clear(x[stride : stride+32])
			x[5] = 1e4
			g := normals(random(9), stride, 1, 0.3)
			for scaled := range 2 {
				next := make([]uint32, 2*limbsSize(blocks))
				launch(t, "limbs", kernels.Consts{"WIDTH": width, "STRIDE": stride, "SCALED": scaled}, stride/256, 2, x, g, next)
				for i := range 2 {
					row := x[i*stride:][:width]
					made := slices.Clone(row)
					for k := range scaled * width {
						made[k] *= g[k]
					}
					checkLimbs(t, "limbs", next[i*limbsSize(blocks):], blocks, made, row)
				}
			}
		})
	}
}

// TestMatvecLimbs tests fused products of limbs, on a device that has what they need.
func TestMatvecLimbs(t *testing.T) {
	for i, c := range []fusedCase{
		{packing: codes(4, 128), rows: 70, width: 300, tokens: 1, norm: true, scale: 1},
		{packing: codes(2, 32), rows: 7, width: 65, tokens: 2, norm: true, bias: true, add: true, scale: 0.5},
		{packing: codes(8, 256), rows: 130, width: 513, tokens: 4, norm: true, gate: silu, scale: 1},
		{packing: codes(4, 32), rows: 64, width: 2100, tokens: 2, gate: geluTanh, bias: true, scale: 1},
		{packing: codes(2, 256), rows: 40, width: 255, tokens: 1, bias: true, add: true, next: true, scale: 0.1, softcap: 2},
		{packing: codes(8, 32), rows: 261, width: 130, tokens: 1, norm: true, add: true, next: true, scale: 1},
	} {
		t.Run(c.String(), func(t *testing.T) { c.testLimbs(t, "matvec_dot4", 1+i%2, 1+i/2%2) })
		if c.packing.bits == 2 {
			t.Run("halves/"+c.String(), func(t *testing.T) { c.testLimbs(t, "matvec_dot4_halves", 2-i%2, 1+i/2%2) })
		}
	}
}

func (c fusedCase) testLimbs(t *testing.T, kernel string, depth, turns int) {
	cols, made := c.cols(c.width), c.rows
	consts := c.consts()
	next := asInt(c.next)
	if c.gate != plain {
		made, next = made/2, 2
		consts["GATED"] = 1
		if c.gate == geluTanh {
			consts["SLOPE"], consts["CUBIC"] = 1.5957691216057308, 1.5957691216057308*0.044715
		}
	}
	const each, along, lanes = 64, 32, 256
	consts["COLS"], consts["WIDTH"], consts["HEIGHT"], consts["TOKENS"], consts["DEPTH"] = cols, c.width, c.rows, c.tokens, depth
	consts["ROWS"], consts["TURNS"], consts["ALONG"], consts["LANES"] = each*along/lanes/turns, turns, along, lanes
	consts["NORM"], consts["NEXT"] = asInt(c.norm), next
	k, err := kernels.Specialize(kernel, consts)
	if err != nil {
		t.Fatal(err)
	}
	if !open(t).Features().Runs(k) {
		return // it has been specialized; other devices run it
	}
	rng := random(uint64(c.rows * c.width))
	rest, values := c.packing.rows(rng, c.rows, c.width)
	w, h := c.inOrder().planes(rest, c.rows, c.width)
	blocks, outBlocks := roundUp(c.width, 256)/32, roundUp(made, 256)/32
	x := normals(rng, c.tokens*c.width, 0, 1)
	var in []uint32
	for i := range c.tokens {
		in = append(in, toLimbs(x[i*c.width:(i+1)*c.width], blocks)...)
	}
	y, out := filled(c.tokens*made), make([]uint32, c.tokens*limbsSize(outBlocks))
	g, b := normals(rng, c.rows, 1, 0.3), normals(rng, c.rows, 0, 1)
	launchKernel(t, k, (c.rows+each-1)/each, 1, w, h, in, g, b, y, out, shape{
		cols: cols, rows: c.rows, width: c.width, yStride: made, bias: c.bias, add: c.add, scale: c.scale, softcap: c.softcap, eps: fusedEps,
	}.words())
	for i, got := range y {
		own := x[i/made*c.width:][:c.width]
		var squares float32
		for _, v := range own {
			squares += v * v
		}
		c.finish(func(r int) value { return c.ofLimbs(values, r, own, squares, float64(b[r])) }, i%made).check(t, "y", i, got)
	}
	for i := range c.tokens {
		switch own, words := y[i*made:][:made], out[i*limbsSize(outBlocks):]; next {
		case 1:
			scaled := make([]float32, made)
			for j, v := range own {
				scaled[j] = v * g[j]
			}
			checkLimbs(t, "next", words, outBlocks, scaled, own)
		case 2:
			checkLimbs(t, "next", words, outBlocks, own, nil)
		}
	}
}

// ofLimbs is product for an input in limbs: its elements may be off by half a unit.
func (c fusedCase) ofLimbs(values []float32, r int, x []float32, squares float32, bias float64) value {
	v := c.product(values, r, x, []float32{squares}, bias)
	var off float64
	for k := range c.width {
		var most float64
		for _, e := range x[k&^31 : min(len(x), k|31+1)] {
			most = max(most, math.Abs(float64(e)))
		}
		off += math.Abs(float64(values[r*c.width+k])) * most / limit / 2
	}
	if c.norm {
		off /= math.Sqrt(float64(squares)/float64(c.width) + fusedEps)
	}
	return value{v.want, v.within + off*(1+8*ulp)}
}

// TestEmbedLimbs looks tokens up and prepares them for a norm: also rows that end within a block.
func TestEmbedLimbs(t *testing.T) {
	for _, p := range []packing{codes(4, 128), codes(8, 32), codes(2, 256)} {
		for _, width := range []int{300, 512} {
			t.Run(fmt.Sprint(p, width), func(t *testing.T) {
				const rows, scale = 9, 0.5
				ids := []uint32{7, 0}
				stride, blocks, cols := roundUp(width, 256), roundUp(width, 256)/32, p.cols(width)
				rest, values := p.rows(random(uint64(width)), rows, width)
				w, h := p.inOrder().planes(rest, rows, width)
				g := normals(random(9), width, 1, 0.3)
				c := p.inOrder().consts()
				maps.Copy(c, kernels.Consts{"COLS": cols, "WIDTH": width, "OUT": rows, "X_STRIDE": stride, "SCALE": scale, "NEXT": 1})
				x, next := make([]float32, len(ids)*stride), make([]uint32, len(ids)*limbsSize(blocks))
				launch(t, "embed", c, len(ids), (cols+255)/256, w, h, []uint32{ids[0], 0, 0, 0, ids[1], 0, 0, 0}, x, g, next)
				for i, id := range ids {
					got, made := x[i*stride:][:width], make([]float32, width)
					for k := range got {
						if want := scale * values[int(id)*width+k]; got[k] != want {
							t.Fatalf("row %d, element %d: got %v, want %v", i, k, got[k], want)
						}
						made[k] = got[k] * g[k]
					}
					checkLimbs(t, "next", next[i*limbsSize(blocks):], blocks, made, got)
				}
			})
		}
	}
}
