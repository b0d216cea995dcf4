package tune

import (
	"context"
	"slices"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// A GPU that has waited for a compiler keeps a fraction of its clock for nearly 0.2 s of work, and then has all of it at once.
// So it works that long before a race, unless it has rested for less than raceRest since the last one.
const raceWarmUp, raceRest = 200 * time.Millisecond, 50 * time.Millisecond

// raceTime is how long one turn takes, so that it is measured without a clock on the device; raceTurns is how many each has.
const raceTime, raceTurns = 15 * time.Millisecond, 5

// race times two candidates by turns and returns how many times as fast b is: the median of pairs of turns, so that no clock that
// changes once can decide it.
func (m *matrix) race(ctx context.Context, t trial, a, b graph.Choice) (speed float64, err error) {
	rounds, dev := 1, m.kit.Device()
	once := func(c graph.Choice) (time.Duration, error) {
		p, err := t.program(c, rounds)
		if err != nil {
			return 0, err
		}
		return elapsed(ctx, dev, p)
	}
	cold := !dev.OnCPU() && time.Since(m.raced) > raceRest
	for begun := time.Now(); ; {
		took, err := once(a)
		if err != nil {
			return 0, err
		}
		if took < raceTime && rounds < 512 {
			rounds *= 2
		} else if !cold || time.Since(begun) >= raceWarmUp {
			break
		}
	}
	speeds := make([]float64, raceTurns)
	for i := range speeds {
		var took [2]time.Duration
		for _, turn := range []int{i % 2, 1 - i%2} { // each is first in turn
			if took[turn], err = once([]graph.Choice{a, b}[turn]); err != nil {
				return 0, err
			}
		}
		speeds[i] = float64(took[0]) / float64(max(1, took[1]))
	}
	m.raced = time.Now()
	slices.Sort(speeds)
	return speeds[raceTurns/2], nil
}
