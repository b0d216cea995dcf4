package graph

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
)

// wordBytes returns numbers as little-endian uint32.
func wordBytes(numbers ...int) []byte {
	return appendWords(make([]byte, 0, 4*len(numbers)), numbers...)
}

// appendWords appends numbers as little-endian uint32.
func appendWords(b []byte, numbers ...int) []byte {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// FloatBytes returns floats as bytes, in the device's order.
func FloatBytes(f []float32) []byte {
	b := make([]byte, 4*len(f))
	for i, v := range f {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	return b
}

// Stride returns the distance between the vectors of two tokens, for vectors of n elements. The padding is zero.
func Stride(n int) int { return RoundUp(n, 256) }

// RoundUp returns the least multiple of unit that is at least n.
func RoundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// powerOfTwo returns the least one that is at least n.
func powerOfTwo(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// Grid spreads n workgroups over two dimensions as the kernels count them: x + 65535·y.
func Grid(n int) (x, y int) { return min(n, 65535), (n + 65534) / 65535 }

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

// ReadFloats waits for the device and fills to with float32s of a buffer, starting at element from.
func (k *Kit) ReadFloats(ctx context.Context, b *arena.Buffer, from int, to []float32) error {
	raw := make([]byte, 4*len(to))
	if err := k.dev.Read(ctx, b.Range().Buffer, b.Range().Offset+uint64(4*from), raw); err != nil {
		return err
	}
	for i := range to {
		to[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return nil
}

// ReadVectors reads the first width elements of each of n vectors, [n][width].
func (k *Kit) ReadVectors(ctx context.Context, v Vectors, n, width int) ([]float32, error) {
	x := make([]float32, n*v.Stride)
	if err := k.ReadFloats(ctx, v.Buffer, 0, x); err != nil {
		return nil, err
	}
	for i := range n {
		copy(x[i*width:(i+1)*width], x[i*v.Stride:])
	}
	return x[:n*width], nil
}
