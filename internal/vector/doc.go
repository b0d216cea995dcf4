// Package vector says which vector instructions of the processor this module's assembly uses: Best is asked once, when
// a package with assembly is initialized. It holds no assembly itself and computes nothing.
package vector

// Level is a set of instructions that assembly is written for. Of one architecture, a higher one contains those below.
type Level int

// The levels there is assembly for.
const (
	None   Level = iota // Go alone
	AVX2                // with FMA and F16C, which every processor with both of the others has
	AVX512              // F, DQ, BW and VL
	NEON                // of arm64, which always has it
)

// Levels lists what this processor has, from None on.
func Levels() []Level {
	switch best := Best(); best {
	case AVX512:
		return []Level{None, AVX2, AVX512}
	case None:
		return []Level{None}
	default:
		return []Level{None, best}
	}
}

// String names the instructions as a user knows them.
func (l Level) String() string {
	switch l {
	case AVX2:
		return "AVX2"
	case AVX512:
		return "AVX-512"
	case NEON:
		return "NEON"
	}
	return "scalar"
}
