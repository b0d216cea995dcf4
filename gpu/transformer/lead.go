package transformer

import (
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// lead is the device's lead over the caller: while the caller looks at a step's candidates, the next steps already run with
// the best one of each sequence, which the device has put in place of the tokens itself. If the next call feeds exactly these
// tokens, it finds its results made; otherwise all that runs is dropped, and only the odds remember it. Steps that are dropped have
// written positions of their sequences' caches: `reached` counts them.
//
// Short steps of one token go to the device a few at a time, and their candidates come back together, because it takes the device as
// long as a fortieth of such a step to begin a submission and to copy what it has found.
type lead struct {
	able    bool        // the model and the device allow it
	always  bool        // whatever the odds and however long a step takes; for tests
	most    int         // steps that may be sent at a time
	rows    []graph.Row // that the last step was fed; none: something else was done since
	reloads int64       // of the weights, when it was
	place   int         // of the first two: where the results are that were sent with the last step's; the lead's are in the other
	at      int         // which of the steps there the last step was
	steps   int         // how many there are
	under   int         // how many are under way in the other place
	hits    int         // steps in a row that were under way, or would have been
	taken   int         // steps that were under way when they were asked for
	odds    odds
}

// leadTime is how long steps take at most that are sent together, and leadHits after how many hits it is one more: a miss
// then costs about as much as they have saved.
const (
	leadTime = 4 * time.Millisecond
	leadHits = 8
)

// canLead reports whether steps may run before they are asked for: not where a state would have to be taken back, nor where the
// device takes the processor's time from the caller.
func (t *Transformer) canLead() bool { return t.graph.Places() > 1 && !t.dev.OnCPU() }

// mostSteps is how many steps may be sent at a time: as many as there are places for the logits of, and no more than leave in a cache
// what the next token sees if all are dropped that are under way, twice as many but one.
func (t *Transformer) mostSteps() int {
	most := t.graph.Places() / 2
	for i := range t.graph.Layers() {
		if c := t.graph.Cache(i); c.K != nil {
			most = min(most, (c.Cap-c.Window+2)/2)
		}
	}
	return max(most, 1)
}

// take reports whether the step that rows ask for is under way, or made already; the caller has to send it if not.
func (t *Transformer) take(rows []graph.Row) bool {
	l := &t.lead
	hit := len(rows) == len(l.rows) && l.reloads == t.weights.Reloads()
	for i := 0; hit && i < len(rows); i++ {
		now, last := rows[i], l.rows[i]
		hit = now == graph.Row{Token: t.finder.found[i].best, Position: last.Position + 1, Sequence: last.Sequence}
	}
	l.odds.judge(len(l.rows) > 0, hit)
	l.rows = l.rows[:0]
	switch {
	case !hit:
		l.hits, l.under = 0, 0
		return false
	case l.at+1 < l.steps:
		l.at++
	case l.under > 0:
		l.place, l.at, l.steps, l.under = 1-l.place, 0, l.under, 0
	default:
		l.hits++
		return false
	}
	l.hits++
	l.taken++
	return true
}

// dropLead is for whatever else is done with the sequences: the next step is not what it would have been.
func (t *Transformer) dropLead() {
	if l := &t.lead; len(l.rows) > 0 {
		l.rows, l.under, l.hits = l.rows[:0], 0, 0
		l.odds.judge(true, false)
	}
}

// mayLead reports whether steps after those of rows, which were fed, should run ahead.
func (t *Transformer) mayLead() bool {
	l := &t.lead
	return l.able && (l.odds.saved > 0 || l.always)
}

// atOnce is how many steps of n tokens are to be sent together, the first of which makes the longest sequence that many positions
// long; 0: there is no room for any.
func (t *Transformer) atOnce(n, context int) int {
	l, steps := &t.lead, 1
	switch {
	case n > 1:
	case l.always:
		steps = l.most
	case l.odds.step > 0:
		steps = max(1, min(l.most, 1+l.hits/leadHits, int(leadTime/l.odds.step)))
	}
	return max(0, min(steps, min(t.most(), t.opts.MaxSeqLen)-context+1))
}

// odds decide whether running ahead pays. Each step that goes on with the best candidates would have saved the time for which
// the device waits for the caller; each that does not would have cost what the device computes in vain.
type odds struct {
	saved      time.Duration // in all, of late; positive: it pays
	step       time.Duration // of the last step that was sent when it was asked for, until its candidates were read
	idle       time.Duration // from the step before it until it was sent, if nothing else was done between them
	hit, miss  bool          // the last verdict, which counts at the end of the step
	began, end time.Duration // of the last step, by the clock; 0: it was under way, something else was done since
}

// newOdds pay nothing yet.
func newOdds() odds { return odds{saved: -1 << 62} }

// clock is what odds count from.
var clock = time.Now()

// judge says whether a step goes on with the best candidates of the one before, if anything is known of that.
func (o *odds) judge(known, hit bool) {
	if o.hit = hit; !known {
		o.end = 0
		return
	}
	o.miss = !hit
}

// sent is called once a step is sent that was not under way.
func (o *odds) sent() {
	o.began = time.Since(clock)
	if o.end != 0 {
		o.idle = o.began - o.end
	}
}

// returned ends a step.
func (o *odds) returned() {
	o.end = time.Since(clock)
	if o.began != 0 {
		o.step, o.began = o.end-o.began, 0
	}
	if o.hit {
		o.saved += min(o.idle, o.step)
	}
	if o.miss {
		o.saved -= o.step
	}
	o.saved = min(max(o.saved, -2*o.step), 2*o.step) // what was long ago does not count
	o.hit, o.miss = false, false
}
