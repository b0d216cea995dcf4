package hf

import (
	"fmt"
	"math"
	"slices"
)

// readMLX reads nothing that matters: the shapes of tensors tell widths and groups, as they do for
// mlx-lm, and matrices of one checkpoint may differ in them.
func (q *quantization) readMLX(o *object) {
	if mode := o.string("mode", "affine"); !slices.Contains(mlxModes, mode) {
		o.fail("mode", "%q is not supported; supported: %v", mode, mlxModes)
	}
}

var mlxModes = []string{"affine", "mxfp4", "nvfp4", "mxfp8"}

// mlx takes a matrix that MLX quantized: NAME.weight are words, NAME.scales the scales, and NAME.biases
// the values of code 0. Without biases, codes are floats.
func (m *module) mlx() (part, error) {
	if !m.b.quant.by(methodMLX) {
		return part{}, fmt.Errorf("tensor %q: dtype U32 of quant_method %q is not supported", m.name+".weight", m.b.quant.method)
	}
	s, err := m.take(".weight", []string{"U32"})
	if err != nil {
		return part{}, err
	}
	scales, err := m.take(".scales", powerTypes)
	if err != nil {
		return part{}, err
	}
	bits, groups := m.mlxSizes(s.shape, scales.shape)
	if bits == 0 {
		return part{}, fmt.Errorf("%s: tensor %q: shape %v with scales %v is not that of a matrix [%d %d] in 2, 3, 4, 5, 6 or 8 bits",
			s.file, m.name+".weight", s.shape, scales.shape, m.rows, m.cols)
	}
	if scales.dtype == "U8" {
		return m.mlxFloats(s, scales, bits, m.cols/groups)
	}
	biases, err := m.tensor(".biases", scaleTypes, slices.Concat(m.stack, []int{m.rows, groups})...)
	if err != nil {
		return part{}, err
	}
	a := &affine{codes: words{s.data, bits}, scales: scales, biases: biases, cols: m.cols, groups: groups}
	kind := fmt.Sprintf("mlx int%d with groups of %d", bits, m.cols/groups)
	return part{stored: s, kind: kind, bytes: m.bytes, values: a}, nil
}

// mlxSizes finds the width of codes and the number of groups of a row; bits are 0 if shapes are wrong.
func (m *module) mlxSizes(codes, scales []int) (bits, groups int) {
	rows := slices.Concat(m.stack, []int{m.rows})
	if len(scales) == len(rows)+1 {
		groups = scales[len(rows)]
	}
	if groups < 1 || m.cols%groups != 0 || !slices.Equal(scales[:len(rows)], rows) {
		return 0, 0
	}
	for _, n := range []int{2, 3, 4, 5, 6, 8} {
		if m.cols*n%32 == 0 && slices.Equal(codes, append(rows, m.cols*n/32)) {
			bits = n
		}
	}
	return bits, groups
}

// height is how many rows all matrices have together.
func (m *module) height() int {
	n := m.rows
	for _, d := range m.stack {
		n *= d
	}
	return n
}

// mlxFloats takes a matrix of 4- or 8-bit floats.
func (m *module) mlxFloats(s, scales stored, bits, size int) (part, error) {
	switch {
	case bits == 4 && size == mxGroup:
		return m.float4Part(s, &nibbles{data: s.data, cols: m.cols, scales: scales, global: 1}, m.height(), size), nil
	case bits == 4 && size == nvGroup:
		f := &nibbles{data: s.data, cols: m.cols, scales: scales, global: 1}
		f.scales.dtype = float8E4M3
		return m.float4Part(s, f, m.height(), size), nil
	case bits == 8 && size == mxGroup:
		s.dtype = float8E4M3
		f := &scaled{weights: s, scales: scales, cols: m.cols, high: 1, wide: size, across: m.cols / size}
		return part{stored: s, kind: "mxfp8 with groups of 32", bytes: m.bytes, values: f}, nil
	}
	return part{}, fmt.Errorf("%s: tensor %q: floats of %d bits in groups of %d are not supported; supported: mxfp4, nvfp4 and mxfp8",
		s.file, m.name+".weight", bits, size)
}

// affine is a matrix of integers q with the values q·s + b, with the scale s and the bias b that a row has
// for the group of a column. It implements values.
type affine struct {
	codes          words
	scales, biases stored // [rows][groups]
	cols, groups   int
}

func (a *affine) rows(row, n int, dst []float32) {
	codes := make([]int16, a.cols)
	scales, biases := make([]float32, n*a.groups), make([]float32, n*a.groups)
	a.scales.floats(row*a.groups, scales)
	a.biases.floats(row*a.groups, biases)
	size, wide := a.cols/a.groups, a.cols*a.codes.bits/32
	for r := range n {
		a.codes.stream(codes, (row+r)*wide, 1)
		line := dst[r*a.cols : (r+1)*a.cols]
		for g := range a.groups {
			s, b := scales[r*a.groups+g], biases[r*a.groups+g]
			for c := g * size; c < (g+1)*size; c++ {
				line[c] = float32(float32(codes[c])*s) + b
			}
		}
	}
}

// grid returns the matrix as one of integers whose zero-points are −b/s, rounded.
func (a *affine) grid() *grid {
	return &grid{
		layout: affineGrid{a}, height: len(a.scales.data) / elementSize[a.scales.dtype] / a.groups, cols: a.cols,
		groups: a.groups, size: a.cols / a.groups, high: a.top(),
	}
}

// top returns the largest code.
func (a *affine) top() int { return 1<<a.codes.bits - 1 }

// affineGrid is the layout of an affine matrix. Where a scale is below 0, codes are counted from the
// other end.
type affineGrid struct{ *affine }

func (a affineGrid) codes(row, n int, dst []int16) {
	wide, scales := a.cols*a.affine.codes.bits/32, make([]float32, a.groups)
	top, size := int16(a.top()), a.cols/a.groups
	for r := range n {
		line := dst[r*a.cols : (r+1)*a.cols]
		a.affine.codes.stream(line, (row+r)*wide, 1)
		a.scales.floats((row+r)*a.groups, scales)
		for g, s := range scales {
			if s >= 0 {
				continue
			}
			for c := g * size; c < (g+1)*size; c++ {
				line[c] = top - line[c]
			}
		}
	}
}

func (a affineGrid) params(row, n int, scales []float32, zeros []int16) {
	a.each(row, n, func(i int, scale float32, zero float64) {
		scales[i], zeros[i] = scale, int16(nearest(zero))
	})
}

func (a affineGrid) fractions(row, n int, dst []float32) {
	a.each(row, n, func(i int, _ float32, zero float64) {
		dst[i] = float32(zero - nearest(zero))
	})
}

// nearest rounds a zero-point. Those that no block has, and NaN, remain such.
func nearest(zero float64) float64 {
	const far = 1 << 14
	if !(zero < far) {
		return far
	}
	return max(math.Round(zero), -far)
}

// each calls f for every group of n rows with its scale, not below 0, and its zero-point.
func (a affineGrid) each(row, n int, f func(i int, scale float32, zero float64)) {
	scales, biases := make([]float32, n*a.groups), make([]float32, n*a.groups)
	a.scales.floats(row*a.groups, scales)
	a.biases.floats(row*a.groups, biases)
	for i, s := range scales {
		b := float64(biases[i])
		if s < 0 {
			b, s = b+float64(s)*float64(a.top()), -s
		}
		zero := 0.
		if b != 0 {
			zero = -b / float64(s)
		}
		f(i, s, zero)
	}
}
