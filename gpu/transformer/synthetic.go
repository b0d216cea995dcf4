package transformer

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// Synthetic is a Source of made-up weights of the right sizes: for measuring how fast a shape runs
// without a checkpoint of it. Its logits mean nothing, but they are finite.
type Synthetic struct {
	spec    *model.Spec
	tensors []model.Tensor
	scheme  scheme
	pattern map[int][]byte // records to repeat, by bits
}

// patternBytes is about how long a pattern is.
const patternBytes = 1 << 20

// NewSynthetic makes up weights for a Spec: matrices of so many bits in blocks, 16 and 0 for float16.
func NewSynthetic(s *model.Spec, bits, length int) (*Synthetic, error) {
	m := &Synthetic{spec: s, tensors: s.Tensors(), scheme: scheme{bits, length}, pattern: map[int][]byte{}}
	if bits != 16 {
		if err := (block.Scheme{Bits: bits, Block: length}).Validate(); err != nil {
			return nil, err
		}
	}
	for i := range m.tensors {
		m.tensors[i].Name = fmt.Sprintf("%s of layer %d", m.tensors[i].Role, m.tensors[i].Layer)
	}
	m.pattern[16] = floats()
	if bits != 16 {
		m.pattern[bits] = records(bits, length)
	}
	return m, nil
}

// floats returns random float16 of small spread.
func floats() []byte {
	rng := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, 0, patternBytes)
	for len(b) < patternBytes {
		b = binary.LittleEndian.AppendUint16(b, block.Float16(float32(rng.NormFloat64())/64))
	}
	return b
}

// records returns blocks of random codes with a scale for weights of small spread.
func records(bits, length int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	zero := byte(1<<(bits-1)) % 128 // the middle of the codes; 0 for int8
	scale := block.Float16(float32(1 / (16 * math.Exp2(float64(bits)))))
	var b []byte
	for len(b) < patternBytes {
		b = binary.LittleEndian.AppendUint16(b, scale)
		b = append(b, zero)
		for range length * bits / 8 {
			b = append(b, byte(rng.Uint32()))
		}
	}
	return b
}

// Spec implements Source.
func (m *Synthetic) Spec() *model.Spec { return m.spec }

// Tensors implements Source.
func (m *Synthetic) Tensors() []model.Tensor { return m.tensors }

// Packing implements Source.
func (m *Synthetic) Packing(i int) (bits, block int) {
	if m.tensors[i].Quantizable() {
		return m.scheme.bits, m.scheme.block
	}
	return 16, 0
}

// Rows implements Source for the vectors, which are all ones.
func (m *Synthetic) Rows(_, _, _ int, dst []float32) error {
	for i := range dst {
		dst[i] = 1
	}
	return nil
}

// ReadAt implements Source.
func (m *Synthetic) ReadAt(i int, p []byte, off int64) error {
	bits, _ := m.Packing(i)
	pattern := m.pattern[bits]
	for at := int(off % int64(len(pattern))); len(p) > 0; at = 0 {
		p = p[copy(p, pattern[at:]):]
	}
	return nil
}
