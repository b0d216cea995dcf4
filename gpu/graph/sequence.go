package graph

import (
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Duplicate records a copy of what all layers hold of one sequence to another: the first positions in the caches, and the
// states, also those that were kept. SetDuplicate says which sequences and how many positions.
func (g *Graph) Duplicate() (*Pass, error) {
	r := g.Recorder("duplicate", 1)
	add := func(b *arena.Buffer, heads, positions, words int) {
		const lanes = 256
		groups := min(max(positions*words/(4*lanes), 1), 32)
		c := kernels.Consts{"HEADS": heads, "CAP": positions, "WORDS": words, "GROUPS": groups, "LANES": lanes}
		r.Dispatch("duplicate", c, groups, heads, b, g.duplicating)
	}
	for i := range g.caches {
		for _, b := range g.caches[i].buffers() {
			heads, width := g.heads(i)
			add(b, heads, g.caches[i].Cap, width*g.caches[i].Bits/32)
		}
		for _, b := range g.states[i].buffers() {
			add(b, 1, 1, int(b.Size())/g.opts.MaxBatch/4)
		}
	}
	return r.Pass()
}

// SetDuplicate tells Duplicate's kernels to copy the first positions of one sequence to another.
func (g *Graph) SetDuplicate(from, to, positions int) error {
	return g.duplicating.Write(0, wordBytes(from, to, positions, 0))
}

// heads reports how many heads the cache of a layer has, and how many elements a key has.
func (g *Graph) heads(layer int) (n, width int) {
	core := g.spec.Layer(layer).Attention.Core()
	return core.KVHeads, core.HeadDim
}

// buffers are those of a cache: keys, and values if they are not parts of keys.
func (c *Cache) buffers() []*arena.Buffer {
	switch {
	case c.K == nil:
		return nil
	case c.V == c.K:
		return []*arena.Buffer{c.K}
	}
	return []*arena.Buffer{c.K, c.V}
}

// buffers are those of a state: as it is now, then as it was kept.
func (s *State) buffers() []*arena.Buffer {
	switch {
	case s.Tail == nil:
		return nil
	case s.Memory == nil:
		return []*arena.Buffer{s.Tail, s.keptTail}
	}
	return []*arena.Buffer{s.Tail, s.Memory, s.keptTail, s.keptMemory}
}

// Held returns where all that layers hold of a sequence lies after so many positions, in an order that depends on the model
// alone: of each layer the slots in use, head by head, and its states, with those that were kept if there are some.
func (g *Graph) Held(sequence, positions int, kept bool) (all []gpu.Range) {
	if positions == 0 {
		return nil
	}
	for i := range g.caches {
		c := &g.caches[i]
		for _, b := range c.buffers() {
			heads, width := g.heads(i)
			row := uint64(width * c.Bits / 8)
			for h := range heads {
				all = append(all, b.Part(uint64((sequence*heads+h)*c.Cap)*row, uint64(min(positions, c.Cap))*row).Range())
			}
		}
		states := g.states[i].buffers()
		if !kept {
			states = states[:len(states)/2]
		}
		for _, b := range states {
			size := b.Size() / uint64(g.opts.MaxBatch)
			all = append(all, b.Part(uint64(sequence)*size, size).Range())
		}
	}
	return all
}
