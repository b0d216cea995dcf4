package tune

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// Synthetic is a Source of made-up weights of the right sizes: for measuring how fast a shape runs
// without a checkpoint of it. Its logits mean nothing, but they are finite. The stored bytes of its tensors repeat
// one pattern for each packing: graph.LoadOptions.Repeats may be set.
type Synthetic struct {
	spec    *model.Spec
	tensors []model.Tensor
	packing graph.Packing
	pattern map[int][]byte // stored bytes to repeat, by bits
}

// patternBytes is about how long a pattern is.
const patternBytes = 1 << 20

// NewSynthetic makes up weights for a Spec: matrices of the given bits and block size, 16 and 0 for float16.
func NewSynthetic(s *model.Spec, bits, size int) (*Synthetic, error) {
	if bits != 16 {
		if err := (block.Scheme{Bits: bits, Block: size}).Validate(); err != nil {
			return nil, err
		}
	}
	m := &Synthetic{spec: s, tensors: s.Tensors(), packing: graph.Packing{Bits: bits, Block: size}, pattern: map[int][]byte{}}
	for i := range m.tensors {
		m.tensors[i].Name = fmt.Sprintf("%s of layer %d", m.tensors[i].Role, m.tensors[i].Layer)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	m.pattern[16] = floats(16, func() float32 { return float32(rng.NormFloat64()) / 64 })
	if bits != 16 {
		m.pattern[bits] = records(m.packing, rand.New(rand.NewPCG(1, 2)), middle(bits))
	}
	return m, nil
}

// oneMatrix is a Source of a single matrix.
func oneMatrix(s graph.Shape, pattern []byte) *Synthetic {
	return &Synthetic{
		spec:    &model.Spec{Vocab: 1, Hidden: s.Width},
		tensors: []model.Tensor{{Name: "weights", Role: model.RoleUp, Shape: []int{s.Rows, s.Width}}},
		packing: s.Packing, pattern: map[int][]byte{s.Bits: pattern},
	}
}

// floats returns floats of 16 or 32 bits, drawn one by one.
func floats(bits int, draw func() float32) []byte {
	b := make([]byte, 0, patternBytes)
	for len(b) < patternBytes {
		if bits == 32 {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(draw()))
			continue
		}
		b = binary.LittleEndian.AppendUint16(b, block.Float16(draw()))
	}
	return b
}

// records returns blocks of random codes, with scales and zero-points that are drawn one by one.
func records(p graph.Packing, rng *rand.Rand, header func() (scale float32, zero int8)) []byte {
	var b []byte
	for len(b) < patternBytes {
		scale, zero := header()
		b = binary.LittleEndian.AppendUint16(b, block.Float16(scale))
		b = append(b, byte(zero))
		for range p.Block * p.Bits / 8 {
			b = append(b, byte(rng.Uint32()))
		}
	}
	return b
}

// middle returns the zero-point in the middle of the codes, and a scale that is a power of two, for weights of small
// spread.
func middle(bits int) func() (float32, int8) {
	scale, zero := float32(1/(16*math.Exp2(float64(bits)))), center(bits)
	return func() (float32, int8) { return scale, zero }
}

// center is the zero-point in the middle of the codes.
func center(bits int) int8 {
	if bits == 8 {
		return 0 // codes are signed
	}
	return 1 << (bits - 1)
}

// Spec implements graph.Source.
func (m *Synthetic) Spec() *model.Spec { return m.spec }

// Tensors implements graph.Source.
func (m *Synthetic) Tensors() []model.Tensor { return m.tensors }

// Packing implements graph.Source.
func (m *Synthetic) Packing(i int) (bits, block int) {
	if m.tensors[i].Quantizable() {
		return m.packing.Bits, m.packing.Block
	}
	return 16, 0
}

// Rows implements graph.Source for the vectors, which are all ones.
func (m *Synthetic) Rows(_, _, _ int, dst []float32) error {
	for i := range dst {
		dst[i] = 1
	}
	return nil
}

// ReadAt implements graph.Source.
func (m *Synthetic) ReadAt(i int, p []byte, off int64) error {
	bits, _ := m.Packing(i)
	pattern := m.pattern[bits]
	for at := int(off % int64(len(pattern))); len(p) > 0; at = 0 {
		p = p[copy(p, pattern[at:]):]
	}
	return nil
}
