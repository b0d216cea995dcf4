package tune

import "time"

// Pass is what all that was tuned takes in one pass.
type Pass struct {
	Tokens        int // of the pass
	Before, After time.Duration
}

// Gain is how many times as fast the pass is.
func (p Pass) Gain() float64 { return float64(p.Before) / float64(p.After) }

// Passes adds up results by the length of the pass, in the order in which these first come.
func Passes(results []Result) []Pass {
	var passes []Pass
	at := map[int]int{}
	for _, r := range results {
		i, ok := at[r.Tokens]
		if !ok {
			i, passes = len(passes), append(passes, Pass{Tokens: r.Tokens})
			at[r.Tokens] = i
		}
		passes[i].Before += time.Duration(r.Uses) * r.Before
		passes[i].After += time.Duration(r.Uses) * r.After
	}
	return passes
}
