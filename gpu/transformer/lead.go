package transformer

import (
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// lead is the device's lead over the caller: while the caller looks at a step's candidates, the next step already runs with
// the best one of each sequence, which the device has put in place of the tokens itself. If the next call feeds exactly these
// tokens, it finds its results made; otherwise they are dropped, and only the odds remember them. A step that is dropped has
// written one position of its sequences' caches: `reached` counts it.
type lead struct {
	able    bool        // the model and the device allow it
	always  bool        // whatever the odds; for tests
	rows    []graph.Row // that the last step was fed; none: something else was done since
	reloads int64       // of the weights, when it was
	under   bool        // the step after it is under way
	taken   int         // steps that were under way when they were asked for
	place   int         // of the two, where the last step's results are; the lead's are in the other
	odds    odds
}

// canLead reports whether steps may run before they are asked for: not where a state would have to be taken back, nor where the
// device takes the processor's time from the caller.
func (t *Transformer) canLead() bool { return t.graph.Places() == 2 && !t.dev.OnCPU() }

// take reports whether the step that rows ask for is under way; the caller has to send it if not.
func (t *Transformer) take(rows []graph.Row) bool {
	l := &t.lead
	hit := len(rows) == len(l.rows) && l.reloads == t.weights.Reloads()
	for i := 0; hit && i < len(rows); i++ {
		now, last := rows[i], l.rows[i]
		hit = now == graph.Row{Token: t.finder.found[i].best, Position: last.Position + 1, Sequence: last.Sequence}
	}
	l.odds.judge(len(l.rows) > 0, hit)
	hit = hit && l.under
	if hit {
		l.taken++
		l.place = 1 - l.place
	}
	l.rows, l.under = l.rows[:0], false
	return hit
}

// dropLead is for whatever else is done with the sequences: the next step is not what it would have been.
func (t *Transformer) dropLead() {
	if l := &t.lead; len(l.rows) > 0 {
		l.rows, l.under = l.rows[:0], false
		l.odds.judge(true, false)
	}
}

// mayLead reports whether the step after one of rows, which were fed, should run ahead.
func (t *Transformer) mayLead(rows []graph.Row) bool {
	l := &t.lead
	if !l.able || l.odds.saved <= 0 && !l.always {
		return false
	}
	for _, r := range rows {
		if r.Position+1 >= min(t.most(), t.opts.MaxSeqLen) {
			return false
		}
	}
	return true
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
