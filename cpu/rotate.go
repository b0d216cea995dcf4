package cpu

import (
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// rotation is a RoPE for the context in use, and what it is for successive positions.
type rotation struct {
	freq        []float32
	scale       float32
	interleaved bool
	first       int       // position of the first turn
	cos, sin    []float32 // times the scale, [positions][pairs]
}

func newRotation(r *model.RoPE, context int) rotation {
	freq, scale := r.For(context)
	return rotation{freq: freq, scale: scale, interleaved: r.Interleaved}
}

// turn prepares the rotations of n positions. An angle is rounded to float32, as models were trained.
func (e *Engine) turn(first, n int) {
	for i := range e.ropes {
		r := &e.ropes[i]
		if r.first == first && len(r.cos) == n*len(r.freq) {
			continue
		}
		r.first, r.cos, r.sin = first, r.cos[:0], r.sin[:0]
		for p := first; p < first+n; p++ {
			for _, f := range r.freq {
				sin, cos := math.Sincos(float64(float32(p) * f))
				r.cos, r.sin = append(r.cos, float32(cos)*r.scale), append(r.sin, float32(sin)*r.scale)
			}
		}
	}
}

// rotate rotates the head x at a position.
func (r *rotation) rotate(x []float32, position int) {
	n := len(r.freq)
	at := (position - r.first) * n
	cos, sin := r.cos[at:][:n], r.sin[at:][:n]
	if r.interleaved {
		for j, c := range cos {
			a, b := x[2*j], x[2*j+1]
			x[2*j], x[2*j+1] = a*c-b*sin[j], b*c+a*sin[j]
		}
		return
	}
	low, high := x[:n], x[n:2*n]
	for j, c := range cos {
		a, b := low[j], high[j]
		low[j], high[j] = a*c-b*sin[j], b*c+a*sin[j]
	}
}
