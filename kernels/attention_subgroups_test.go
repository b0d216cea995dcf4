package kernels_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// subgroupsKernel returns attention_subgroups with these constants for heads of this size: as it is, with as many threads in a
// subgroup as the device has at least, if its heads need no more, else emulated with the number wanted.
func subgroupsKernel(t *testing.T, dim, size int, c kernels.Consts) kernels.Kernel {
	t.Helper()
	span := 1
	for span < dim/8 {
		span *= 2
	}
	c = maps.Clone(c)
	delete(c, "VALUE")
	dev := open(t)
	real := dev.Features().SubgroupSize
	native := dev.Features().Subgroups && real >= span && (real >= 8 || c["LIMBS"] == 0)
	if native {
		size = real
	}
	c["DIM"], c["SPAN"], c["SIZE"] = dim, span, size
	c["LANES"], c["EACH"] = max(size, c["LANES"].(int)), min(c["EACH"].(int), span)
	const name = "attention_subgroups"
	k, err := kernels.Specialize(name, c)
	if err == nil && !native {
		k, err = kernels.Parse(name, gputest.EmulateShuffles(t, name, "."), c)
		k.Key = c.Key("emulated")
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// runSubgroups runs attention_subgroups over its inputs, up to the sinks: its result goes to, and as limbs to next, if those are
// wanted. If it joins parts, their words are zero again after each run.
func runSubgroups(t *testing.T, dim, n int, c kernels.Consts, inputs []any, to []float32, next []uint32) {
	t.Helper()
	c = maps.Clone(c)
	all := []any{to}
	if c["LIMBS"] == 1 {
		all = append(all, next)
	}
	queries, splits := c["QUERIES"].(int), c["SPLITS"].(int)
	var parts any
	var words []uint32
	if c["JOIN"] == 1 {
		words = make([]uint32, n*c["HEADS"].(int)/queries*(splits*queries*(dim+2)+1))
		parts = words
	}
	for limbs, result := range all {
		c["LIMBS"] = limbs
		launchKernel(t, subgroupsKernel(t, dim, 32, c), c["HEADS"].(int)/queries*splits, n, append(slices.Clone(inputs), parts, result)...)
		if i := slices.IndexFunc(words, func(w uint32) bool { return w != 0 }); i >= 0 {
			t.Errorf("word %d of parts is %#x after they were joined", i, words[i])
		}
	}
}

// TestAttentionSubgroups holds queries that are turned already to the definition of attention, and parts that the kernel joins to
// those that attention_join does.
func TestAttentionSubgroups(t *testing.T) {
	for _, c := range append(slices.Clone(inParts), []partsCase{
		{
			attentionCase: attentionCase{heads: 6, kvHeads: 2, dim: 32, cap: 700, window: 566, chunk: 512, softcap: 50, spread: 3, positions: []int{10, 128, 600, 1023}, sinks: []float32{-30, 0, 2, 9, 1, -90}},
			splits:        16, shared: 3, lanes: 128, each: 4,
		},
		{
			attentionCase: attentionCase{heads: 3, kvHeads: 3, dim: 8, cap: 2000, window: 2000, spread: 1, positions: []int{0, 5, 1999}, alibi: 8},
			splits:        64, shared: 1, lanes: 64, each: 1,
		},
		{
			attentionCase: attentionCase{heads: 8, kvHeads: 1, dim: 128, cap: 900, window: 900, spread: 100, positions: []int{888}},
			splits:        9, shared: 4, lanes: 128, each: 4,
		},
	}...) {
		c.kvBits = 16
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			testAttention(t, c.attentionCase, func(t *testing.T, consts kernels.Consts, n int, rows []uint32, q []float32, kc, vc []uint32, o []float32) {
				inputs := []any{rows, q, nil, nil, kc, vc, c.sinksOr()}
				joined := kernels.Consts{}
				c.join(t, consts, n, o, func(consts kernels.Consts, to []float32, next []uint32) {
					consts["X_STRIDE"], consts["TURN"] = consts["Q_STRIDE"], 0
					delete(consts, "Q_STRIDE")
					runSubgroups(t, c.dim, n, consts, inputs, to, next)
					maps.Copy(joined, consts)
				})
				if c.splits == 1 {
					return
				}
				joined["JOIN"], joined["LIMBS"] = 1, asInt(c.dim%32 == 0)
				got, blocks := slices.Clone(o), joined["O_STRIDE"].(int)/32
				next := make([]uint32, n*limbsSize(blocks))
				runSubgroups(t, c.dim, n, joined, inputs, got, next)
				for i, want := range o {
					if d := math.Abs(float64(got[i] - want)); !(d <= 1e-6*(1+math.Abs(float64(want)))) {
						t.Fatalf("element %d: %v, but %v of attention_join", i, got[i], want)
					}
				}
				for i := range n * asInt(c.dim%32 == 0) {
					checkLimbs(t, "limbs", next[i*limbsSize(blocks):], blocks, got[32*i*blocks:][:c.heads*c.dim], nil)
				}
			})
		})
	}
}

// TestAttentionSubgroupsTurned compares the kernel with rope and attention_split, for tokens of two sequences.
func TestAttentionSubgroupsTurned(t *testing.T) {
	for _, c := range append(slices.Clone(turned), []tokenCase{
		{heads: 4, kvHeads: 2, dim: 32, rot: 0, cap: 100, window: 90, position: 97, shared: 2, splits: 4, lanes: 64, each: 2},
		{heads: 8, kvHeads: 2, dim: 128, rot: 128, cap: 700, window: 700, position: 600, shared: 4, splits: 4, lanes: 64, each: 8},
	}...) {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { c.testSubgroups(t) })
	}
}

func (c tokenCase) testSubgroups(t *testing.T) {
	width := (c.heads + 2*c.kvHeads) * c.dim
	x := normals(random(uint64(c.rot)), 2*width, 0, 1)
	addends, bias := apart(x, width, 3)
	heads, turn, core := c.consts()
	core["LIMBS"] = 0
	sinks, angles := normals(random(3), c.heads, 0, 1), c.angles()
	both := func() attentionInputs {
		in := c.inputs()
		in.rows = append(in.rows, 7, uint32(c.position/2), 0, 0)
		in.o = filled(2 * len(in.o))
		return in
	}
	joined := func(in attentionInputs) []float32 {
		if c.splits == 1 {
			return in.o
		}
		o := filled(2 * c.heads * c.dim)
		launch(t, "attention_join", kernels.Consts{"HEADS": c.heads, "DIM": c.dim, "SPLITS": c.splits, "O_STRIDE": len(o) / 2}, c.heads, 2, in.o, o, nil)
		return o
	}
	in, q := both(), filled(2*c.heads*c.dim)
	launch(t, "rope", together(heads, turn, kernels.Consts{"X_STRIDE": width, "Q_STRIDE": len(q) / 2}), c.heads+2*c.kvHeads, 2,
		in.rows, x, angles, nil, q, in.kc, in.vc)
	launch(t, "attention_split", together(heads, core, kernels.Consts{"Q_STRIDE": len(q) / 2}), c.heads/c.shared*c.splits, 2,
		in.rows, q, in.kc, in.vc, sinks, in.o, in.next)
	want := joined(in)
	for join := range 1 + asInt(c.splits > 1) {
		for _, from := range []struct {
			x, b   []float32
			consts kernels.Consts
		}{
			{x, nil, nil},
			{addends, nil, kernels.Consts{"ADDENDS": 4}},
			{addends[16*width:], bias, kernels.Consts{"ADDENDS": 3, "BIAS": 1}},
		} {
			got := both()
			consts := together(heads, turn, core, kernels.Consts{"X_STRIDE": width, "JOIN": join}, from.consts)
			runSubgroups(t, c.dim, 2, consts, []any{got.rows, from.x, from.b, angles, got.kc, got.vc, sinks}, got.o, nil)
			o := got.o
			if join == 0 {
				o = joined(got)
			}
			if !slices.Equal(in.kc, got.kc) || !slices.Equal(in.vc, got.vc) {
				t.Errorf("%v: keys and values are not those that rope appends", from.consts)
			}
			for i, w := range want {
				if d := math.Abs(float64(w - o[i])); !(d <= 1e-5) {
					t.Fatalf("joined by itself: %v, %v: element %d: %v, want %v", join == 1, from.consts, i, o[i], w)
				}
			}
		}
	}
}

// apart returns what adds up to vectors of this width, exactly and in any order: for as many as 16 of them bias, and then several addends.
func apart(x []float32, width, count int) (addends, bias []float32) {
	rng := random(7)
	addends = filled((count + 1) * 16 * width)
	for range width {
		bias = append(bias, float32(rng.IntN(64)-32)/8)
	}
	for t := range len(x) / width {
		for i := range width {
			at := t*width + i
			x[at] = float32(math.Round(float64(x[at])*1024)) / 1024
			rest := x[at] - bias[i]
			addends[at] = bias[i]
			for a := 1; a < count; a++ {
				v := float32(rng.IntN(64)-32) / 16
				addends[a*16*width+at] = v
				rest -= v
			}
			addends[count*16*width+at] = rest
		}
	}
	return addends, bias
}

// TestAttentionSubgroupsChunks compares the heads that the kernel stores for matvec_int8 with what split_int8 makes of them.
func TestAttentionSubgroupsChunks(t *testing.T) {
	for _, c := range []struct {
		tokenCase
		bits, block, both int
	}{
		{tokenCase{heads: 2, kvHeads: 1, dim: 128, rot: 128, cap: 40, window: 40, position: 33, shared: 1, lanes: 128, each: 4}, 4, 128, 1},
		{tokenCase{heads: 4, kvHeads: 2, dim: 64, rot: 64, cap: 64, window: 64, position: 20, shared: 2, lanes: 128, each: 2}, 4, 128, 0},
		{tokenCase{heads: 4, kvHeads: 2, dim: 64, rot: 64, cap: 64, window: 64, position: 7, shared: 1, lanes: 64, each: 2}, 8, 128, 1},
		{tokenCase{heads: 4, kvHeads: 2, dim: 128, rot: 128, cap: 64, window: 64, position: 50, shared: 2, lanes: 128, each: 2}, 2, 256, 0},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			c.splits = 1
			heads, turn, core := c.consts()
			in, cols, width := c.inputs(), c.heads*c.dim, (c.heads+2*c.kvHeads)*c.dim
			in.rows = append(in.rows, 7, uint32(c.position/2), 0, 0)
			chunk := min(c.block, 512/c.bits)
			limbs, units := make([]uint32, 16*(2-c.both)*cols/4), make([]float32, cols/chunk*32)
			o, next := filled(2*cols), make([]uint32, len(limbs)+len(units))
			for kind, result := range map[int]any{0: o, 2: next} {
				core["LIMBS"] = kind
				k := subgroupsKernel(t, c.dim, 32, together(heads, turn, core, kernels.Consts{"X_STRIDE": width, "BITS": c.bits, "UNIT_COLS": chunk, "BOTH": c.both, "UNITS": len(limbs)}))
				launchKernel(t, k, c.heads/c.shared, 2, in.rows, normals(random(1), 2*width, 0, 1), nil, c.angles(), in.kc, in.vc, nil, nil, result)
			}
			launch(t, "split_int8", kernels.Consts{"BITS": c.bits, "BLOCK": c.block, "WOVEN": 0, "COLS": cols, "WIDTH": cols, "STRIDE": cols, "BOTH": c.both},
				2, (cols+1023)/1024, o, nil, nil, nil, limbs, units, nil, []uint32{2, 0, 0, 0})
			for _, u := range units {
				limbs = append(limbs, math.Float32bits(u))
			}
			if !slices.Equal(next, limbs) {
				t.Errorf("what is stored is not what split_int8 makes of the heads")
			}
		})
	}
}
