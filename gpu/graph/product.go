package graph

import (
	"maps"
	"math"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Product is Out = W·In + Bias, with what becomes of it, for the tokens of a pass.
type Product struct {
	Matrix  *Matrix
	Bias    *Vector // nil: none
	In, Out Vectors
	Epilogue
}

// Epilogue is what happens to a product v: v·Scale, then softcap unless 0, then it is added or stored.
type Epilogue struct {
	Add            bool
	Scale, Softcap float32
	Gate           *Gate   // unless nil, the function between paired rows
	Next           *Vector // unless nil, the norm that reads the result: its input is to be prepared
	By             *Matrix // that multiplies what the norm makes
	HandOn         bool    // Out is wanted as limbs, too
	Loose          bool    // what reads the result next may add it up, see addends
}

// Gate is an activation v·sigmoid(Slope·v + Cubic·v³), which matvec can compute itself.
type Gate struct{ Slope, Cubic float32 }

// add adds the constants of the activation, if there is one, to those of a kernel; the named one says that there is.
func (g *Gate) add(c kernels.Consts, name string) {
	if g != nil {
		c[name], c["SLOPE"], c["CUBIC"] = 1, g.Slope, g.Cubic
	}
}

// Product records a product for the tokens of the pass.
func (r *Recorder) Product(p *Product) { r.product(p, r.Tokens()) }

// plain records out = scale·(m·in + bias).
func (r *Recorder) plain(m *Matrix, bias *Vector, in, out Vectors, scale float32) {
	r.Product(&Product{m, bias, in, out, Epilogue{Scale: scale}})
}

// product records a product for the tokens that step tells of.
func (r *Recorder) product(p *Product, step *arena.Buffer) {
	r.handed = false
	if r.tapped(p.Matrix, Inputs{Vectors: p.In}) {
		return
	}
	for _, part := range p.Matrix.Parts {
		if r.err != nil {
			return
		}
		s := Shape{part.Packing, part.Rows, part.Width, r.n}
		r.cost = Cost{part.Bytes(), 2 * uint64(s.Rows) * uint64(s.Width) * uint64(r.n)}
		if r.inInt8(s) {
			r.int8Product(p, part, s, step)
			continue
		}
		if r.inPanels(s) {
			r.fewProduct(p, part, s, step)
			continue
		}
		if r.n <= FewTokens || r.inLimbs(part) {
			r.matvec(p, part, s)
			continue
		}
		if r.byMatrices(s) {
			r.matrixProduct(p, part, s, step)
			continue
		}
		if r.inGroups(p) {
			r.groups(p, part, s)
			continue
		}
		c := part.consts()
		tile := r.choose.matmul(s, c)
		r.Dispatch("matmul", c, (s.Rows+tile["TILE_ROWS"]-1)/tile["TILE_ROWS"], (r.n+tile["TILE_TOKENS"]-1)/tile["TILE_TOKENS"],
			part.codes, r.heads(part), p.In.Buffer, r.read(p.Bias), p.Out.Buffer, r.sizesOf(p, part), step)
	}
}

// inGroups reports whether a product with more vectors than matvec takes is made by a few dispatches of it: a tile of matmul
// leaves most of a GPU idle then. Each group's vectors have to begin where a binding may.
func (r *Recorder) inGroups(p *Product) bool {
	return Grouped(r.dev.OnCPU() && !r.choose.Batch, r.n) && p.In.squares == 0 && p.Gate == nil &&
		4*FewTokens*p.In.Stride%gpu.Align == 0 && 4*FewTokens*p.Out.Stride%gpu.Align == 0
}

// groups records such a product.
func (r *Recorder) groups(p *Product, part *Part, s Shape) {
	all, cost := r.n, r.cost
	for from := 0; from < all; from += FewTokens {
		one := *p
		one.Next, one.HandOn = nil, false
		one.In.Buffer, one.Out.Buffer = rest(p.In, from), rest(p.Out, from)
		r.n = min(FewTokens, all-from)
		s.Tokens = r.n
		r.cost = Cost{cost.Bytes, cost.FLOPs * uint64(r.n) / uint64(all)}
		r.matvec(&one, part, s)
	}
	r.n = all
}

// rest is where vectors lie from a given one on.
func rest(v Vectors, from int) *arena.Buffer {
	at := uint64(4 * from * v.Stride)
	return v.Buffer.Part(at, v.Buffer.Size()-at)
}

// matvec records the product of a part with few vectors.
func (r *Recorder) matvec(p *Product, part *Part, s Shape) {
	c := part.consts()
	maps.Copy(c, kernels.Consts{"TOKENS": powerOfTwo(r.n), "NORM": flag(p.In.squares != 0), "GATED": 0, "BIAS": flag(p.Bias != nil)})
	p.Gate.add(c, "GATED")
	if r.inLimbs(part) {
		r.matvecLimbs(p, part, s, c)
		return
	}
	variant := r.choose.matvec(s)
	rows := r.rowsOf(variant, s, c)
	groups := (s.Rows + rows - 1) / rows
	next := r.unwritten
	if p.Next != nil && len(p.Matrix.Parts) == 1 && r.from == AtInput && r.takesFloats(p.By) {
		c["NEXT"], next = 1, r.next.Buffer
		r.ahead = ahead{p.Next, groups}
	}
	x, y := Grid(groups)
	r.Dispatch(variant.Kernel, c, x, y,
		part.codes, r.heads(part), p.In.Buffer, r.read(p.Next), r.read(p.Bias), p.Out.Buffer, next, r.sizesOf(p, part))
}

// rowsOf adds to c the constants of matvec, matvec_batch or a variant of matvec, and returns how many rows a
// workgroup makes.
func (r *Recorder) rowsOf(v Variant, s Shape, c kernels.Consts) int {
	if v.Kernel == "matvec_batch" {
		with := r.choose.tuned(v.Kernel, s, c, r.choose.batchDefaults(s))
		return with["ROWS"] * with["LANES"] / with["ALONG"]
	}
	rows := r.choose.tuned("matvec", s, c, r.choose.matvecDefaults(s))["ROWS"]
	for _, name := range v.Without {
		delete(c, name)
	}
	return rows
}

// sizesOf is where a product of a part finds its sizes.
func (r *Recorder) sizesOf(p *Product, part *Part) *arena.Buffer {
	return r.uniform(sizes{
		cols: part.Cols(part.Width), rows: part.Rows, xStride: p.In.Stride, yStride: p.Out.Stride, y0: part.row0,
		bias: p.Bias != nil, Epilogue: p.Epilogue, width: part.Width, eps: r.eps, squares: p.In.squares, nextStride: r.next.Stride,
	})
}

// sizes is the uniform that tells a product its sizes, so that one pipeline serves every matrix of a packing. Its
// fields are in the kernels' order.
type sizes struct {
	cols, rows, xStride, yStride, y0 int
	bias                             bool
	Epilogue
	first, here int     // of the experts
	width       int     // columns of the model
	eps         float32 // of a norm before the product
	squares     int     // workgroups' sums of squares behind x
	nextStride  int
}

// exponent23 is the exponent of 2²³ as it stands in a float32.
const exponent23 = 0x4b000000

// words returns the uniform's bytes.
func (s *sizes) words() []byte {
	return wordBytes(s.cols, s.rows, s.xStride, s.yStride, s.y0, flag(s.bias), flag(s.Add),
		int(math.Float32bits(s.Scale)), int(math.Float32bits(s.Softcap)), s.first, s.here,
		s.width, int(math.Float32bits(s.eps)), (s.squares+3)/4, s.nextStride, exponent23)
}

// uniform is where sizes lie on the device.
func (r *Recorder) uniform(s sizes) *arena.Buffer {
	if r.err != nil {
		return nil
	}
	var at *arena.Buffer
	at, r.err = r.sizes.Put(s.words())
	return at
}
