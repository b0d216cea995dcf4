// Package simd holds the vector arithmetic of the CPU engine: products of matrices in float32, products of packed rows
// with a vector, softmax, norms and activations, in assembly where the processor has AVX2 or AVX-512, in Go elsewhere.
// It knows slices of numbers, not models, and starts no goroutines.
package simd

import "github.com/llama-webgpu/llama-webgpu/internal/vector"

// level says which instructions are used; tests lower it.
var level = vector.Best()

// Name says which instructions the package uses.
func Name() string { return level.String() }
