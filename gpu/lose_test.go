//go:build (linux || darwin || windows) && (amd64 || arm64)

package gpu

// Lose loses a device of the engine Dawn, and reports whether it is one: others have no way to do that.
func (d *Device) Lose(why string) bool {
	b, ok := d.b.(*dawnBackend)
	if ok {
		b.dev.Lose(why)
	}
	return ok
}
