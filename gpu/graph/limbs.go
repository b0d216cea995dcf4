package graph

import (
	"encoding/binary"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// limbsTokens is how many vectors there can be as limbs: more are multiplied faster by other kernels.
const limbsTokens = MaxBatch

// limbsAtOnce is how many of them a workgroup takes: as many as it has memory for the sums of.
func (c *chooser) limbsAtOnce() int {
	if c.dev.Limits().MaxWorkgroupBytes < 32<<10 {
		return FewTokens / 2
	}
	return FewTokens
}

// InLimbs takes the place of a number of sums of squares if limbs were prepared for a norm: limbs contain such sums.
const InLimbs = -1

// limbsWords reports how many uint32 a vector of this width takes as limbs, see limbs.wgsl.
func limbsWords(width int) int { return Stride(width) / 32 * 20 }

// ReserveLimbs asks for room for vectors of this width as limbs.
func ReserveLimbs(a *arena.Arena, purpose string, width int) *arena.Buffer {
	return a.Reserve(purpose, 4*limbsTokens*limbsWords(width), gpu.Storage)
}

// InLimbs returns v with a place for the same vectors as limbs.
func (v Vectors) InLimbs(at *arena.Buffer) Vectors {
	v.limbs = at
	return v
}

// Limbs reports whether any of the kernels takes its inputs as limbs.
func (c *Choice) Limbs() bool {
	for _, v := range c.Variants {
		if v.limbs() {
			return true
		}
	}
	return false
}

// takesLimbs reports whether products with m take their inputs as limbs alone; takesFloats, as floats alone. Of no matrix
// the latter is true.
func (r *Recorder) takesLimbs(m *Matrix) bool { return m != nil && r.partsInLimbs(m) == len(m.Parts) }

func (r *Recorder) takesFloats(m *Matrix) bool {
	return m == nil || r.partsInLimbs(m)+r.partsSplit(m) == 0
}

func (r *Recorder) partsInLimbs(m *Matrix) int {
	n := 0
	for _, p := range m.Parts {
		n += flag(r.inLimbs(p))
	}
	return n
}

// partsSplit counts the parts of m whose products split vectors themselves.
func (r *Recorder) partsSplit(m *Matrix) int {
	n := 0
	for _, p := range m.Parts {
		s := Shape{p.Packing, p.Rows, p.Width, r.n}
		n += flag(r.inInt8(s) || r.inPanels(s))
	}
	return n
}

// inLimbs reports whether products with a part take their inputs as limbs.
func (r *Recorder) inLimbs(p *Part) bool {
	s := Shape{p.Packing, p.Rows, p.Width, r.n}
	return p.inOrder && r.choose.Variants[p.Packing].limbs() && r.n <= limbsTokens && !r.byMatrices(s) && !r.inPanels(s) && !r.inInt8(s)
}

// prepared returns the input of a product that normalizes it, as the product before has prepared it; squares as in Body.
func (r *Recorder) prepared(squares int) Vectors {
	v := r.next.Prepared(squares)
	v.ready = squares == InLimbs
	return v
}

// matvecLimbs records the product of a part with few vectors as limbs. c has the constants that matvec has as well.
func (r *Recorder) matvecLimbs(p *Product, part *Part, s Shape, c kernels.Consts) {
	p.In = r.ToLimbs(p.In, s.Width)
	delete(c, "WOVEN")
	next, whole := r.unwritten, len(p.Matrix.Parts) == 1 && r.from == AtInput
	switch {
	case whole && p.Next != nil && r.takesLimbs(p.By):
		c["NEXT"], next = 1, r.next.limbs
		r.ahead = ahead{p.Next, InLimbs}
	case whole && p.HandOn:
		c["NEXT"], next = 2, p.Out.limbs
		r.handed = true
	}
	c["COLS"], c["WIDTH"], c["HEIGHT"] = s.Cols(s.Width), s.Width, s.Rows
	with := r.choose.limbsDefaults(s, p.Gate != nil, next != r.unwritten)
	with.add(c)
	each := with["ROWS"] * with["LANES"] / with["ALONG"] * max(1, with["TURNS"])
	most := r.choose.limbsAtOnce()
	sets := (r.n + most - 1) / most
	c["TOKENS"], c["SETS"] = min(powerOfTwo(r.n), most), sets
	x, y := Grid((s.Rows + each - 1) / each * sets)
	r.Dispatch(limbsKernelOf(s), c, x, y,
		part.codes, r.heads(part), p.In.limbs, r.read(p.Next), r.read(p.Bias), p.Out.Buffer, next, r.sizesOf(p, part))
}

// limbsKernelOf names the kernel that multiplies vectors as limbs. One vector and codes of two bits are faster by halves.
func limbsKernelOf(s Shape) string {
	if s.Bits == 2 && s.Tokens == 1 {
		return "matvec_dot4_halves"
	}
	return LimbsKernel
}

// ToLimbs records how vectors become limbs, unless they are, and returns them as such.
func (r *Recorder) ToLimbs(v Vectors, width int) Vectors {
	if v.ready {
		return v
	}
	cost := r.cost
	r.cost = Cost{}
	r.limbs(v, nil, v.limbs, width)
	r.cost, v.ready = cost, true
	return v
}

// limbs records how vectors become limbs, times the weights of a norm if there is one.
func (r *Recorder) limbs(v Vectors, norm *Vector, to *arena.Buffer, width int) {
	r.Dispatch("limbs", kernels.Consts{"WIDTH": width, "STRIDE": v.Stride, "SCALED": flag(norm != nil)}, (Stride(width)+255)/256, r.n,
		v.Buffer, r.read(norm), to)
}

// normedAsLimbs reports whether the product with m, the only reader of a norm's result, normalizes it if it comes as limbs.
func (r *layers) normedAsLimbs(m *Matrix) bool {
	return r.tap == nil && r.g.spec.Norm.Kind == model.RMSNorm && r.takesLimbs(m)
}

// FromLimbs returns the elements of a vector that is stored as limbs, and the sum of the squares stored after it.
func FromLimbs(raw []byte, width int) (elements []float32, squares float64) {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(raw[4*i:]) }
	float := func(i int) float64 { return float64(math.Float32frombits(word(i))) }
	blocks := Stride(width) / 32
	for i := range width {
		block, quad := i/32, i%32/4
		at := (quad/4*blocks+block)*4 + quad%4
		limb := func(at int) int { return int(int8(word(at) >> (i % 4 * 8))) }
		head := (4*blocks + block) * 4
		elements = append(elements, float32(float(head)*float64(128*limb(at)+limb(at+8*blocks))))
		if i%32 == 0 {
			squares += float(head + 2)
		}
	}
	return elements, squares
}
