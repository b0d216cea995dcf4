//go:build !js

package bundle

import "github.com/llama-webgpu/llama-webgpu/internal/mapped"

// guarded calls f, which reads files that may be mapped.
func guarded(f func() error) error { return mapped.Reading(f) }
