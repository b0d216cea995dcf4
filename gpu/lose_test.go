//go:build (linux || darwin || windows) && (amd64 || arm64)

package gpu

import "github.com/llama-webgpu/llama-webgpu/gpu/internal/dawn"

// Lose loses a device of the engine Dawn, and reports whether it is one: others have no way to do that.
func (d *Device) Lose(why string) bool {
	b, ok := d.b.(*dawnBackend)
	if ok {
		b.dev.Lose(why)
	}
	return ok
}

// RunOut has the next call of a device of the engine Dawn find no memory, and reports whether it is one.
func (d *Device) RunOut(why string) bool {
	b, ok := d.b.(*dawnBackend)
	if ok {
		b.dev.Fail(dawn.ErrorOutOfMemory, why)
	}
	return ok
}
