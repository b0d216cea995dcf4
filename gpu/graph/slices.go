package graph

import (
	"math"
	"runtime"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// SlicesKernel is Int8Kernel with the activations in registers. If there are too few rows to keep a GPU busy, several
// workgroups share the columns of a row, whose results are then added up.
const SlicesKernel = "matvec_slices"

const (
	sliceCount    = 4                         // subgroups of a workgroup, each for 128 columns
	mostSliced    = 8                         // panels of rows that a workgroup has registers for
	slicesPerCore = 2                         // workgroups that a core has registers for
	slicedBytes   = 2 * sliceCount * 16 * 144 // of workgroup memory
)

var slicedPacking = Packing{Bits: 4, Block: 128} // that SlicesKernel reads

// sliced is whether SlicesKernel is used at all: it would make the WebAssembly of a page too large.
const sliced = runtime.GOOS != "js"

// slicing is how SlicesKernel divides a product: panels of rows for each workgroup, and parts of the columns. No panels: it does not make
// the product.
type slicing struct{ panels, parts int }

// SlicesTake reports whether SlicesKernel makes products of a shape, on a device that has the memory.
func SlicesTake(s Shape) bool { return sliced && slicingOf(s, false).panels > 0 }

// slicingOf chooses the division that should take a large GPU the shortest time, unless Int8Kernel should be faster. Times are in units of
// 0.4 µs, as an H200 takes them: a workgroup's turn 2 for the activations and 2 for each panel, its beginning and end 12, each part 1 for what
// adds it up, and the dispatch that does so 8, unless the product may be left loose. WebGPU does not say how many cores a device has: one
// with fewer divides products the same way, which is right, but may not be the fastest.
func slicingOf(s Shape, loose bool) (best slicing) {
	steps := s.Cols(s.Width) / 128
	if s.Tokens <= panel || s.Packing != slicedPacking || steps%sliceCount > 0 || !Int8Takes(s) {
		return best
	}
	const groupsAtOnce = slicesPerCore * manyCores
	rows, turns, least := (s.Rows+panel-1)/panel, steps/sliceCount, int8Time(s, steps)
	for parts := 1; parts <= turns; parts++ {
		if turns%parts > 0 {
			continue
		}
		join := 0
		if parts > 1 {
			join = parts
			if !loose || parts > mostAddends {
				join += 8
			}
		}
		for panels := 1; panels <= mostSliced; panels++ {
			waves := ((rows+panels-1)/panels*parts + groupsAtOnce - 1) / groupsAtOnce
			if time := waves*(turns/parts*(2*panels+2)+12) + join; time < least {
				best, least = slicing{panels, parts}, time
			}
		}
	}
	return best
}

// int8Time estimates what Int8Kernel takes for more than 16 vectors, in the same units: 1 or 2 for a step. Where there are many rows, it
// always takes longer than SlicesKernel.
func int8Time(s Shape, steps int) int {
	switch {
	case s.Rows > 2*fullRows:
		return math.MaxInt
	case s.Rows > fullRows:
		return 2*steps + 5
	}
	return steps + 5
}

// bytes are those of the sums of several parts.
func (v slicing) bytes(s Shape) int {
	if v.parts <= 1 {
		return 0
	}
	return 4 * v.parts * RoundUp(s.Tokens, panel) * s.Rows
}

// slicing returns how SlicesKernel divides a product, without panels if the device or the graph lacks the memory for it.
func (k *Kit) slicing(s Shape, loose bool) slicing {
	v := slicingOf(s, loose)
	parts := k.halves.parts
	if k.dev.Limits().MaxWorkgroupBytes < slicedBytes || v.parts > 1 && (parts == nil || parts.Size() < uint64(v.bytes(s))) {
		return slicing{}
	}
	return v
}

// ReserveParts asks for the memory that products of shapes need if SlicesKernel divides their columns into parts.
func (k *Kit) ReserveParts(shapes ...Shape) {
	if !sliced {
		return
	}
	bytes := 0
	for _, s := range shapes {
		bytes = max(bytes, slicingOf(s, false).bytes(s), slicingOf(s, true).bytes(s))
	}
	if bytes > 0 {
		k.halves.parts = k.arena.Reserve(PurposeActivations, bytes, gpu.Storage)
	}
}

// slicesProduct records the product of a part with vectors that splitInt8 has split.
func (r *Recorder) slicesProduct(p *Product, part *Part, s Shape, v slicing, limbs, units, step *arena.Buffer) {
	c := int8Consts(part, r.n)
	delete(c, "BOTH")
	c["HEIGHT"], c["SQUARES"], c["BIAS"] = s.Rows, squaresOf(p.In, s), flag(p.Bias != nil && v.parts == 1)
	c["PANELS"], c["PARTS"], c["AHEAD"] = v.panels, v.parts, 2-v.panels%2
	out := p.Out.Buffer
	if v.parts > 1 {
		out = r.halves.parts
	} else {
		p.Gate.add(c, "GATED")
	}
	each := panel * v.panels
	x, y := Grid((s.Rows + each - 1) / each * v.parts)
	r.Dispatch(SlicesKernel, c, x, y,
		part.codes, r.heads(part), limbs, units, r.halves.units, r.read(p.Bias), out, r.sizesOf(p, part), step)
	if v.parts > 1 {
		r.owe(p, part, v.parts, step)
	}
}
