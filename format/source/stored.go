package source

import (
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Tensor says how a tensor is stored.
type Tensor struct {
	Name   string     `json:"name"`
	Role   model.Role `json:"role"`
	Layer  int        `json:"layer"` // −1 outside the layers
	Shape  []int      `json:"shape"`
	Type   string     `json:"type"`
	Block  int        `json:"block,omitempty"` // weights that share a scale, 0: it is not in blocks
	Bytes  int64      `json:"bytes"`
	Bits   float64    `json:"bits_per_weight"`
	Error  float64    `json:"error,omitempty"`  // of a bundle's tensor: √(Σ(w−ŵ)²/Σw²)
	Offset int64      `json:"offset,omitempty"` // of a bundle's tensor: bytes from the start of model.wgpu
}

// weights reports how many weights the tensor has.
func (t *Tensor) weights() int64 { return model.Elements([]model.Tensor{{Shape: t.Shape}}) }

// Stored says how each tensor is stored, in their order.
func (m *Model) Stored() []Tensor {
	var all []Tensor
	for i, t := range m.Weights.Tensors() {
		s := Tensor{Name: t.Name, Role: t.Role, Layer: t.Layer, Shape: t.Shape}
		if m.Bundle == nil {
			s.Type, s.Bytes = m.Checkpoint.SourceType(i), m.Checkpoint.Bytes(i)
		} else {
			e := &m.Bundle.Manifest.Tensors[i]
			s.Type, s.Block, s.Bytes, s.Error, s.Offset = string(e.Type), e.Block, e.Length, e.Error, e.Offset
		}
		s.Bits = float64(s.Bytes) * 8 / float64(s.weights())
		all = append(all, s)
	}
	return all
}

// Sum adds up tensors.
type Sum struct {
	Tensors        int
	Weights, Bytes int64
}

func (s *Sum) add(t *Tensor) {
	s.Tensors++
	s.Weights += t.weights()
	s.Bytes += t.Bytes
}

// Bits returns the bits per weight.
func (s Sum) Bits() float64 { return float64(s.Bytes) * 8 / float64(s.Weights) }

// Total adds up all of the tensors.
func Total(tensors []Tensor) (s Sum) {
	for i := range tensors {
		s.add(&tensors[i])
	}
	return s
}

// RoleSum adds up the tensors of one role and shape that are stored alike.
type RoleSum struct {
	Role   model.Role
	Shape  []int
	Stored string // type and block size
	Sum
}

// ByRole adds up tensors that are alike, in the order in which they first come.
func ByRole(tensors []Tensor) []*RoleSum {
	var sums []*RoleSum
	find := map[string]*RoleSum{}
	for i := range tensors {
		t := &tensors[i]
		stored := bundle.StoredAs(bundle.Type(t.Type), t.Block)
		key := fmt.Sprint(t.Role, t.Shape, stored)
		s := find[key]
		if s == nil {
			s = &RoleSum{Role: t.Role, Shape: t.Shape, Stored: stored}
			sums, find[key] = append(sums, s), s
		}
		s.add(t)
	}
	return sums
}
