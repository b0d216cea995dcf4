//go:build !linux

package gpu

func systemMemory() (uint64, bool) { return 0, false }
