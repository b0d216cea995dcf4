package model

import "math"

// For returns the frequencies [Dim/2] and the scale that hold for a KV cache of context
// positions.
func (r *RoPE) For(context int) (invFreq []float32, scale float32) {
	switch {
	case r.LongFrom == 0 || context <= r.LongFrom:
		return r.InvFreq, r.Scale
	case r.DynamicFactor > 0:
		return Frequencies(r.dynamicBase(context), r.Dim), r.Scale
	default:
		return r.LongInvFreq, r.LongScale
	}
}

// dynamicBase stretches the base so that the longest wave grows with the context while the
// shortest stays. The steps are rounded to float32 one by one, as transformers does.
func (r *RoPE) dynamicBase(context int) float32 {
	f := r.DynamicFactor
	stretch := f*float32(context)/float32(r.LongFrom) - (f - 1)
	power := float32(math.Pow(float64(stretch), float64(r.Dim)/float64(r.Dim-2)))
	return r.DynamicBase * power
}

// Frequencies returns base^(−2j/dim) for the pairs j of dim elements, every step rounded to
// float32.
func Frequencies(base float32, dim int) []float32 {
	freq := make([]float32, dim/2)
	for j := range freq {
		exponent := float32(2*j) / float32(dim)
		freq[j] = 1 / float32(math.Pow(float64(base), float64(exponent)))
	}
	return freq
}
