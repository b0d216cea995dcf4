package convert

import (
	"cmp"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
)

// Sum adds up tensors.
type Sum struct {
	Tensors          int
	Weights, In, Out int64 // In and Out in bytes
}

// Total adds up all of the tensors.
func Total(tensors []TensorReport) Sum {
	var s Sum
	for _, t := range tensors {
		s.add(t)
	}
	return s
}

func (s *Sum) add(t TensorReport) {
	s.Tensors++
	s.Weights += t.Weights
	s.In += t.In
	s.Out += t.Out
}

// Bits is how many bits a weight takes afterwards.
func (s Sum) Bits() float64 { return float64(s.Out) * 8 / float64(s.Weights) }

// StoredSum adds up the tensors that are stored alike.
type StoredSum struct {
	Stored string // type and block size
	Sum
}

// ByType adds up the tensors by how they are stored, in the order in which that comes first.
func (r *Report) ByType() []StoredSum {
	var sums []StoredSum
	for i, t := range r.Tensors {
		name := bundle.StoredAs(t.Type, r.Manifest.Tensors[i].Block)
		at := slices.IndexFunc(sums, func(s StoredSum) bool { return s.Stored == name })
		if at < 0 {
			at, sums = len(sums), append(sums, StoredSum{Stored: name})
		}
		sums[at].add(t)
	}
	return sums
}

// Worst returns at most n tensors, those with the largest errors first; tensors without an error are none of them.
func (r *Report) Worst(n int) []TensorReport {
	wrong := slices.DeleteFunc(slices.Clone(r.Tensors), func(t TensorReport) bool { return t.Error == 0 })
	slices.SortStableFunc(wrong, func(a, b TensorReport) int { return cmp.Compare(b.Error, a.Error) })
	return wrong[:min(n, len(wrong))]
}
