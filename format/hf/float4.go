package hf

import (
	"fmt"
	"math"
	"slices"
)

// float4 is the type of 4-bit floats E2M1, two a byte, the first one in the lower half. Most files call
// it U8.
const float4 = "F4"

// e2m1 are twice the values of 4-bit floats: a sign, two bits of exponent and one of mantissa.
var e2m1 = [16]int16{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// nibbles is the layout of 4-bit floats. Twice their values are integers, so that they make a grid with
// half their scales.
type nibbles struct {
	data   []byte
	cols   int
	groups int
	scales stored
	global float32 // what scales are multiplied by
	divide bool    // or divided by
}

func (f *nibbles) codes(row, n int, dst []int16) {
	for i, b := range f.data[row*f.cols/2 : (row+n)*f.cols/2] {
		dst[2*i], dst[2*i+1] = e2m1[b&15], e2m1[b>>4]
	}
}

func (f *nibbles) params(row, _ int, scales []float32, zeros []int16) {
	f.scales.floats(row*f.groups, scales)
	clear(zeros)
	for i, s := range scales {
		if f.divide {
			s /= f.global
		} else {
			s *= f.global
		}
		scales[i] = s / 2
	}
}

// Sizes of groups of 4-bit floats, by the type of their scales.
const (
	mxGroup = 32 // powers of two
	nvGroup = 16 // E4M3, and a scale for the whole matrix
)

// float4s takes a matrix of 4-bit floats with its scales.
func (m *module) float4s(suffix string) (part, error) {
	s, err := m.take(suffix, []string{"U8", float4})
	if err != nil {
		return part{}, err
	}
	want := []int{m.rows, m.cols / 2}
	if s.dtype == float4 {
		want[1] = m.cols
	}
	if m.cols%2 != 0 || !slices.Equal(s.shape, want) {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v, but a matrix [%d %d] of 4-bit floats has %v", s.file, m.name+suffix, s.shape, m.rows, m.cols, want)
	}
	f, scaleName := &nibbles{data: s.data, cols: m.cols, global: 1}, ".weight_scale"
	if f.scales, err = m.take(scaleName, []string{"U8", float8E8M0, float8E4M3}); err != nil {
		return part{}, err
	}
	size := mxGroup
	if f.scales.dtype == float8E4M3 {
		if size, err = nvGroup, m.globalScale(f); err != nil {
			return part{}, err
		}
	}
	if shape := f.scales.shape; len(shape) == 2 && shape[1] > 0 && slices.Contains(m.b.quant.groups, m.cols/shape[1]) {
		size = m.cols / shape[1]
	}
	if want := []int{m.rows, m.cols / size}; m.cols%size != 0 || !slices.Equal(f.scales.shape, want) {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v, but a matrix [%d %d] in groups of %d has %v",
			f.scales.file, m.name+scaleName, f.scales.shape, m.rows, m.cols, size, want)
	}
	return m.float4Part(s, f, m.rows, size), nil
}

// float4Part makes a grid of 4-bit floats.
func (m *module) float4Part(s stored, f *nibbles, height, size int) part {
	f.groups = m.cols / size
	kind := fmt.Sprintf("mxfp4 with groups of %d", size)
	if f.scales.dtype == float8E4M3 {
		kind = fmt.Sprintf("nvfp4 with groups of %d", size)
	}
	g := &grid{layout: f, height: height, cols: m.cols, groups: f.groups, size: size, low: int(e2m1[15]), high: int(e2m1[7])}
	return part{stored: s, kind: kind, bytes: m.bytes, values: g}
}

// globalScale takes what multiplies, or divides, all scales of a matrix.
func (m *module) globalScale(f *nibbles) error {
	suffix := ".weight_scale_2"
	if f.divide = m.b.quant.by(methodCompressed); f.divide {
		suffix = ".weight_global_scale"
	}
	s, err := m.take(suffix, []string{"F32"})
	if err != nil {
		return err
	}
	if len(s.data) != 4 {
		return fmt.Errorf("%s: tensor %q: shape %v: want one number", s.file, m.name+suffix, s.shape)
	}
	var v [1]float32
	s.floats(0, v[:])
	if f.global = v[0]; !(f.global > 0) || math.IsInf(float64(f.global), 0) {
		return fmt.Errorf("%s: tensor %q: want a number above 0, have %g", s.file, m.name+suffix, f.global)
	}
	return nil
}

// blocks takes a matrix of 4-bit floats, or a stack of them, as gpt-oss has them: NAME_blocks
// […][rows][groups][16] and NAME_scales […][rows][groups]. NAME is that of the module and base.
func (m *module) blocks(base string) (part, error) {
	name := m.name + base + "_blocks"
	if !m.b.quant.by(methodMXFP4) {
		return part{}, fmt.Errorf("tensor %q: unexpected: the configuration does not say that mxfp4 quantized it", name)
	}
	if m.cols%mxGroup != 0 {
		return part{}, fmt.Errorf("tensor %q: %d columns cannot be in groups of %d", name, m.cols, mxGroup)
	}
	shape := slices.Concat(m.stack, []int{m.rows, m.cols / mxGroup})
	scales, err := m.tensor(base+"_scales", []string{"U8", float8E8M0}, shape...)
	if err != nil {
		return part{}, err
	}
	s, err := m.tensor(base+"_blocks", []string{"U8"}, append(shape, mxGroup/2)...)
	if err != nil {
		return part{}, err
	}
	return m.float4Part(s, &nibbles{data: s.data, cols: m.cols, scales: scales, global: 1}, m.height(), mxGroup), nil
}

// readMXFP4 reads nothing: the tensors tell it all.
func (q *quantization) readMXFP4(*object) {}
