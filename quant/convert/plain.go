package convert

import (
	"encoding/binary"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// plain is a rowEncoder of float16 or float32 values.
type plain struct {
	width              int // bytes of an element: 2 or 4
	sanitize, saturate bool
	sum                quant.Stats
}

func (p *plain) stats() quant.Stats { return p.sum }

// Row encodes a row. With sanitize it changes w.
func (p *plain) Row(dst []byte, w []float32) error {
	if p.sanitize {
		p.sum.Sanitized += quant.Sanitize(w)
	}
	p.sum.Weights += int64(len(w))
	if p.width == 2 {
		block.Float16s(dst, w)
	}
	for i, v := range w {
		if v-v != 0 {
			return &quant.WeightError{Col: i, Value: v, Reason: block.ErrNotFinite}
		}
		if p.width == 4 {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
			continue
		}
		if err := p.rounded(dst[2*i:], v); err != nil {
			return &quant.WeightError{Col: i, Value: v, Reason: err}
		}
	}
	return nil
}

// rounded adds what it cost to make v the float16 at dst, which saturates if need be.
func (p *plain) rounded(dst []byte, v float32) error {
	const inf = 0x7c00
	h := binary.LittleEndian.Uint16(dst)
	if h&^0x8000 == inf {
		if !p.saturate {
			return quant.ErrOverflow
		}
		h--
		binary.LittleEndian.PutUint16(dst, h)
		p.sum.Saturated++
	}
	x := float64(v)
	r := x - float64(block.FromFloat16(h))
	p.sum.Error += float64(r * r)
	p.sum.Power += float64(x * x)
	return nil
}
