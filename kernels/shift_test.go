package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// shiftCase drops tokens of the second of three sequences.
type shiftCase struct {
	ropeCase
	rotAt, capacity, keep, drop, n, fold int
}

// TestShift moves keys and values within a cache that has all positions, and around in one that has the last of them.
func TestShift(t *testing.T) {
	half := ropeCase{kvHeads: 2, dim: 64, rot: 64, kvBits: 16}
	part := ropeCase{kvHeads: 3, dim: 66, rot: 32, kvBits: 32, interleaved: true}
	for _, c := range []shiftCase{
		{ropeCase: half, capacity: 50, keep: 3, drop: 20, n: 43},
		{ropeCase: half, capacity: 50, keep: 0, drop: 1, n: 50, fold: 4},
		{ropeCase: part, capacity: 41, keep: 1, drop: 7, n: 40},
		{ropeCase: part, capacity: 21, keep: 1, drop: 300, n: 650, fold: 2},
		{ropeCase: half, capacity: 16, keep: 4, drop: 32, n: 70},
		{ropeCase: half, capacity: 20, keep: 2, drop: 25, n: 51, rotAt: 64},
		{ropeCase: ropeCase{kvHeads: 1, dim: 10, kvBits: 16}, capacity: 30, keep: 2, drop: 14, n: 30},
	} {
		t.Run(fmt.Sprintf("%+v", c), c.test)
	}
}

func (c shiftCase) test(t *testing.T) {
	dim := c.rotAt + c.dim
	at := func(head, slot int) int { return ((c.kvHeads+head)*c.capacity + slot) * dim } // in the second sequence
	cache := make([]uint32, 3*c.kvHeads*c.capacity*dim*c.kvBits/32)
	rng := random(uint64(c.n))
	for i := range cache {
		cache[i] = math.Float32bits(float32(rng.NormFloat64()))
		if c.kvBits == 16 {
			cache[i] = cache[i]&0x83ff83ff | 0x38003400 // of a size near 1
		}
	}
	angles := make([]float32, 1024)
	if c.rot > 0 {
		angles = c.angles()
		for i := range 256 * c.rot {
			angles[i] *= 1.3 // what a rotation may be scaled by
		}
	}
	before := slices.Clone(cache)
	fold := max(1, c.fold)
	for _, step := range []kernels.Consts{{"PARTS": 1, "ROT": 0}, {"PARTS": 0, "ROT": c.rot}} {
		step["KV_HEADS"], step["DIM"], step["CAP"], step["KV_BITS"], step["FOLD"] = c.kvHeads, dim, c.capacity, c.kvBits, fold
		step["ROT_AT"], step["INTERLEAVED"] = c.rotAt, asInt(c.interleaved)
		launch(t, "shift", step, c.kvHeads*fold, (c.capacity/2+fold)/fold, []uint32{1, uint32(c.keep), uint32(c.drop), uint32(c.n)}, angles, cache)
	}
	moved := map[int]bool{}
	for p := max(c.keep+c.drop, c.n-c.capacity); p < c.n; p++ {
		to := (p - c.drop) % c.capacity
		for h := range c.kvHeads {
			key := make([]float64, dim)
			for e := range key {
				key[e] = float64(cached(before, at(h, p%c.capacity)+e, c.kvBits))
			}
			turned, size := c.rotate(key[c.rotAt:], make([]float64, c.dim), -c.drop)
			for e, v := range append(key[:c.rotAt:c.rotAt], turned...) {
				want := value{want: v}
				if e >= c.rotAt && e < c.rotAt+c.rot {
					want.within = 16*unit*(size[e-c.rotAt]+math.Abs(v)) + math.Abs(v)*0x1p-11*float64(32-c.kvBits)/16
				}
				want.check(t, fmt.Sprintf("position %d head %d", p, h), e, cached(cache, at(h, to)+e, c.kvBits))
			}
		}
		moved[to] = true
	}
	for i := range cache {
		element := i * 32 / c.kvBits
		slot, sequence := element/dim%c.capacity, element/dim/c.capacity/c.kvHeads
		stays := sequence != 1 || c.n <= c.capacity && (slot < c.keep || slot >= c.n)
		if stays && cache[i] != before[i] {
			t.Fatalf("word %d, of slot %d of sequence %d, is changed", i, slot, sequence)
		}
	}
	if len(moved) == 0 {
		t.Error("nothing moves")
	}
}
