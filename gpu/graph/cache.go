package graph

import (
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// Cache is the KV cache of one layer, which has no buffers if there is no attention, or if the layer reads another's: keys and
// values of the last Cap positions of each sequence,
// [sequences][KVHeads][Cap][HeadDim], as Attention.Core describes them. Position p is in slot p mod Cap. If values are
// the beginnings of keys, K and V are the same buffer.
type Cache struct {
	K, V   *arena.Buffer
	Bits   int // of a value: 16 or 32
	Cap    int // positions
	Window int // positions that a token sees
}

// tailChunk is how many tokens may run at once when a cache has begun to wrap around.
const tailChunk = 32

// caches reserves the cache of each layer, as long as what its tokens see, and longer by what one pass
// overwrites.
func caches(s *model.Spec, a *arena.Arena, limit uint64, o Options) ([]Cache, error) {
	var all []Cache
	for i := range s.Layers {
		if from := s.KVLayer(i); !s.Layer(i).Attends() || from >= 0 && from != i {
			all = append(all, Cache{})
			continue
		}
		at := &s.Layer(i).Attention
		c := Cache{Window: o.MaxSeqLen, Bits: s.KVBits(i, o.KVBits)}
		for _, w := range []int{at.Window, at.Chunk} {
			if w > 0 {
				c.Window = min(c.Window, w)
			}
		}
		c.Cap = c.Window + tailChunk - 1
		if c.Window < o.MaxSeqLen {
			c.Cap = min(c.Window+o.Chunk-1, o.MaxSeqLen+tailChunk-1)
		}
		core := at.Core()
		position := o.MaxBatch * core.KVHeads * core.HeadDim * c.Bits / 8 // bytes
		n := position * c.Cap
		if uint64(n) > limit {
			fits := max(0, int(limit)/position-(c.Cap-c.Window))
			return nil, fmt.Errorf("%w: a context of %d positions: the keys of a layer take %s, this device binds at most %s: a context of at most %d positions fits",
				ErrTooLarge, o.MaxSeqLen, Size(uint64(n)), Size(limit), fits)
		}
		c.K = a.Reserve(PurposeKV, n, gpu.Storage)
		if c.V = c.K; at.KVRank == 0 {
			c.V = a.Reserve(PurposeKV, n, gpu.Storage)
		}
		all = append(all, c)
	}
	return all, nil
}

// KV is the cache that a layer reads: its own, or that of the layer it shares, if that is in the graph.
func (g *Graph) KV(layer int) *Cache {
	if from := g.spec.KVLayer(layer); from >= 0 {
		return &g.caches[from]
	}
	return &g.caches[layer]
}

// Size writes a number of bytes for people.
func Size(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1024, 0
	for v >= 1024 && unit < 4 {
		v, unit = v/1024, unit+1
	}
	digits := 0
	if v < 10 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %ciB", digits, v, "KMGTP"[unit])
}
