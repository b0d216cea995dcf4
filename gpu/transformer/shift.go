package transformer

import "github.com/llama-webgpu/llama-webgpu/gpu/graph"

// Shift drops some tokens of the selected sequence after the first keep, and moves those after them to the positions that
// become free: their keys are rotated by the difference, not computed anew. It reports whether the caches allow that; if
// not, nothing changes.
func (t *Transformer) Shift(keep, drop int) (bool, error) {
	if !t.canShift(keep, drop) {
		return false, nil
	}
	t.dropLead()
	s := &t.sequences
	n := t.Position()
	if err := t.graph.SetShift(graph.Moved{Sequence: s.selected, Keep: keep, Drop: drop, N: n}); err != nil {
		return false, err
	}
	if t.passes.shift == nil {
		pass, err := t.graph.Shift()
		if err != nil {
			return false, err
		}
		if t.passes.shift, err = t.graph.Program(pass); err != nil {
			return false, err
		}
	}
	if err := t.dev.Run(t.passes.shift); err != nil {
		return false, err
	}
	s.positions[s.selected] -= drop
	s.reached[s.selected] = 0
	for i := range t.graph.Layers() {
		if c := t.graph.Cache(i); c.K != nil && n > c.Cap {
			s.floors[s.selected] = n - drop
		}
	}
	return true, nil
}

func (t *Transformer) canShift(keep, drop int) bool {
	n := t.Position()
	if keep < 0 || drop <= 0 || keep+drop > n || !t.Spec().Shifts() {
		return false
	}
	for i := range t.graph.Layers() {
		y := t.Spec().Layer(i)
		if !y.Caches() {
			continue
		}
		c := t.graph.Cache(i)
		if t.Reached() > max(n, c.Cap) || !y.Attention.Holds(c.Cap, n, keep, drop, t.opts.MaxSeqLen) {
			return false
		}
	}
	return true
}
