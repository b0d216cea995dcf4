//go:build (linux || darwin || windows) && (amd64 || arm64)

package gpu

import (
	"sync/atomic"
	"time"
)

// patience decides how a backend waits for its device: by asking again and again, or asleep. A thread that sleeps is woken a
// tenth of a millisecond late, which is a twentieth of a token of a fast GPU. It asks where the last wait was short, too.
type patience struct {
	sleeps bool         // always: the device is a CPU, which has better to do
	last   atomic.Int64 // nanoseconds of the last wait
}

// askTime is how long a wait may take to be short, and pollTime how long it sleeps before the context is looked at.
const askTime, pollTime = 5 * time.Millisecond, 2 * time.Millisecond

// timeout is how long to sleep next in a wait that has taken so long; 0: not at all.
func (p *patience) timeout(waited time.Duration) time.Duration {
	if p.sleeps || waited >= askTime || p.last.Load() >= int64(askTime) {
		return pollTime
	}
	return 0
}

// ended ends a wait.
func (p *patience) ended(waited time.Duration) { p.last.Store(int64(waited)) }
