//go:build (linux || darwin || windows) && (amd64 || arm64)

package gpu

import "github.com/llama-webgpu/llama-webgpu/gpu/internal/dawn"

// Lose loses a device of the engine Dawn, and reports whether it is one: others have no way to do that. It panics if the
// library has none either, so that its tests do not pass without having lost anything.
func (d *Device) Lose(why string) bool {
	b, ok := d.b.(*dawnBackend)
	if ok && !b.dev.Lose(why) {
		panic("the library cannot lose a device")
	}
	return ok
}

// RunOut has the next call of a device of the engine Dawn find no memory, and reports whether it is one; it panics as Lose does.
func (d *Device) RunOut(why string) bool {
	b, ok := d.b.(*dawnBackend)
	if ok && !b.dev.Fail(dawn.ErrorOutOfMemory, why) {
		panic("the library cannot report an error that there was none of")
	}
	return ok
}
