package hf

import (
	"fmt"
	"slices"
	"strings"
)

// bitsandbytes stores 4-bit codes of a matrix, in the order of its elements, two a byte, the first one in
// the upper half; consecutive elements share a scale, at whatever row they are. NAME.weight.absmax has the
// scales, either as they are or as bytes that are quantized like weights, and
// NAME.weight.quant_state.bitsandbytes__nf4 a JSON object that says the rest. Of 8-bit weights, NAME.SCB
// has 127 times the scale of each row.

// readBnB reads nothing that matters: which widths matrices have and what their codes mean, they say
// themselves.
func (q *quantization) readBnB(o *object) {
	if t := o.string("bnb_4bit_quant_type", "nf4"); codebooks[t] == nil {
		o.fail("bnb_4bit_quant_type", "%q is not supported; supported: nf4, fp4", t)
	}
}

// codebooks are the values of 4-bit codes, by the name that bitsandbytes gives them.
var codebooks = map[string]*[16]float32{
	// Quantiles of the normal distribution, scaled to ±1.
	"nf4": {
		-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
		-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
		0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
		0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
	},
	// A sign, two bits of exponent and one of mantissa, scaled to ±1.
	"fp4": {
		0, 0.0625 / 12., 8 / 12., 1, 4 / 12., 6 / 12., 2 / 12., 3 / 12.,
		0, -0.0625 / 12., -8 / 12., -1, -4 / 12., -6 / 12., -2 / 12., -3 / 12.,
	},
}

// bnbState is the JSON object beside the codes.
type bnbState struct {
	kind               string // a key of codebooks
	block, nestedBlock int    // elements that share a scale, scales that share a scale
	nested             bool
	offset             float32 // of nested scales
}

// bnbStateOf finds the name of the tensor that describes the codes of a matrix, "" if there is none.
func (b *binder) bnbStateOf(module string) string {
	for kind := range codebooks {
		if name := module + bnbStateSuffix + kind; b.has(name) {
			return name
		}
	}
	return ""
}

const bnbStateSuffix = ".weight.quant_state.bitsandbytes__"

// codebook takes a matrix of 4-bit codes of bitsandbytes.
func (m *module) codebook(stateName string) (part, error) {
	state, err := m.bnbState(stateName)
	if err != nil {
		return part{}, err
	}
	s, err := m.take(".weight", []string{"U8", "I8", "F16", "BF16", "F32", float8E4M3, float8E5M2})
	if err != nil {
		return part{}, err
	}
	n := m.rows * m.cols
	if len(s.data) != (n+1)/2 {
		return part{}, fmt.Errorf("%s: tensor %q: %d bytes, but 4-bit codes of a matrix [%d %d] are %d",
			s.file, m.name+".weight", len(s.data), m.rows, m.cols, (n+1)/2)
	}
	c := &coded{codes: s.data, cols: m.cols, block: state.block}
	c.fill(codebooks[state.kind])
	if c.scales, err = m.bnbScales(state, ceil(n, state.block)); err != nil {
		return part{}, err
	}
	if m.b.has(m.name + ".weight.quant_map") { // what the kind says as well
		if _, err := m.tensor(".weight.quant_map", []string{"F32", "F16", "BF16"}, 16); err != nil {
			return part{}, err
		}
	}
	kind := fmt.Sprintf("bitsandbytes %s with blocks of %d", state.kind, state.block)
	if state.nested {
		kind += " and quantized scales"
	}
	c.kind = state.kind
	return part{stored: s, kind: kind, bytes: m.bytes, values: c}, nil
}

// bnbState reads the JSON object in a tensor of bytes.
func (m *module) bnbState(name string) (*bnbState, error) {
	s, err := m.take(strings.TrimPrefix(name, m.name), []string{"U8"})
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*bnbState, error) {
		return nil, fmt.Errorf("%s: tensor %q: %w", s.file, name, err)
	}
	o, err := parseObject("", s.data)
	if err != nil {
		return fail(fmt.Errorf("no JSON object: %w; the file is damaged, fetch it again", err))
	}
	state := &bnbState{kind: strings.TrimPrefix(name, m.name+bnbStateSuffix), nested: o.has("nested_offset") || o.has("nested_blocksize")}
	if t := o.string("quant_type", state.kind); t != state.kind {
		o.fail("quant_type", "%q, but the name of the tensor says %s", t, state.kind)
	}
	state.block = o.size("blocksize", 0)
	if state.nested {
		state.nestedBlock = o.size("nested_blocksize", 0)
		state.offset = float32(o.float("nested_offset", 0))
	}
	shape, ok := o.ints("shape")
	switch want := []int{m.rows, m.cols}; {
	case !ok:
		o.fail("shape", "missing")
	case !slices.Equal(shape, want):
		o.fail("shape", "%v, but config.json makes it %v", shape, want)
	}
	if err := o.firstError(); err != nil {
		return fail(err)
	}
	return state, nil
}

// bnbScales takes the scales of n blocks.
func (m *module) bnbScales(state *bnbState, n int) (func(at int, dst []float32), error) {
	if !state.nested {
		s, err := m.tensor(".weight.absmax", []string{"F32", "F16", "BF16"}, n)
		return s.floats, err
	}
	codes, err := m.tensor(".weight.absmax", []string{"U8"}, n)
	if err != nil {
		return nil, err
	}
	scales, err := m.tensor(".weight.nested_absmax", []string{"F32"}, ceil(n, state.nestedBlock))
	if err != nil {
		return nil, err
	}
	values, err := m.tensor(".weight.nested_quant_map", []string{"F32"}, 256)
	if err != nil {
		return nil, err
	}
	var table [256]float32
	values.floats(0, table[:])
	return func(at int, dst []float32) {
		var scale [1]float32
		for i := range dst {
			k := at + i
			if i == 0 || k%state.nestedBlock == 0 {
				scales.floats(k/state.nestedBlock, scale[:])
			}
			dst[i] = float32(table[codes.data[k]]*scale[0]) + state.offset
		}
	}, nil
}

// coded is a matrix of 4-bit codes, each a value from a list times the scale of its block. Blocks are
// made of consecutive elements, with the rows one after the other. It implements values.
type coded struct {
	kind   string // what the list is called
	codes  []byte // the upper half first
	pairs  [256][2]float32
	scales func(at int, dst []float32)
	block  int // elements that share a scale
	cols   int
}

func (c *coded) fill(list *[16]float32) {
	for b := range c.pairs {
		c.pairs[b] = [2]float32{list[b>>4], list[b&15]}
	}
}

func (c *coded) rows(row, n int, dst []float32) {
	first := row * c.cols
	for i := range dst {
		at := first + i
		dst[i] = c.pairs[c.codes[at/2]][at%2]
	}
	from := first / c.block
	scales := make([]float32, ceil(first+len(dst), c.block)-from)
	c.scales(from, scales)
	for k, s := range scales {
		low, high := max((from+k)*c.block-first, 0), min((from+k+1)*c.block-first, len(dst))
		part := dst[low:high]
		for i := range part {
			part[i] *= s
		}
	}
}

// eightBits takes a matrix of bytes of bitsandbytes.
func (m *module) eightBits() (part, error) {
	s, err := m.tensor(".weight", []string{"I8"}, m.rows, m.cols)
	if err != nil {
		return part{}, err
	}
	if m.b.has(m.name + ".weight_format") {
		f, err := m.tensor(".weight_format", []string{"U8"})
		if err != nil {
			return part{}, err
		}
		if order := f.data[0]; order != 0 {
			return part{}, fmt.Errorf("%s: tensor %q: the order %s of codes is not supported, only rows are; %s, or let an older bitsandbytes save it again with %s",
				f.file, m.name+".weight_format", bnbOrder(order), instead, dequantize)
		}
	}
	scales, err := m.tensor(".SCB", []string{"F32", "F16", "BF16"}, m.rows)
	if err != nil {
		return part{}, err
	}
	g := &grid{layout: &byRows{weights: words{s.data, 8}, scales: scales, times: 1 / 127., cols: m.cols, groups: 1}, height: m.rows, cols: m.cols, size: m.cols, groups: 1, low: -128, high: 127}
	return part{stored: s, kind: "bitsandbytes int8 with a scale for each row", bytes: m.bytes, values: g}, nil
}

func bnbOrder(order byte) string {
	if names := []string{"row", "col32", "col_turing", "col_ampere"}; int(order) < len(names) {
		return names[order]
	}
	return fmt.Sprint(order)
}

func (c *coded) unlike() string {
	return "the values of " + c.kind + " are not evenly spaced, as those of blocks are; int8 loses next to nothing by that"
}
