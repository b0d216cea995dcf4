package gpu

// FreeMemory reports how many bytes of memory the device has available, if known: WebGPU does not
// tell, but a software device, or one that shares the CPU's memory, uses the machine's.
func (d *Device) FreeMemory() (uint64, bool) {
	if d.adapter.Type != "cpu" && d.adapter.Type != "integrated" {
		return 0, false
	}
	return systemMemory()
}
