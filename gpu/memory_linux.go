package gpu

import (
	"bytes"
	"fmt"
	"os"
)

// systemMemory reports how many bytes of the machine's memory programs can still have.
func systemMemory() (uint64, bool) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	_, rest, ok := bytes.Cut(b, []byte("\nMemAvailable:"))
	if !ok {
		return 0, false
	}
	var kib uint64
	if _, err := fmt.Sscan(string(rest[:min(len(rest), 32)]), &kib); err != nil {
		return 0, false
	}
	return kib << 10, true
}
