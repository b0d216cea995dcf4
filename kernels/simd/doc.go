// Package simd holds the vector arithmetic of the CPU engine: products of matrices in float32, products of packed rows
// with a vector, softmax, norms and activations, in assembly where the processor has AVX2, AVX-512 or NEON, in Go
// elsewhere. It knows slices of numbers, not models, and starts no goroutines.
package simd

import "github.com/llama-webgpu/llama-webgpu/internal/vector"

// level says which instructions are used, vnni whether products of bytes are among them; tests lower both.
var level, vnni = vector.Best(), vector.VNNI()

// Name says which instructions the package uses.
func Name() string {
	if multipliesBytes() {
		return level.String() + " VNNI"
	}
	return level.String()
}

// multipliesBytes reports whether vectors are arranged as integers.
func multipliesBytes() bool { return level == vector.AVX512 && vnni }
