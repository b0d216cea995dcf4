package gpu

// FreeMemory reports how many bytes of memory the device has to give, if that can be known: WebGPU
// does not tell, but a device that computes on the CPU, or shares its memory, takes the machine's.
func (d *Device) FreeMemory() (uint64, bool) {
	if d.adapter.Type != "cpu" && d.adapter.Type != "integrated" {
		return 0, false
	}
	return systemMemory()
}
