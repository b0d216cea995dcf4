package graph

import (
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// MatrixKernel multiplies many vectors by subgroup matrices, and expertMatrixKernel those that are sorted by expert. Before
// them, split turns vectors into pairs of float16, and normalizes them if nothing else did.
const (
	MatrixKernel       = "matmul_matrix"
	expertMatrixKernel = "matmul_matrix_experts"

	attentionMatrixKernel = "attention_matrix" // of many tokens, where their products are made by subgroup matrices
)

const (
	leastMatrix = 32 // tokens: for fewer, matmul is as fast
	matrixStep  = 32 // columns that MatrixKernel multiplies at a time
)

// ofSplits are the kernels after which vectors are still split as they were.
var ofSplits = []string{MatrixKernel, expertMatrixKernel, FewKernel, Int8Kernel, SlicesKernel, joinKernel}

// halves are the vectors of a product as MatrixKernel reads them.
type halves struct {
	both  *arena.Buffer // [vectors][hi, lo][columns] float16; nil: there are none
	units *arena.Buffer // [vectors] float32, what hi + lo is multiplied by; or sums of squares that split_int8 stores
	parts *arena.Buffer // see addends
}

// ReserveHalves asks for the memory that products by subgroup matrices need, for a number of vectors and of elements.
// Without it all products are matmul's.
func (k *Kit) ReserveHalves(vectors, elements int) {
	k.halves = halves{
		both:  k.arena.Reserve(PurposeActivations, 4*elements, gpu.Storage),
		units: k.arena.Reserve(PurposeActivations, 16*(vectors+elements/(16*int8Lanes)+1), gpu.Storage),
	}
}

// reserveHalves asks for what the products of n tokens need.
func (g *Graph) reserveHalves(n int) {
	var vectors, elements int
	var few []Shape
	count := func(m *Matrix, n int) {
		if m == nil {
			return
		}
		for _, p := range m.Parts {
			if g.opts.Choice.Matrices[p.Packing] {
				vectors, elements = max(vectors, n), max(elements, n*p.Cols(p.Width))
			}
			if g.opts.Choice.Int8[p.Packing] {
				few = append(few, Shape{p.Packing, p.Rows, p.Width, min(n, mostInt8)})
			}
		}
	}
	for _, m := range g.w.matrices {
		count(m, n)
	}
	for i := range g.w.Layers {
		if m := &g.spec.Layer(i).MLP; m.Experts > 0 {
			count(g.w.Layers[i].ExpertDown, n*m.TopK)
		}
	}
	if vectors > 0 {
		g.ReserveHalves(vectors, elements)
		g.ReserveParts(few...)
	}
}

// splitInput is what the last dispatch of split has read.
type splitInput struct {
	from    *arena.Buffer
	packing Packing // whose order the elements have
	inOrder bool
	kernel  string  // that it is for
	norm    *Vector // that it has applied, or nil
}

// split records the split of n vectors for a product with a part, normalized if that is still to be done, unless they are split
// already.
func (r *Recorder) split(in Vectors, p *Part, n int, at *arena.Buffer) {
	is := splitInput{from: in.Buffer, packing: p.Packing, inOrder: p.inOrder, kernel: MatrixKernel, norm: in.norm}
	if r.splitOf == is || !r.recording() {
		return
	}
	cost := r.cost
	r.cost = Cost{}
	c := p.consts()
	if cols := p.Cols(p.Width); cols >= 2048 && !r.dev.OnCPU() { // a vector has one workgroup
		lanes := powerOfTwo(min(cols/8, 1024))
		for lanes > r.dev.Limits().MaxInvocations {
			lanes /= 2
		}
		c["LANES"] = lanes
	}
	if in.norm != nil {
		c["NORM"] = 1
	}
	r.Dispatch("split", c, n, 1, in.Buffer, r.read(in.norm), r.halves.both, r.halves.units, at)
	r.cost, r.splitOf = cost, is
}

// MatricesTake reports whether MatrixKernel is good for products of a shape.
func MatricesTake(s Shape) bool {
	return s.Bits <= 16 && s.Tokens >= leastMatrix && s.Cols(s.Width)%matrixStep == 0
}

// byMatrices reports whether a product is made by subgroup matrices.
func (k *Kit) byMatrices(s Shape) bool {
	return k.halves.both != nil && k.choose.Matrices[s.Packing] && MatricesTake(s)
}

// takesMatrices reports whether products with m are made by MatrixKernel alone.
func (r *Recorder) takesMatrices(m *Matrix) bool {
	if m == nil {
		return false
	}
	for _, p := range m.Parts {
		if s := (Shape{p.Packing, p.Rows, p.Width, r.n}); r.inInt8(s) || r.inPanels(s) || !r.byMatrices(s) {
			return false
		}
	}
	return true
}

// matrixDefaults are the constants of MatrixKernel where nothing better is known. NVIDIA's GPUs keep 64 KB of workgroup memory
// for each core, so that two large tiles fit, or three others.
func (c *chooser) matrixDefaults(s Shape, fine bool) Tuned {
	const full = 264 // large tiles that all cores of a large GPU are busy with
	tile := Tuned{"HIGH": 4, "WIDE": 2, "DOWN": 2, "ACROSS": 2, "BUFFERS": 1, "DEPTH": 16}
	switch {
	case c.dev.Limits().MaxWorkgroupBytes < 24<<10:
		tile["ACROSS"] = 1
	case !fine && (s.Rows+127)/128*((s.Tokens+127)/128) > full:
		tile["WIDE"] = 4
	}
	return tile
}

// matrixProduct records a product of a part by subgroup matrices.
func (r *Recorder) matrixProduct(p *Product, part *Part, s Shape, step *arena.Buffer) {
	at := r.sizesOf(p, part)
	r.split(p.In, part, r.n, at)
	c := part.Packing.consts() // split brings the activations into the order of the codes, woven or not
	fine := p.Matrix.fine && s.Bits < 16
	if fine {
		c["FINE"] = 1
	}
	p.Gate.add(c, "GATED")
	tile := r.choose.tuned(MatrixKernel, s, c, r.choose.matrixDefaults(s, fine))
	high, wide := 16*tile["HIGH"]*tile["DOWN"], 16*tile["WIDE"]*tile["ACROSS"]
	r.Dispatch(MatrixKernel, c, (r.n+wide-1)/wide, (s.Rows+high-1)/high,
		part.codes, r.heads(part), r.halves.both, r.halves.units, r.read(p.Bias), p.Out.Buffer, at, step)
}

// validMatrixTile: a subgroup keeps no more sums than GPUs have registers for, and a workgroup has few subgroups.
func validMatrixTile(c Tuned, _ Shape) bool {
	return c["HIGH"]*c["WIDE"] <= 16 && c["DOWN"]*c["ACROSS"] <= 8
}
