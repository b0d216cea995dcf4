package graph

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// MaxPositions is how far the tables of angles reach.
const MaxPositions = 1 << 20

// angles are the tables of cos and sin that rope.wgsl combines, by index of Spec.RoPE: of positions 0 … 255,
// and of every 256th position after.
type angles []*arena.Buffer

func reserveAngles(s *model.Spec, a *arena.Arena) angles {
	var all angles
	for i := range s.RoPE {
		n := (256 + MaxPositions/256) * s.RoPE[i].Dim
		all = append(all, a.Reserve(PurposeWeights, 4*n, gpu.Storage))
	}
	return all
}

// fill computes the tables for a context of the given length.
func (a angles) fill(s *model.Spec, context int) error {
	for i, b := range a {
		freq, factor := s.RoPE[i].For(context)
		table := make([]float32, 0, b.Size()/4)
		add := func(position int, scale float64) {
			for _, f := range freq {
				s, c := math.Sincos(float64(position) * float64(f))
				table = append(table, float32(c*scale), float32(s*scale))
			}
		}
		for p := range 256 {
			add(p, float64(factor))
		}
		for p := range MaxPositions / 256 {
			add(256*p, 1)
		}
		if err := b.Write(0, FloatBytes(table)); err != nil {
			return err
		}
	}
	return nil
}
