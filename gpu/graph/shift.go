package graph

import (
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Moved says which positions of a sequence are dropped: Drop after the first Keep, of N.
type Moved struct{ Sequence, Keep, Drop, N int }

// Shift records how cached keys and values move to earlier positions. SetShift says how far, before the pass runs.
func (g *Graph) Shift() (*Pass, error) {
	r := g.Recorder("shift", 1)
	seen := map[*arena.Buffer]bool{} // layers may share a cache
	for i := range g.caches {
		kv := &g.caches[i]
		if kv.K == nil || seen[kv.K] {
			continue
		}
		seen[kv.K] = true
		core := g.spec.Layer(i).Attention.Core()
		c := kernels.Consts{"KV_HEADS": core.KVHeads, "DIM": core.HeadDim, "CAP": kv.Cap, "KV_BITS": kv.Bits}
		if kv.V != kv.K {
			r.shift(kv.V, g.rows, r.unread, c, kernels.Consts{"ROT": 0})
		}
		angles, turn := r.unread, kernels.Consts{"ROT": 0}
		if core.RoPE >= 0 {
			rope := &g.spec.RoPE[core.RoPE]
			angles = g.angles[core.RoPE]
			turn = kernels.Consts{"ROT": rope.Dim, "ROT_AT": core.KVRank, "INTERLEAVED": flag(rope.Interleaved)}
		}
		r.shift(kv.K, g.rows, angles, c, turn)
	}
	return r.Pass()
}

// shift records how one cache is moved: its parts are reversed, then all of it.
func (r *Recorder) shift(cache, of, angles *arena.Buffer, c, turn kernels.Consts) {
	const most = 1 << 15 // workgroups in y
	pairs := c["CAP"].(int)/2 + 1
	fold := (pairs + most - 1) / most
	for _, step := range []kernels.Consts{{"PARTS": 1, "ROT": 0}, turn} {
		step["FOLD"] = fold
		for k, v := range c {
			step[k] = v
		}
		r.Dispatch("shift", step, step["KV_HEADS"].(int)*fold, (pairs+fold-1)/fold, of, angles, cache)
	}
}

// SetShift tells the kernels of Shift which positions are dropped.
func (g *Graph) SetShift(m Moved) error {
	return g.rows.Write(0, wordBytes(m.Sequence, m.Keep, m.Drop, m.N))
}
