package hf

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// integers takes a matrix that GPTQ or AWQ quantized.
func (m *module) integers() (part, error) {
	q := m.b.quant
	var err error
	if q == nil || q.method != methodGPTQ && q.method != methodAWQ {
		return part{}, fmt.Errorf("tensor %q: unexpected: the configuration does not say that gptq or awq quantized it", m.name+".qweight")
	}
	b := &byInputs{rows: m.rows, cols: m.cols, across: q.method == methodAWQ, place: inOrder}
	weights, err := m.codeWords(b, q)
	if err != nil {
		return part{}, err
	}
	if b.scales, err = m.take(".scales", scaleTypes); err != nil {
		return part{}, err
	}
	if b.groups = m.groupsOf(&b.scales, q); b.groups == 0 {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v, want [groups %d] with groups of %d columns of %d",
			b.scales.file, m.name+".scales", b.scales.shape, m.rows, q.group, m.cols)
	}
	zeros, err := m.tensor(".qzeros", []string{"I32", "U32"}, b.groups, m.rows*b.weights.bits/32)
	if err != nil {
		return part{}, err
	}
	b.zeros, b.lessOne = words{zeros.data, b.weights.bits}, q.lessOne
	g := &grid{layout: b, height: m.rows, cols: m.cols, groups: b.groups, size: ceil(m.cols, b.groups), high: 1<<b.weights.bits - 1}
	if q.group > 0 {
		g.size = q.group
	}
	if q.method == methodGPTQ {
		if err := m.order(g, ".g_idx"); err != nil {
			return part{}, err
		}
	}
	return part{stored: weights, kind: m.kind(g, b.weights.bits), bytes: m.bytes, values: g}, nil
}

// ones returns a word of codes of which each is 1. GPTQ's first format stores zero-points less one; its
// tools subtract and add whole words, so that a borrow from one code to the next is undone.
func ones(bits int) (word uint32) {
	for at := 0; at < 32; at += bits {
		word |= 1 << at
	}
	return word
}

// codeWords takes the codes; it finds their width by the shape, which must be that of the
// configuration.
func (m *module) codeWords(b *byInputs, q *quantization) (stored, error) {
	s, err := m.take(".qweight", []string{"I32", "U32"})
	if err != nil {
		return s, err
	}
	bits := q.bits
	if bits == 0 && len(s.shape) == 2 {
		for n := 2; n <= 8; n++ {
			if m.cols*n%32 == 0 && s.shape[0] == m.cols*n/32 {
				bits = n
			}
		}
	}
	want := []int{m.cols * bits / 32, m.rows}
	if b.across {
		want, b.place = []int{m.cols, m.rows * bits / 32}, interleaved
	}
	if bits == 0 || m.rows*bits%32 != 0 || !b.across && m.cols*bits%32 != 0 || !slices.Equal(s.shape, want) {
		return s, fmt.Errorf("%s: tensor %q: shape %v, but a matrix [%d %d] quantized by %s to %d bits has %v",
			s.file, m.name+".qweight", s.shape, m.rows, m.cols, q.method, bits, want)
	}
	b.weights = words{s.data, bits}
	return s, nil
}

// groupsOf returns how many groups the scales of GPTQ or AWQ have, 0 if their shape is wrong.
func (m *module) groupsOf(s *stored, q *quantization) int {
	if len(s.shape) != 2 || s.shape[1] != m.rows || s.shape[0] < 1 || s.shape[0] > m.cols {
		return 0
	}
	switch n := s.shape[0]; {
	case q.group == -1 && n == 1, q.group > 0 && n == ceil(m.cols, q.group),
		q.group == 0 && (m.cols%n == 0 || m.b.has(m.name+".g_idx")):
		return n
	}
	return 0
}

// order reads which group each column is in, if the checkpoint says it. Columns that are in the order of
// their groups need no list.
func (m *module) order(g *grid, suffix string) error {
	if !m.b.has(m.name+suffix) && (!m.b.quant.scattered || g.groups == 1) {
		return nil
	}
	s, err := m.tensor(suffix, []string{"I32"}, m.cols)
	if err != nil {
		return err
	}
	list, natural := make([]int32, m.cols), true
	for c := range list {
		list[c] = int32(binary.LittleEndian.Uint32(s.data[4*c:]))
		if list[c] < 0 || int(list[c]) >= g.groups {
			return fmt.Errorf("%s: tensor %q: column %d is in group %d of %d", s.file, m.name+suffix, c, list[c], g.groups)
		}
		natural = natural && int(list[c]) == c/g.size
	}
	if !natural {
		g.group = list
	}
	return nil
}

// kind describes a grid.
func (m *module) kind(g *grid, bits int) string {
	what := fmt.Sprintf("%s int%d", m.b.quant.method, bits)
	if g.groups > 1 {
		what += fmt.Sprintf(" with groups of %d", g.size)
	}
	if g.group != nil {
		what += " in act-order"
	}
	return what
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
	if slices.Equal(b.scales.shape, []int{m.rows}) {
		b.scales.shape = []int{m.rows, 1}
	}
	for _, size := range m.b.quant.groups {
		if n := ceil(m.cols, size); n > 1 && slices.Equal(b.scales.shape, []int{m.rows, n}) {
			g.size, g.groups = size, n
		}
	}
	if b.groups = g.groups; !slices.Equal(b.scales.shape, []int{m.rows, b.groups}) {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v: want [%d 1], or as many columns as groups of the configuration: %v",
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
