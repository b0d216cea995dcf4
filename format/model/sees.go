package model

// Reach reports how many positions a token can see at most, itself included, in a context of so many tokens.
func (a *Attention) Reach(context int) int {
	n := context
	if a.Window > 0 {
		n = min(n, a.Window)
	}
	if a.Chunk > 0 {
		n = min(n, a.Chunk)
	}
	return n
}

// Oldest returns the first position that the one at p sees.
func (a *Attention) Oldest(p, context int) int {
	first := max(0, p-context+1)
	if a.Window > 0 {
		first = max(first, p-a.Window+1)
	}
	if a.Chunk > 0 {
		first = max(first, p-p%a.Chunk)
	}
	return first
}
