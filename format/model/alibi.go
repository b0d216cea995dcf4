package model

import (
	"math"
	"math/bits"
)

// Slope returns what a score of head h loses with each position of distance, where ALiBi is set. Of n heads, a power of
// two, head h has the slope ALiBiScale·2^(−ALiBi·(h+1)/n); the heads beyond the largest power of two have the slopes
// between.
func (a *Attention) Slope(h int) float32 {
	n := 1 << (bits.Len(uint(a.Heads)) - 1)
	k := float64(h + 1)
	if h >= n {
		k = float64(h-n) + 0.5
	}
	return a.ALiBiScale * float32(math.Exp2(-float64(a.ALiBi)*k/float64(n)))
}
