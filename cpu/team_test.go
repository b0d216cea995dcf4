package cpu

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// counting is a task that counts its pieces.
type counting struct {
	pieces [64]atomic.Int32
	busy   atomic.Int32 // goroutines within a piece
	ended  atomic.Int32 // goroutines for which none is left
}

func (c *counting) done(int) { c.ended.Add(1) }

func (c *counting) do(_, i int) {
	c.busy.Add(1)
	if i%7 == 3 {
		runtime.Gosched()
	}
	c.pieces[i].Add(1)
	c.busy.Add(-1)
}

// TestTeam runs many short tasks, some after a pause in which helpers fall asleep: each piece is done once, and all of
// them before run returns.
func TestTeam(t *testing.T) {
	for _, threads := range []int{2, 5} {
		for round := range 3000 {
			var c counting
			n := 1 + round%len(c.pieces)
			everybody.run(threads, n, &c)
			if ended, want := c.ended.Load(), int32(min(threads, n)); ended != want {
				t.Fatalf("round %d: %d goroutines are done, not %d", round, ended, want)
			}
			if busy := c.busy.Load(); busy != 0 {
				t.Fatalf("round %d: %d pieces are not done", round, busy)
			}
			for i := range c.pieces {
				want := int32(0)
				if i < n {
					want = 1
				}
				if got := c.pieces[i].Load(); got != want {
					t.Fatalf("round %d of %d pieces: piece %d was done %d times", round, n, i, got)
				}
			}
			for range round % 100 * 5 {
				runtime.Gosched()
			}
		}
	}
	if running := everybody.running.Load(); running != 0 {
		t.Errorf("%d helpers are at work", running)
	}
}
