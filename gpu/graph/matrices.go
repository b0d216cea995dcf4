package graph

import (
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// MatrixKernel multiplies many vectors by subgroup matrices. Before it, split turns them into pairs of float16.
const MatrixKernel = "matmul_matrix"

const (
	leastMatrix = 32 // tokens: for fewer, matmul is as fast
	matrixStep  = 32 // columns that MatrixKernel multiplies at a time
)

// halves are the vectors of a product as MatrixKernel reads them.
type halves struct {
	both  *arena.Buffer // [tokens][hi, lo][columns] float16; nil: there are none
	units *arena.Buffer // [tokens] float32, what hi + lo is multiplied by
}

// ReserveHalves asks for the memory that products by subgroup matrices need, for a number of tokens and up to cols
// columns. Without it all products are matmul's.
func (k *Kit) ReserveHalves(tokens, cols int) {
	k.halves = halves{
		both:  k.arena.Reserve(PurposeActivations, 4*tokens*cols, gpu.Storage),
		units: k.arena.Reserve(PurposeActivations, 4*tokens, gpu.Storage),
	}
}

// matrixCols reports the most columns of a product by subgroup matrices, 0 if there is none.
func (w *Weights) matrixCols(c Choice) (cols int) {
	for _, m := range w.matrices {
		for _, p := range m.Parts {
			if c.Matrices[p.Packing] {
				cols = max(cols, p.Cols(p.Width))
			}
		}
	}
	return cols
}

// MatricesTake reports whether MatrixKernel is good for products of a shape.
func MatricesTake(s Shape) bool {
	return s.Bits <= 16 && s.Tokens >= leastMatrix && s.Cols(s.Width)%matrixStep == 0
}

// byMatrices reports whether a product is made by subgroup matrices.
func (k *Kit) byMatrices(s Shape) bool {
	return k.halves.both != nil && k.choose.Matrices[s.Packing] && MatricesTake(s)
}

// matrixDefaults are the constants of MatrixKernel where nothing better is known.
func matrixDefaults(s Shape) Tuned {
	with := Tuned{"HIGH": 4, "WIDE": 4, "DOWN": 2, "ACROSS": 2, "BUFFERS": 1}
	const large = 264 // workgroups that a large GPU runs at once
	if (s.Rows+127)/128*((s.Tokens+127)/128) <= large {
		with["ACROSS"] = 1 // half as large, for all of the GPU to be busy
	}
	return with
}

// matrixProduct records a product of a part by subgroup matrices. first says that the vectors are not split yet.
func (r *Recorder) matrixProduct(p *Product, part *Part, s Shape, first bool, step *arena.Buffer) {
	cost, at := r.cost, r.sizesOf(p, part)
	if first {
		r.cost = Cost{}
		r.Dispatch("split", part.consts(), r.n, 1, p.In.Buffer, r.halves.both, r.halves.units, at)
	}
	r.cost = cost
	c := part.Packing.consts() // split brings the activations into the order of the codes, woven or not
	tile := r.choose.tuned(MatrixKernel, s, c, matrixDefaults(s))
	high, wide := 16*tile["HIGH"]*tile["DOWN"], 16*tile["WIDE"]*tile["ACROSS"]
	r.Dispatch(MatrixKernel, c, (s.Rows+high-1)/high, (r.n+wide-1)/wide,
		part.codes, r.heads(part), r.halves.both, r.halves.units, r.read(p.Bias), p.Out.Buffer, at, step)
}

// validMatrixTile: a subgroup keeps no more sums than GPUs have registers for, and a workgroup has few subgroups.
func validMatrixTile(c Tuned, _ Shape) bool {
	return c["HIGH"]*c["WIDE"] <= 16 && c["DOWN"]*c["ACROSS"] <= 8
}
