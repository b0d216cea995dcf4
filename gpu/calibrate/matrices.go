package calibrate

import (
	"maps"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// matrixKernel adds up outer products by subgroup matrices of float16. Before it, split_columns makes vectors pairs of these.
const matrixKernel = "gram_matrix"

// floatKernel adds them up in float32.
const floatKernel = "gram"

// matrixTokens is how many tokens it multiplies at a time.
const matrixTokens = 16

// matrixTile returns how many times 16 columns and rows a quarter of one of its workgroups makes: nil if the device has not
// even memory for a small one, or not what the kernel needs.
func matrixTile(dev *gpu.Device) kernels.Consts {
	for _, c := range []kernels.Consts{{"HIGH": 4, "WIDE": 2}, {"HIGH": 2, "WIDE": 1}} {
		if k, err := kernels.Specialize(matrixKernel, c); err == nil && dev.Fits(k) == nil {
			return c
		}
	}
	return nil
}

// split is where the vectors of a sum lie as gram_matrix reads them.
type split struct {
	x, y halves
	two  bool           // y is not x
	tile kernels.Consts // see matrixTile
}

// halves are split vectors.
type halves struct {
	both   *arena.Buffer // [tokens][hi, lo][stride] float16
	units  *arena.Buffer // [stride] float32, what hi + lo is multiplied by
	stride int
}

// reserveSplit allocates them, for inputs and for the highest of the sums.
func (s *sums) reserveSplit() (err error) {
	tokens, height := s.layer.Options().Chunk, s.m.Width
	if s.sorted != nil {
		tokens = s.layer.Slots(&s.layer.spec().MLP)
	}
	for _, set := range s.sets {
		for _, n := range set.sums {
			height = max(height, n.height)
		}
	}
	s.split = &split{tile: matrixTile(s.layer.Device())}
	if s.split.x, err = s.halves(tokens, s.m.Width); err == nil {
		s.split.y, err = s.halves(tokens, height)
	}
	return err
}

func (s *sums) halves(tokens, width int) (v halves, err error) {
	v.stride = graph.Stride(width)
	if v.both, err = s.buffer(4*graph.RoundUp(tokens, matrixTokens)*v.stride, gpu.Storage); err == nil {
		v.units, err = s.buffer(4*v.stride, gpu.Storage)
	}
	return v, err
}

// splitFor records the split of what a kind of sums is made of. The inputs of a set are split once, for the first of its sums.
func (s *sums) splitFor(r *graph.Recorder, set *set, k sumKind, o operands) {
	if k == sumInputs {
		s.split.x.record(r, o.x, o.x, set.inputs, nil)
	}
	if s.split.two = k != sumInputs || o.first != 1; s.split.two {
		y := &s.split.y
		y.stride = graph.Stride(s.m.Width)
		if k == sumDebt {
			y.stride = graph.Stride(s.layer.weights.Spec().Hidden)
		}
		y.record(r, o.y, o.z, set.inputs, kernels.Consts{"DIFF": flag(o.diff), "FIRST": o.first})
	}
}

// record records the split of the vectors v, or v − z.
func (h *halves) record(r *graph.Recorder, v, z graph.Vectors, inputs *arena.Buffer, c kernels.Consts) {
	all := kernels.Consts{"X_STRIDE": v.Stride, "STRIDE": h.stride}
	maps.Copy(all, c)
	r.Dispatch("split_columns", all, h.stride/64, 1, v.Buffer, z.Buffer, h.both, h.units, inputs)
}

// addMatrices records the sum of stripe i of split vectors.
func (s *sums) addMatrices(r *graph.Recorder, set *set, n *sum, i int, c kernels.Consts) {
	x, y := s.split.x, s.split.x
	if s.split.two {
		y = s.split.y
	}
	maps.Copy(c, s.split.tile)
	maps.Copy(c, kernels.Consts{"STRIDE": x.stride, "Y_STRIDE": y.stride})
	columns, lines := 32*c["HIGH"].(int), 32*c["WIDE"].(int)
	r.Dispatch(matrixKernel, c, (s.m.Width+columns-1)/columns, (min(n.rows, n.height-i*n.rows)+lines-1)/lines,
		x.both, x.units, y.both, y.units, n.stripes[i], set.inputs)
}
