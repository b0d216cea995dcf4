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
