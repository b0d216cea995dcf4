package graph

import (
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// joinKernel adds up what workgroups for different parts of the columns have made of a product, if what reads it does not.
const joinKernel = "matvec_join"

const mostAddends = 8 // of a product whose reader adds them up

// addends are a product of which the device has made several, each of a part of the columns: [count][vectors, whole panels][rows] float32
// in halves.parts. The norm before the product is applied to them. Their sum, and all that comes after it, is still to be made: by the
// kernel that reads it next, if it can, or else by joinKernel. They are kept until the next dispatch.
type addends struct {
	product *Product
	part    *Part
	count   int
	n       int           // vectors
	step    *arena.Buffer // that the product was told of
}

// owe says that a product of a part of its matrix was left in addends.
func (r *Recorder) owe(p *Product, part *Part, count int, step *arena.Buffer) {
	if r.recording() {
		r.owed = &addends{p, part, count, r.n, step}
	}
}

// settle records the sum of addends that nothing has taken. In a browser there are none.
func (r *Recorder) settle() {
	if !sliced || r.owed == nil {
		return
	}
	o := r.owed
	r.owed = nil
	const lanes = 256
	p, cost := o.product, r.cost
	r.cost = Cost{}
	c := kernels.Consts{"PARTS": o.count, "HEIGHT": o.part.Rows, "WIDE": (o.n + panel - 1) / panel, "LANES": lanes, "BIAS": flag(p.Bias != nil)}
	rows := o.part.Rows
	if p.Gate != nil {
		p.Gate.add(c, "GATED")
		rows /= 2
	}
	r.Dispatch(joinKernel, c, (rows+lanes-1)/lanes, o.n, r.halves.parts, r.read(p.Bias), p.Out.Buffer, r.sizesOf(p, o.part))
	r.cost = cost
}

// owes returns the addends of v, unless it is added up already or cannot be by what reads it.
func (r *Recorder) owes(v Vectors, width int, step *arena.Buffer) *addends {
	o := r.owed
	if o == nil || o.count > mostAddends || o.step != step || o.part.Rows != width || width%4 != 0 || len(o.product.Matrix.Parts) > 1 ||
		o.product.Out.Buffer != v.Buffer || o.product.Out.Stride != v.Stride || o.product.Gate != nil || o.product.Softcap != 0 {
		return nil
	}
	return o
}

// take says that the next dispatch adds up the addends, tells its kernel so, and returns where they and the bias are.
func (r *Recorder) take(o *addends, c kernels.Consts) (parts, bias *arena.Buffer) {
	r.owed = nil
	c["ADDENDS"], c["BIAS"] = o.count, flag(o.product.Bias != nil)
	return r.halves.parts, r.read(o.product.Bias)
}

// loose reports whether what reads a product is expected to add it up, so that it may be left in addends without another dispatch.
func (p *Product) loose() bool {
	return p.Loose && p.Gate == nil && p.Softcap == 0 && len(p.Matrix.Parts) == 1 && p.Matrix.Parts[0].Rows%4 == 0
}

// addedUpAhead reports whether what comes after a branch of a layer is expected to add up its last product: what splits vectors for the
// product with a matrix, unless it is of another pass or another norm reads them first.
func (r *layers) addedUpAhead(y *model.Layer, by *Matrix) bool {
	return by != nil && by != r.g.w.Head && !y.Parallel && r.normedInSplit(by) && r.takesInt8(by)
}
