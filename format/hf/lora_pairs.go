package hf

import (
	"math"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// gamma is by what the product of a pair is multiplied.
func (m *merger) gamma(module string) (rank int, scale float32, dora bool) {
	r := value(m.a.ranks, module, m.a.rank)
	by := r
	if m.a.rooted {
		by = math.Sqrt(r)
	}
	s := value(m.a.alphas, module, m.a.alpha) / by
	if !m.a.dora {
		s *= m.scale
	}
	return int(r), float32(s), m.a.dora
}

// pair merges lora_A and lora_B.
func (m *merger) pair(key groupKey, g group) error {
	a, b := g[kindA], g[kindB]
	name := key.module + ".weight"
	sites := m.find(name)
	if sites == nil {
		name, sites = m.parameter(key)
	}
	if sites == nil {
		return m.fail(a, "the checkpoint has no matrix %q", key.module+".weight")
	}
	taken := takenKey{sites[0].tensor, sites[0].expert, sites[0].place.first}
	if m.taken[taken] {
		return m.fail(a, "a second pair for matrix %q", name)
	}
	m.taken[taken] = true
	rank, scale, withLengths := m.gamma(strings.TrimSuffix(name, ".weight"))
	for _, s := range sites {
		t := &m.c.tensors[s.tensor]
		switch {
		case len(t.Shape) == 1:
			return m.fail(a, "%q is no matrix", name)
		case t.Role == model.RoleEmbed || t.Role == model.RolePositions || t.Role == model.RoleLayerEmbed:
			return m.fail(a, "%q is an embedding, of which a pair is named …%s and …%s", name, kindEmbA, kindEmbB)
		}
		if s.expert < 0 && withLengths {
			return m.fail(a, "DoRA of stacked experts is not supported; %s", mergeElsewhere)
		}
		if s.expert < 0 {
			if err := m.stack(key, s, a, b, rank, scale); err != nil {
				return err
			}
			continue
		}
		d := &delta{rank: rank, cols: s.place.cols, scale: scale}
		if want := []int{rank, d.cols}; !slices.Equal(a.shape, want) {
			return m.fail(a, "shape %v, but rank and base model make it %v", a.shape, want)
		}
		if want := []int{s.place.total, rank}; !slices.Equal(b.shape, want) {
			return m.fail(a, "its pair has shape %v, want %v", b.shape, want)
		}
		d.left = func(row, n int, dst []float32) { b.decode(row*rank, dst[:n*rank]) }
		d.right = func(k, n int, dst []float32) { a.decode(k*d.cols, dst[:n*d.cols]) }
		if !withLengths {
			m.put(s, s.expert, d)
			continue
		}
		lengths, ok := g[kindLengths]
		if !ok {
			return m.fail(a, "there is no %q, although the adapter is DoRA", key.module+kindLengths)
		}
		if want := []int{s.place.total}; !slices.Equal(lengths.shape, want) {
			return m.fail(lengths, "shape %v, want %v", lengths.shape, want)
		}
		m.put(s, s.expert, &dora{*d, lengths.stored})
	}
	m.count[0]++
	return nil
}

// parameter finds the stack of experts that a pair belongs to: PEFT wraps the module that has both once for
// each that is trained, gates and ups first.
func (m *merger) parameter(key groupKey) (string, []site) {
	var targets []string
	for _, p := range []string{".gate_up_proj", ".down_proj"} {
		name := key.module + p
		if m.find(name) != nil && slices.ContainsFunc(m.a.parameters, func(t string) bool { return name == t || strings.HasSuffix(name, "."+t) }) {
			targets = append(targets, name)
		}
	}
	deepest := 0
	for other := range m.groups {
		if other.module == key.module {
			deepest = max(deepest, other.depth)
		}
	}
	if at := deepest - key.depth; at < len(targets) {
		return targets[at], m.find(targets[at])
	}
	return "", nil
}

// stack merges a pair for all experts of a stack. Rows of A are those of one expert after the other,
// columns of B those of one rank after the other.
func (m *merger) stack(key groupKey, s site, a, b tensorOf, rank int, scale float32) error {
	experts, rows, cols := s.place.experts, s.place.total, s.place.cols
	turn := m.turnedPair(key, s, a, b, rank)
	right, left := cols, rows // of A and B
	if turn {
		right, left = rows, cols
	}
	if want := []int{rank * experts, right}; !slices.Equal(a.shape, want) {
		return m.fail(a, "shape %v, but rank, experts and base model make it %v", a.shape, want)
	}
	if want := []int{left, rank * experts}; !slices.Equal(b.shape, want) {
		return m.fail(a, "its pair has shape %v, want %v", b.shape, want)
	}
	for e := range experts {
		byRank := func(k, n int, dst []float32) { a.decode((e*rank+k)*right, dst[:n*right]) }
		byRow := func(row, n int, dst []float32) {
			line := make([]float32, rank*experts)
			for r := range n {
				b.decode((row+r)*len(line), line)
				for k := range rank {
					dst[r*rank+k] = line[k*experts+e]
				}
			}
		}
		d := &delta{rank: rank, cols: cols, scale: scale, left: byRow, right: byRank}
		if turn {
			d.left, d.right = turned(byRank, rank, rows), turned(byRow, cols, rank)
		}
		m.put(s, e, d)
	}
	return nil
}

// turnedPair reports whether the product of a pair is a stack's matrices turned: [in][out] for rows that are outputs.
// PEFT took the second dimension of every stack for inputs until 0.19; since then it takes the third, unless the module
// says that its matrices are [in][out]. Shapes tell, of this pair or of one for the same experts; where all
// are square, the version does.
func (m *merger) turnedPair(key groupKey, s site, a, b tensorOf, rank int) bool {
	if turned, sure := ofShapes(s, a, b, rank); sure {
		return turned
	}
	for other, g := range m.groups {
		if other.module != key.module || other.depth == key.depth {
			continue
		}
		name, sites := m.parameter(other)
		if len(sites) == 0 || sites[0].expert >= 0 {
			continue
		}
		rank, _, _ := m.gamma(name)
		if turned, sure := ofShapes(sites[0], (*g)[kindA], (*g)[kindB], rank); sure {
			return turned != (s.place.transposed != sites[0].place.transposed)
		}
	}
	third := m.a.thirdIsInput && !m.c.config.family.inFirst
	return third == s.place.transposed
}

// ofShapes tells whether a pair is turned, if the matrices of the stack are not square.
func ofShapes(s site, a, b tensorOf, rank int) (turned, sure bool) {
	n, rows, cols := rank*s.place.experts, s.place.total, s.place.cols
	straight := slices.Equal(a.shape, []int{n, cols}) && slices.Equal(b.shape, []int{rows, n})
	turned = slices.Equal(a.shape, []int{n, rows}) && slices.Equal(b.shape, []int{cols, n})
	return turned, straight != turned
}

// turned reads the columns of a matrix [rows][cols] as rows.
func turned(read func(row, n int, dst []float32), rows, cols int) func(int, int, []float32) {
	return func(at, n int, dst []float32) {
		line := make([]float32, cols)
		for r := range rows {
			read(r, 1, line)
			for i := range n {
				dst[i*rows+r] = line[at+i]
			}
		}
	}
}

// embedding merges lora_embedding_A [rank][tokens] and lora_embedding_B [hidden][rank].
func (m *merger) embedding(key groupKey, g group) error {
	a, b := g[kindEmbA], g[kindEmbB]
	sites := m.find(key.module + ".weight")
	if sites == nil {
		return m.fail(a, "the checkpoint has no matrix %q", key.module+".weight")
	}
	s := sites[0]
	rank, scale, withLengths := m.gamma(key.module)
	rows, cols := s.place.total, s.place.cols
	if want := []int{rank, rows}; !slices.Equal(a.shape, want) {
		return m.fail(a, "shape %v, but rank and base model make it %v", a.shape, want)
	}
	if want := []int{cols, rank}; !slices.Equal(b.shape, want) {
		return m.fail(a, "its pair has shape %v, want %v", b.shape, want)
	}
	d := delta{rank: rank, cols: cols, scale: scale}
	d.left = func(row, n int, dst []float32) {
		line := make([]float32, n)
		for k := range rank {
			a.decode(k*rows+row, line)
			for r, v := range line {
				dst[r*rank+k] = v
			}
		}
	}
	d.right = turned(func(row, n int, dst []float32) { b.decode(row*rank, dst[:n*rank]) }, cols, rank)
	m.count[0]++
	if !withLengths {
		m.put(s, 0, &d)
		return nil
	}
	lengths, ok := g[kindLengths]
	if !ok || !slices.Equal(lengths.shape, []int{cols}) {
		return m.fail(a, "there is no %q [%d], although the adapter is DoRA", key.module+kindLengths, cols)
	}
	m.put(s, 0, &doraColumns{d, m.factors(s, d, lengths.stored)})
	return nil
}

// factors returns by what the columns of an embedding are multiplied to have the given lengths.
func (m *merger) factors(s site, d delta, lengths stored) []float32 {
	const step = 256
	squares, factors := make([]float64, d.cols), make([]float32, d.cols)
	b := &m.c.bound[s.tensor]
	lines := make([]float32, step*d.cols)
	for row := 0; row < b.rows; row += step {
		n := min(step, b.rows-row)
		b.read(0, row, n, lines[:n*d.cols])
		d.rows(row, n, lines[:n*d.cols])
		for i, v := range lines[:n*d.cols] {
			squares[i%d.cols] += float64(v) * float64(v)
		}
	}
	lengths.decode(0, factors)
	for i, q := range squares {
		factors[i] /= float32(math.Sqrt(q))
	}
	return factors
}

// bias merges lora_B's bias.
func (m *merger) bias(key groupKey, g group) error {
	t := g[kindBias]
	sites := m.find(key.module + ".bias")
	if sites == nil {
		return m.fail(t, "the checkpoint has no bias %q that it could be added to, so that PEFT cannot merge it either: train without lora_bias", key.module+".bias")
	}
	_, scale, _ := m.gamma(key.module)
	if m.a.dora {
		scale *= float32(m.scale)
	}
	for _, s := range sites {
		if want := []int{s.place.total}; !slices.Equal(t.shape, want) {
			return m.fail(t, "shape %v, want %v", t.shape, want)
		}
		k := siteKey{s.tensor, s.expert}
		m.changes[k] = append(m.changes[k], adapted{&addition{t.stored, scale}, s.expert, s.place})
	}
	return nil
}
