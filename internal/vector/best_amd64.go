package vector

import "golang.org/x/sys/cpu"

// Best returns the highest level that this processor has.
func Best() Level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA:
		return None
	case x.HasAVX512F && x.HasAVX512DQ && x.HasAVX512BW && x.HasAVX512VL:
		return AVX512
	}
	return AVX2
}

// VNNI reports whether the processor, beside AVX512, multiplies bytes and adds up the products in one instruction.
func VNNI() bool { return Best() == AVX512 && cpu.X86.HasAVX512VNNI }
