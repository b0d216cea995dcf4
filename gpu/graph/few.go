package graph

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// FewKernel multiplies a few vectors by subgroup matrices, reading weights once. Before it, split_panels turns vectors into
// pairs of float16, 16 × 16 of them together.
const FewKernel = "matvec_matrix"

const (
	leastPanels = 9        // vectors: of fewer, products of limbs or floats are as fast
	mostPanels  = MaxBatch // … and of more, MatrixKernel
	panel       = 16       // vectors of a panel
)

// PanelsTake reports whether FewKernel is good for products of a shape: stored rows are whole steps of it.
func PanelsTake(s Shape) bool {
	return s.Bits < 16 && s.Tokens >= leastPanels && s.Tokens <= mostPanels && s.Cols(s.Width)%(512/s.Bits) == 0
}

// inPanels reports whether a product is made by FewKernel.
func (k *Kit) inPanels(s Shape) bool {
	return k.halves.both != nil && k.choose.Matrices[s.Packing] && PanelsTake(s) &&
		k.halves.both.Size() >= uint64(4*RoundUp(s.Tokens, panel)*s.Cols(s.Width))
}

// takesPanels reports whether products with m are made by FewKernel or Int8Kernel alone.
func (r *Recorder) takesPanels(m *Matrix) bool {
	if m == nil {
		return false
	}
	for _, p := range m.Parts {
		if s := (Shape{p.Packing, p.Rows, p.Width, r.n}); !r.inPanels(s) && !r.inInt8(s) {
			return false
		}
	}
	return true
}

// fewDefaults are the constants of FewKernel where nothing better is known. kinds is 2 where weights lie in two float16.
func (c *chooser) fewDefaults(s Shape, kinds int) Tuned {
	with := Tuned{"HIGH": 2, "ALONG": 4, "BUFFERS": 1}
	if s.Rows <= 2*fullRows { // for all of a large GPU to be busy
		with["ALONG"] = 8
	}
	bytes := func() int { return with["ALONG"] * (with["HIGH"]*kinds*with["BUFFERS"]*2304 + 1024) }
	for _, name := range []string{"BUFFERS", "ALONG", "HIGH", "ALONG", "HIGH"} {
		if bytes() > c.dev.Limits().MaxWorkgroupBytes && with[name] > 1 {
			with[name] /= 2
		}
	}
	return with
}

// fewProduct records the product of a part with a few vectors by subgroup matrices.
func (r *Recorder) fewProduct(p *Product, part *Part, s Shape, step *arena.Buffer) {
	wide := (r.n + panel - 1) / panel
	r.splitPanels(p.In, part, wide)
	c := part.Packing.consts() // split_panels brings the activations into the order of the codes, woven or not
	maps.Copy(c, kernels.Consts{"COLS": s.Cols(s.Width), "HEIGHT": s.Rows, "WIDE": wide})
	p.Gate.add(c, "GATED")
	if p.Matrix.fine {
		c["FINE"] = 1
	}
	with := r.choose.tuned(FewKernel, s, c, r.choose.fewDefaults(s, 1+flag(p.Matrix.fine)))
	each := panel * with["HIGH"]
	x, y := Grid((s.Rows + each - 1) / each)
	r.Dispatch(FewKernel, c, x, y,
		part.codes, r.heads(part), r.halves.both, r.halves.units, r.read(p.Bias), p.Out.Buffer, r.sizesOf(p, part), step)
}

// splitPanels records the split of the vectors for a product with a part, normalized if that is still to be done, unless
// they are split already.
func (r *Recorder) splitPanels(in Vectors, p *Part, wide int) {
	is := splitInput{from: in.Buffer, packing: p.Packing, inOrder: p.inOrder, kernel: FewKernel, norm: in.norm}
	if r.splitOf == is || !r.recording() {
		return
	}
	cost := r.cost
	r.cost = Cost{}
	c := p.consts()
	maps.Copy(c, kernels.Consts{"COLS": p.Cols(p.Width), "WIDTH": p.Width, "STRIDE": in.Stride, "WIDE": wide, "LANES": 256})
	if limits := r.dev.Limits(); limits.MaxInvocations >= 1024 && !r.dev.OnCPU() { // few workgroups: many threads for each
		c["LANES"] = 1024
	}
	if in.norm != nil {
		c["NORM"], c["EPS"] = 1, r.eps
	}
	r.Dispatch("split_panels", c, r.n, 1, in.Buffer, r.read(in.norm), r.halves.both, r.halves.units)
	r.cost, r.splitOf = cost, is
}

// normedInSplit reports whether the product with m, the only reader of a norm's result, normalizes vectors as it splits them.
func (r *layers) normedInSplit(m *Matrix) bool {
	return r.tap == nil && r.g.spec.Norm.Kind == model.RMSNorm && (r.takesPanels(m) || r.takesMatrices(m))
}
