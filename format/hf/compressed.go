package hf

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// compressedFormats are the formats of compressed-tensors that are read.
var compressedFormats = []string{
	"pack-quantized", "float-quantized", "int-quantized", "naive-quantized", "mixed-precision", "dense",
	"nvfp4-pack-quantized", "mxfp4-pack-quantized", "mxfp8-quantized",
}

func (q *quantization) readCompressed(o *object) {
	checkFormat(o, "format")
	if t := o.object("transform_config"); t != nil && len(t.values) > 0 {
		o.fail("transform_config", "activations that are rotated while the model runs are not supported")
	}
	if s := o.object("sparsity_config"); s != nil {
		if f := s.string("format", "dense"); f != "dense" {
			s.fail("format", "%q is not supported; supported: dense", f)
		}
	}
	groups := o.object("config_groups")
	if groups == nil {
		o.fail("config_groups", "missing")
		return
	}
	for name := range groups.values {
		if g := groups.object(name); g != nil {
			q.readScheme(g)
		}
	}
}

func checkFormat(o *object, key string) {
	if f := o.string(key, "float-quantized"); !slices.Contains(compressedFormats, f) {
		o.fail(key, "%q is not supported; supported: %s", f, strings.Join(compressedFormats, ", "))
	}
}

// readScheme reads an entry of config_groups. What tensors tell by themselves, it leaves to them.
func (q *quantization) readScheme(o *object) {
	checkFormat(o, "format")
	w := o.object("weights")
	if w == nil {
		return
	}
	switch order := string(w.value("actorder")); order { // "weight" and "static" leave columns where they are
	case `"group"`, `"dynamic"`, "true":
		q.scattered = true
	case "", "false", `"weight"`, `"static"`:
	default:
		w.fail("actorder", "%s is not supported; supported: group, weight", order)
	}
	if n := w.int("group_size", -1); n > 0 {
		q.groups = append(q.groups, n)
	}
	list, ok := w.ints("block_structure")
	if !ok {
		return
	}
	if len(list) != 2 || min(list[0], list[1]) < 1 || max(list[0], list[1]) > 1<<24 {
		w.fail("block_structure", "want two numbers above 0, have %v", list)
		return
	}
	if b := [2]int(list); cmp.Or(q.block, b) != b {
		w.fail("block_structure", "%v, but another group has %v", list, q.block)
	} else {
		q.block = b
	}
}

// packed takes a matrix of packed integers of compressed-tensors.
func (m *module) packed() (part, error) {
	q := m.b.quant
	if q == nil || q.method != methodCompressed {
		return part{}, fmt.Errorf("tensor %q: unexpected: the configuration does not say that compressed-tensors quantized it", m.name+".weight_packed")
	}
	if t := m.b.shards.tensors[m.name+".weight_packed"].dtype; t == "U8" || t == float4 {
		return m.float4s(".weight_packed")
	}
	s, err := m.take(".weight_packed", []string{"I32", "U32"})
	if err != nil {
		return part{}, err
	}
	b := &byRows{packed: true, cols: m.cols}
	for bits := 2; bits <= 8; bits++ {
		if wide := ceil(m.cols*bits, 32); slices.Equal(s.shape, []int{m.rows, wide}) {
			b.weights, b.wide, b.middle = words{s.data, bits}, wide, 1<<(bits-1)
		}
	}
	if b.wide == 0 {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v is not that of a matrix [%d %d] in 2 to 8 bits",
			s.file, m.name+".weight_packed", s.shape, m.rows, m.cols)
	}
	if err := m.checkPackedShape(); err != nil {
		return part{}, err
	}
	return m.compressed(s, b, 0, 1<<b.weights.bits-1, []string{"I32", "U32"})
}

// checkPackedShape reads the shape that compressed-tensors stores beside packed codes.
func (m *module) checkPackedShape() error {
	if !m.b.has(m.name + ".weight_shape") {
		return nil
	}
	s, err := m.tensor(".weight_shape", []string{"I32", "I64"}, 2)
	if err != nil {
		return err
	}
	for i, want := range []int{m.rows, m.cols} {
		have := uint64(binary.LittleEndian.Uint32(s.data[4*i:]))
		if s.dtype == "I64" {
			have = binary.LittleEndian.Uint64(s.data[8*i:])
		}
		if have != uint64(want) {
			return fmt.Errorf("%s: tensor %q: dimension %d is %d, but config.json makes it %d", s.file, m.name+".weight_shape", i, have, want)
		}
	}
	return nil
}

// int8s takes a matrix of bytes of compressed-tensors or modelopt.
func (m *module) int8s(s stored) (part, error) {
	if !m.b.quant.by(methodCompressed, methodModelOpt) {
		return part{}, fmt.Errorf("%s: tensor %q: dtype I8 of quant_method %q is not supported", s.file, m.name+".weight", m.b.quant.method)
	}
	if _, err := m.tensor(".weight", []string{"I8"}, m.rows, m.cols); err != nil {
		return part{}, err
	}
	return m.compressed(s, &byRows{weights: words{s.data, 8}, cols: m.cols}, -128, 127, []string{"I8"})
}

// compressed takes the parameters of integers of compressed-tensors.
func (m *module) compressed(s stored, b *byRows, low, high int, zeroTypes []string) (part, error) {
	var err error
	if b.scales, err = m.take(".weight_scale", scaleTypes); err != nil {
		return part{}, err
	}
	g := &grid{layout: b, height: m.rows, cols: m.cols, size: m.cols, groups: 1, low: low, high: high}
	switch {
	case slices.Equal(b.scales.shape, []int{m.rows}):
		b.scales.shape = []int{m.rows, 1}
	case len(b.scales.shape) == 0 || slices.Equal(b.scales.shape, []int{1}):
		return m.wholeScale(s, b, g)
	}
	for _, size := range m.b.quant.groups {
		if n := ceil(m.cols, size); n > 1 && slices.Equal(b.scales.shape, []int{m.rows, n}) {
			g.size, g.groups = size, n
		}
	}
	if b.groups = g.groups; !slices.Equal(b.scales.shape, []int{m.rows, b.groups}) {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v: want [1], [%d 1], or as many columns as groups of the configuration: %v",
			b.scales.file, m.name+".weight_scale", b.scales.shape, m.rows, m.b.quant.groups)
	}
	if m.b.has(m.name + ".weight_zero_point") {
		rows := m.rows
		if b.packed {
			rows = ceil(m.rows*b.weights.bits, 32)
		}
		zeros, err := m.tensor(".weight_zero_point", zeroTypes, rows, g.groups)
		if err != nil {
			return part{}, err
		}
		b.zeros = &zeros
	}
	if err := m.order(g, ".weight_g_idx"); err != nil {
		return part{}, err
	}
	return part{stored: s, kind: m.kind(g, b.weights.bits), bytes: m.bytes, values: g}, nil
}

// wholeScale takes the parameters of a matrix that has one scale. Its zero-point is not packed.
func (m *module) wholeScale(s stored, b *byRows, g *grid) (part, error) {
	b.whole, b.groups = true, 1
	if m.b.has(m.name + ".weight_zero_point") {
		zero, err := m.tensor(".weight_zero_point", []string{"I8"}, b.scales.shape...)
		if err != nil {
			return part{}, err
		}
		b.zeros = &zero
	}
	return part{stored: s, kind: m.kind(g, b.weights.bits), bytes: m.bytes, values: g}, nil
}
