package graph

import (
	"maps"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Int8Kernel multiplies a few vectors by subgroup matrices of int8, reading weights once. Before it, split_int8 turns vectors
// into limbs.
const Int8Kernel = "matvec_int8"

const (
	leastInt8 = 5  // vectors: of fewer, other products are as fast
	mostInt8  = 32 // … and of more, those of FewKernel
	bothInt8  = 8  // vectors whose limbs fit into one panel
)

// Int8Takes reports whether Int8Kernel can make products of a shape: stored rows are whole steps of it, of which a thread reads
// no more than shares a scale.
func Int8Takes(s Shape) bool {
	return s.Bits <= 8 && s.Block*s.Bits >= 128 && s.Tokens >= leastInt8 && s.Tokens <= mostInt8 && s.Cols(s.Width)%(512/s.Bits) == 0
}

// inInt8 reports whether a product is made by Int8Kernel.
func (k *Kit) inInt8(s Shape) bool {
	if k.halves.both == nil || !k.choose.Int8[s.Packing] || !Int8Takes(s) {
		return false
	}
	limbs, units := int8Bytes(s)
	return k.halves.both.Size() >= uint64(limbs+units)
}

// takesInt8 reports whether products with m are made by Int8Kernel alone.
func (r *Recorder) takesInt8(m *Matrix) bool {
	return !slices.ContainsFunc(m.Parts, func(p *Part) bool { return !r.inInt8(Shape{p.Packing, p.Rows, p.Width, r.n}) })
}

// int8Bytes reports how much memory the vectors of a product take as limbs, and their units.
func int8Bytes(s Shape) (limbs, units int) {
	cols, panels := s.Cols(s.Width), (s.Tokens+panel-1)/panel
	return RoundUp((2-flag(s.Tokens <= bothInt8))*panel*panels*cols, gpu.Align), 8 * panel * panels * cols / int8Chunk(s)
}

// int8Chunk reports how many columns of the vectors of a product share a unit.
func int8Chunk(s Shape) int { return min(s.Block, 512/s.Bits) }

// int8Consts are the constants that split_int8 and Int8Kernel share.
func int8Consts(p *Part, n int) kernels.Consts {
	return kernels.Consts{"BITS": p.Bits, "BLOCK": p.Block, "COLS": p.Cols(p.Width), "WIDE": (n + panel - 1) / panel, "BOTH": flag(n <= bothInt8)}
}

// manyCores are the cores of a large GPU. Of those with matrices of int8, NVIDIA's keep about 52 KB of workgroup memory for each core, of
// which a workgroup takes what it declares and 1 KB more.
const manyCores = 132

// int8Defaults are the constants of Int8Kernel where nothing better is known: fewer where the device lacks the memory.
func (c *chooser) int8Defaults(s Shape) Tuned {
	both, high, down, along, ahead := s.Tokens <= bothInt8, 1, 2, 4, 4
	switch many, middling, wide := s.Rows > 2*fullRows, s.Rows > fullRows, s.Tokens > panel; {
	case many:
		down, along = int8Down(s), 1
	case wide && middling:
		down, along, ahead = 4, 1, 2
	case wide:
		down, along, ahead = 2-flag(s.Rows <= fullRows/2), 2, 2
	case middling && both && s.Bits == 4 && s.Rows <= 3*panel*manyCores: // three small workgroups for each core
		down, along = 1, 2
	case middling && both:
		down = 3
	case middling:
		down, along = 4, 2
	case s.Rows <= fullRows/2 || both && s.Width > 2*fullRows: // two small workgroups for each core
		down = 1
	case !both:
		high, down, ahead = 2, 1, 2
	}
	if both && s.Bits == 2 && s.Rows > fullRows/2 && s.Rows <= 2*fullRows { // whose panels are twice as large
		down, along = 2+flag(s.Rows > fullRows), 2
	}
	with := Tuned{"HIGH": high, "DOWN": down, "ALONG": along, "AHEAD": ahead}
	base := kernels.Consts{"BITS": s.Bits, "BLOCK": s.Block, "WIDE": (s.Tokens + panel - 1) / panel, "BOTH": flag(both)}
	for _, name := range []string{"DOWN", "ALONG", "DOWN", "HIGH", "ALONG", "DOWN"} {
		if with[name] > 1 && c.unfit(Int8Kernel, base, with) != nil {
			with[name] /= 2
		}
	}
	return with
}

// int8Down returns how many subgroups of a workgroup take different rows, if there are many: two or three workgroups have room in a core
// then, and all cores get about as many rows if each gets its workgroups at once.
func int8Down(s Shape) int {
	perCore := func(down int) int { // panels of rows
		return (s.Rows + panel*down*manyCores - 1) / (panel * down * manyCores) * down
	}
	switch {
	case s.Tokens > panel:
		return 8
	case s.Tokens <= bothInt8 && (s.Bits == 8 || s.Bits == 4 && s.Rows <= 16*fullRows) && perCore(7) <= perCore(4):
		return 7
	}
	return 4
}

// int8Product records the product of a part with a few vectors by subgroup matrices of int8.
func (r *Recorder) int8Product(p *Product, part *Part, s Shape, step *arena.Buffer) {
	limbs, units := r.splitInt8(p.In, part, s, step)
	if sliced {
		if v := r.slicing(s, p.loose()); v.panels > 0 {
			r.slicesProduct(p, part, s, v, limbs, units, step)
			return
		}
	}
	c := int8Consts(part, r.n)
	c["HEIGHT"], c["SQUARES"], c["BIAS"] = s.Rows, squaresOf(p.In, s), flag(p.Bias != nil)
	p.Gate.add(c, "GATED")
	with := r.choose.int8Defaults(s)
	with.add(c)
	each := panel * with["HIGH"] * with["DOWN"]
	x, y := Grid((s.Rows + each - 1) / each)
	r.Dispatch(Int8Kernel, c, x, y,
		part.codes, r.heads(part), limbs, units, r.halves.units, r.read(p.Bias), p.Out.Buffer, r.sizesOf(p, part), step)
}

// splitInt8 records the split of the vectors that step tells of for a product with a part, normalized if that is still to be done, unless they are
// split already, and returns where their limbs and the units of these are.
func (r *Recorder) splitInt8(in Vectors, p *Part, s Shape, step *arena.Buffer) (limbs, units *arena.Buffer) {
	at, size := int8Bytes(s)
	limbs, units = r.halves.both.Part(0, uint64(at)), r.halves.both.Part(uint64(at), uint64(size))
	is := splitInput{from: in.Buffer, packing: p.Packing, inOrder: p.inOrder, kernel: Int8Kernel, norm: in.norm}
	if r.splitOf == is || !r.recording() {
		return limbs, units
	}
	cost := r.cost
	r.cost = Cost{}
	c := int8Consts(p, r.n)
	maps.Copy(c, kernels.Consts{"WOVEN": flag(!p.inOrder), "WIDTH": p.Width, "STRIDE": in.Stride})
	c["LANES"] = int8Lanes
	if in.norm != nil {
		c["NORM"] = 1
	}
	parts, bias := r.unread, r.unread
	if sliced {
		if o := r.owes(in, p.Width, step); o != nil && o.product.Add && step == r.Tokens() {
			parts, bias = r.take(o, c)
			c["SCALE"] = o.product.Scale
		}
	}
	r.Dispatch("split_int8", c, r.n, int8Splits(s), in.Buffer, r.read(in.norm), parts, bias, limbs, units, r.halves.units, step)
	r.cost, r.splitOf = cost, is
	return limbs, units
}

// int8Lanes are the threads of a workgroup of split_int8, each for four elements of a vector.
const int8Lanes = 256

// int8Splits reports among how many workgroups split_int8 divides a vector of a product.
func int8Splits(s Shape) int { return (s.Cols(s.Width)/4 + int8Lanes - 1) / int8Lanes }

// squaresOf reports how many sums of squares of each vector split_int8 leaves for a product, in vec4: none if there is no norm.
func squaresOf(in Vectors, s Shape) int { return flag(in.norm != nil) * ((int8Splits(s) + 3) / 4) }
