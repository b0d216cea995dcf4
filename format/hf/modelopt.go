package hf

import (
	"slices"
	"strings"
)

// modeloptAlgorithms are the values of quant_algo of NVIDIA's Model Optimizer that are read: the
// types of tensors tell them apart. Those of weights say what a matrix is; what activations are is left
// out.
var modeloptAlgorithms = []string{
	"FP8", "FP8_PER_CHANNEL_PER_TOKEN", "FP8_PB_WO", "MXFP8",
	"NVFP4", "NVFP4_AWQ", "W4A16_NVFP4", "W4A8_NVFP4_FP8", "W4A8_MXFP4_FP8",
	"W8A16", "W8A8_SQ_PER_CHANNEL",
}

// readModelOpt reads what config.json has under quantization_config, or hf_quant_config.json under
// quantization.
func (q *quantization) readModelOpt(o *object) {
	q.readAlgorithm(o, "quant_algo")
	q.readAlgorithm(o, "moe_quant_algo")
	if n := o.int("group_size", 0); n > 0 {
		q.groups = append(q.groups, n)
	}
	q.block = [2]int{128, 128} // of FP8_PB_WO, where it is not said
	q.readBlock(o, "weight_block_size")
	layers := o.object("quantized_layers")
	if layers == nil {
		return
	}
	for name := range layers.values {
		if l := layers.object(name); l != nil {
			q.readAlgorithm(l, "quant_algo")
			if n := l.int("group_size", 0); n > 0 {
				q.groups = append(q.groups, n)
			}
		}
	}
}

func (q *quantization) readAlgorithm(o *object, key string) {
	algo := strings.ToUpper(o.string(key, "MIXED_PRECISION")) // which says nothing
	if algo != "MIXED_PRECISION" && !slices.Contains(modeloptAlgorithms, algo) {
		o.fail(key, "%q is not supported; supported: %s; %s", algo, strings.Join(modeloptAlgorithms, ", "), instead)
	}
}

// smooth takes the factors of columns of a matrix, if it has any: AWQ divides inputs by them, and so the
// columns that it quantizes are multiplied by what the inputs are divided by.
func (m *module) smooth(p *part) error {
	const suffix = ".pre_quant_scale"
	if !m.b.has(m.name+suffix) || !m.b.quant.by(methodModelOpt) {
		return nil
	}
	s, err := m.tensor(suffix, scaleTypes, m.cols)
	if err != nil {
		return err
	}
	c := &columns{values: p.values, factors: make([]float32, m.cols)}
	s.floats(0, c.factors)
	p.values, p.bytes, p.kind = c, m.bytes, p.kind+" and a factor for each column"
	return nil
}

// columns is a matrix of which each column is multiplied by a factor.
type columns struct {
	values
	factors []float32
}

func (c *columns) rows(row, n int, dst []float32) {
	c.values.rows(row, n, dst)
	for r := range n {
		line := dst[r*len(c.factors) : (r+1)*len(c.factors)]
		for i, f := range c.factors {
			line[i] *= f
		}
	}
}

func (c *columns) unlike() string { return "each of their columns has a factor" }
