package transformer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// pair is a Transformer that always runs ahead, and one that never does.
type pair struct {
	t     *testing.T
	rng   *rand.Rand
	both  [2]*Transformer
	texts [][]int32 // the tokens of each sequence
	best  []int32   // with which each would go on
	sure  bool      // … and does
}

// newPair makes a pair of the same weights.
func newPair(t *testing.T, dev *gpu.Device, name string, o Options) *pair {
	t.Helper()
	s := modeltest.PlainSpec()
	modeltest.Specs[name](&s)
	src := modeltest.New(t, s, modeltest.Blocks(8, 64), modeltest.Floats(16))
	ahead, err := New(t.Context(), dev, src, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ahead.Close)
	behind, err := ahead.Beside(src, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(behind.Close)
	ahead.lead.able, ahead.lead.always, behind.lead.able = true, true, false
	return &pair{
		t: t, rng: rand.New(rand.NewPCG(7, uint64(len(name)))), both: [2]*Transformer{ahead, behind},
		texts: make([][]int32, o.MaxBatch), best: make([]int32, o.MaxBatch),
	}
}

// on does the same with both and compares what f returns.
func (p *pair) on(what string, f func(tr *Transformer) (any, error)) {
	p.t.Helper()
	var results [2]any
	for i, tr := range p.both {
		var err error
		if results[i], err = f(tr); err != nil {
			p.t.Fatalf("%s: %v", what, err)
		}
	}
	if !equal(results[0], results[1]) {
		p.t.Fatalf("%s: other results than without running ahead, at tokens %v", what, p.texts)
	}
	for i := range p.texts {
		p.both[0].sequences.selected, p.both[1].sequences.selected = i, i
		if a, b := p.both[0].Position(), p.both[1].Position(); a != b || a != len(p.texts[i]) {
			p.t.Fatalf("%s: sequence %d has %d tokens, without running ahead %d; want %d", what, i, a, b, len(p.texts[i]))
		}
	}
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case []float32:
		return slices.Equal(a, b.([]float32))
	case []Top:
		return slices.EqualFunc(a, b.([]Top), func(a, b Top) bool {
			return a.LogSumExp == b.LogSumExp && a.best == b.best && slices.Equal(a.Candidates, b.Candidates)
		})
	}
	return a == b
}

// top copies candidates in the order of their ids.
func top(candidates []sample.Candidate, sum float64) Top {
	r := Top{Candidates: slices.Clone(candidates), LogSumExp: sum}
	slices.SortFunc(r.Candidates, func(a, b sample.Candidate) int { return int(a.ID - b.ID) })
	return r
}

// choose returns the token that a sequence gets next: the best, mostly, so that whole batches go on with it.
func (p *pair) choose(s int) int32 {
	if p.sure {
		return p.best[s]
	}
	if p.rng.IntN(12) == 0 || len(p.texts[s]) == 0 {
		return p.random()
	}
	return p.best[s]
}

func (p *pair) random() int32 { return p.rng.Int32N(int32(p.both[0].VocabSize())) }

// step feeds a token to each of some sequences, and now and then reads all logits of one. With a context that has ended, it does
// not wait for the candidates, which are then made in vain.
func (p *pair) step(sequences []int, ended bool) {
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	if ended {
		cancel()
	}
	tokens, look := make([]int32, len(sequences)), p.rng.IntN(4*len(sequences))
	for i, s := range sequences {
		tokens[i] = p.choose(s)
		p.texts[s] = append(p.texts[s], tokens[i])
	}
	var tops []Top
	p.on("TopOf", func(tr *Transformer) (any, error) {
		tops = nil
		var err error
		take := func(_ int, c []sample.Candidate, sum float64) error {
			tops = append(tops, top(c, sum))
			return nil
		}
		if err = tr.TopOf(ctx, sequences, tokens, take); ended {
			if !errors.Is(err, context.Canceled) {
				p.t.Fatalf("a context that has ended: %v", err)
			}
			return nil, nil
		}
		return tops, err
	})
	for i, t := range tops {
		p.best[sequences[i]] = t.greedy()
	}
	if look < len(sequences) && !ended {
		p.on("LogitsOf", func(tr *Transformer) (any, error) { return tr.LogitsOf(ctx, look) })
	}
}

// greedy returns what a sampler would choose.
func (t Top) greedy() int32 {
	best := t.Candidates[0]
	for _, c := range t.Candidates {
		if c.Logit > best.Logit {
			best = c
		}
	}
	return best.ID
}

// prompt feeds several tokens to a sequence, in one of the ways that there are.
func (p *pair) prompt(s int) {
	tokens := make([]int32, 2+p.rng.IntN(7))
	for i := range tokens {
		tokens[i] = p.random()
	}
	way := p.rng.IntN(3)
	p.texts[s] = append(p.texts[s], tokens...)
	p.on("prompt", func(tr *Transformer) (any, error) {
		if err := tr.Select(s); err != nil {
			return nil, err
		}
		if way == 0 {
			candidates, sum, err := tr.Top(p.t.Context(), tokens)
			r := top(candidates, sum)
			p.best[s] = r.greedy()
			return []Top{r}, err
		}
		var all []float32
		take := func(_ int, v []float32) error {
			all = append(all, v...)
			return nil
		}
		if way == 1 {
			return all, tr.Hidden(p.t.Context(), tokens, 0, take)
		}
		err := tr.Forward(p.t.Context(), tokens, 1, take)
		return all, err
	})
}

// back takes a sequence back, or to nothing. A step that ran ahead counts as a position that was written: of a window, it may have
// overwritten what the other still has.
func (p *pair) back(s, n int) {
	if n == 0 && p.rng.IntN(2) == 0 {
		p.texts[s] = nil
		p.on("Reset", func(tr *Transformer) (any, error) {
			tr.sequences.selected = s
			tr.Reset()
			return nil, nil
		})
		return
	}
	if !p.can(s, n) {
		return
	}
	p.texts[s] = p.texts[s][:n]
	p.on("Rewind", func(tr *Transformer) (any, error) {
		tr.sequences.selected = s
		return nil, tr.Rewind(n)
	})
}

// can reports whether both can take a sequence back.
func (p *pair) can(s, n int) bool {
	var can [2]bool
	var reached [2]int
	for i, tr := range p.both {
		tr.sequences.selected = s
		can[i], reached[i] = tr.CanRewind(n), tr.Reached()
	}
	if can[0] && !can[1] || reached[0] < reached[1] {
		p.t.Fatalf("sequence %d can go back to %d: %v, once of %d tokens", s, n, can, reached)
	}
	return can[0] && can[1]
}

// copied copies a sequence to another one, on the device or by way of the CPU.
func (p *pair) copied(from, to, n int) {
	if from == to || !p.can(from, n) {
		return
	}
	if p.rng.IntN(2) == 0 {
		p.texts[to] = slices.Clone(p.texts[from][:n])
		p.on("CopyFrom", func(tr *Transformer) (any, error) {
			tr.sequences.selected = to
			return nil, tr.CopyFrom(from, n)
		})
		return
	}
	p.texts[to] = slices.Clone(p.texts[from])
	p.best[to] = p.best[from]
	p.on("held", func(tr *Transformer) (any, error) {
		tr.sequences.selected = from
		moved(p.t, tr, to)
		return nil, nil
	})
}

// shift drops tokens from the middle, where both can.
func (p *pair) shift(s int) {
	n := len(p.texts[s])
	if n < 8 {
		return
	}
	for _, tr := range p.both {
		tr.sequences.selected = s
		if !tr.canShift(2, n/2) {
			return
		}
	}
	p.texts[s] = slices.Delete(p.texts[s], 2, 2+n/2)
	p.on("Shift", func(tr *Transformer) (any, error) {
		tr.sequences.selected = s
		return tr.Shift(2, n/2)
	})
}

// traced feeds a token while a trace is set.
func (p *pair) traced(s int) {
	trace := func(on bool) {
		for _, tr := range p.both {
			tr.SetTrace(nil)
			if on {
				tr.SetTrace(func(int, []float32) {})
			}
		}
	}
	trace(true)
	p.step([]int{s}, false)
	trace(false)
}

// TestLead does the same to a Transformer that runs ahead and to one that does not, whatever there is to do: both return the same, bit
// for bit.
func TestLead(t *testing.T) {
	const most = 60
	dev := gputest.Open(t)
	for _, c := range []struct {
		name      string
		sequences int
	}{
		{"plain", 3},
		{"plain", 1},
		{"both norms, softcaps, windows, head norms", 3},
		{"both norms, softcaps, windows, head norms", 1},
		{"chunks, interleaved, unweighted norms, temperature", 3},
		{"experts", 3},
		{"experts", 1},
	} {
		name, sequences := c.name, c.sequences
		t.Run(fmt.Sprintf("%s/%d", name, sequences), func(t *testing.T) {
			p := newPair(t, dev, name, Options{MaxBatch: sequences, MaxSeqLen: most, Chunk: 8})
			batch, together := []int{0, 1, 2}[:sequences], 0
			for range 150 {
				s := p.rng.IntN(sequences)
				for i := range sequences {
					if len(p.texts[i]) >= most-9 && p.rng.IntN(9) == 0 || len(p.texts[i]) >= most {
						p.shift(i)
						p.back(i, min(len(p.texts[i]), 9*p.rng.IntN(2)))
					}
					if len(p.texts[i]) >= most {
						p.back(i, 0)
					}
				}
				switch p.rng.IntN(40) {
				case 0:
					if len(p.texts[s]) < most-9 {
						p.prompt(s)
					}
				case 1:
					p.back(s, max(0, len(p.texts[s])-p.rng.IntN(14)))
				case 2:
					p.copied(p.rng.IntN(sequences), s, len(p.texts[s])/2)
				case 3:
					p.shift(s)
				case 4:
					p.traced(s)
				case 5:
					p.step(batch, true)
				case 6:
					batch = p.rng.Perm(sequences)[:1+p.rng.IntN(sequences)]
				default:
					p.step(batch, false)
				}
				together += min(p.both[0].lead.at, 1)
			}
			if sequences == 1 && together < 10 {
				t.Errorf("the results of %d steps came with those of another", together)
			}
			if n := p.both[0].lead.taken; n < 25 || p.both[1].lead.taken > 0 {
				t.Errorf("%d steps were under way, and %d of the other", n, p.both[1].lead.taken)
			}
		})
	}
}

// TestLeadDropped does between two steps what leaves the sequences as long as they were, but not as they were: the next step is
// computed anew, though its tokens are those that the device has gone on with.
func TestLeadDropped(t *testing.T) {
	p := newPair(t, gputest.Open(t), "plain", Options{MaxBatch: 2, MaxSeqLen: 60})
	p.sure = true
	other := modeltest.New(t, *p.both[0].Spec(), modeltest.Blocks(8, 64), modeltest.Floats(16))
	norm := slices.IndexFunc(other.Listed, func(tensor model.Tensor) bool { return !tensor.Quantizable() })
	slices.Reverse(other.Values[norm])
	on := func(s int, f func(tr *Transformer) error) func(int) {
		return func(int) {
			p.on("between", func(tr *Transformer) (any, error) {
				tr.sequences.selected = s
				return nil, f(tr)
			})
		}
	}
	for what, f := range map[string]func(n int){
		"nothing": func(int) {},
		"copied": func(n int) {
			p.texts[0] = slices.Clone(p.texts[1])
			on(0, func(tr *Transformer) error { return tr.CopyFrom(1, n) })(n)
		},
		"held": func(n int) {
			p.texts[0] = slices.Clone(p.texts[1])
			on(1, func(tr *Transformer) error { moved(p.t, tr, 0); return nil })(n)
		},
		"written": on(0, func(tr *Transformer) error { return tr.WriteHeld(0, [][]byte{make([]byte, tr.Held()[0])}) }),
		"fed": on(0, func(tr *Transformer) error {
			if err := tr.Rewind(tr.Position() - 3); err != nil {
				return err
			}
			return tr.Forward(p.t.Context(), []int32{5, 6, 7}, 3, nil)
		}),
		"reloaded": func(int) {
			if err := p.both[1].Reload(p.t.Context(), other, norm); err != nil {
				p.t.Fatal(err)
			}
		},
		"traced": on(0, func(tr *Transformer) error { tr.SetTrace(nil); return nil }),
		"graph":  on(0, func(tr *Transformer) error { return tr.Graph().Feed(make([]graph.Row, 2)) }),
	} {
		t.Run(what, func(t *testing.T) {
			p.t = t
			for s := range 2 {
				p.back(s, 0)
				p.best[s] = int32(s + 1)
			}
			for range 5 {
				p.step([]int{0, 1}, false)
			}
			before := p.both[0].lead.taken
			f(5)
			p.step([]int{0, 1}, false)
			if taken := p.both[0].lead.taken > before; taken != (what == "nothing") {
				t.Errorf("the step was under way: %v", taken)
			}
			for range 3 {
				p.step([]int{0, 1}, false)
			}
		})
	}
}

// TestLeadEnds goes as far as the caches reach: there, nothing runs ahead, and everything is as it was before.
func TestLeadEnds(t *testing.T) {
	const most = 12
	p := newPair(t, gputest.Open(t), "plain", Options{MaxBatch: 1, MaxSeqLen: most})
	p.sure = true
	for range most {
		p.step([]int{0}, false)
	}
	tr := p.both[0]
	if tr.lead.taken != most-1 || tr.lead.under > 0 || tr.Reached() != most || tr.Room() != 0 {
		t.Errorf("%d steps were under way, now %d are; %d tokens reached, room for %d", tr.lead.taken, tr.lead.under, tr.Reached(), tr.Room())
	}
	p.shift(0)
	p.step([]int{0}, false)
	if tr.Position() != most-most/2+1 || tr.Reached() != tr.Position()+tr.lead.under {
		t.Errorf("after a shift and a step there are %d tokens, %d were reached", tr.Position(), tr.Reached())
	}
}

// TestLeadWindow goes back as far as the caches allow, where steps that ran ahead have overwritten what lies further back.
func TestLeadWindow(t *testing.T) {
	dev := gputest.Open(t)
	for _, name := range []string{"both norms, softcaps, windows, head norms", "a bounded activation, sinks and a window"} {
		for _, chunk := range []int{1, 8} {
			p := newPair(t, dev, name, Options{MaxBatch: 1, MaxSeqLen: 60, Chunk: chunk})
			p.sure = true
			for range 30 {
				p.step([]int{0}, false)
			}
			n, ran := 1, p.both[0].Reached()-p.both[0].Position()
			for !p.both[0].CanRewind(n) {
				n++
			}
			if n <= ran || ran < 1 || chunk == 1 && ran > 1 || !p.both[1].CanRewind(n-ran) || p.both[1].CanRewind(n-ran-1) {
				t.Errorf("%s: the first position to go back to is %d, without the %d steps that ran ahead not %d", name, n, ran, n-ran)
			}
			p.back(0, n)
			for range 3 {
				p.step([]int{0}, false)
			}
		}
	}
}

// TestLeadStates runs nothing ahead where a state would have to be taken back, and keeps no second place for results there.
func TestLeadStates(t *testing.T) {
	s := modeltest.PlainSpec()
	modeltest.Specs["memories by the delta rule"](&s)
	tr, err := New(t.Context(), gputest.Open(t), modeltest.New(t, s, modeltest.Blocks(8, 64)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if tr.canLead() || tr.finder.out[1] != nil || tr.Graph().Logits(1).Buffer != nil {
		t.Error("a model with states may run ahead")
	}
}

// TestOdds lets time pass: 2 ms for a step and .2 ms between two of them.
func TestOdds(t *testing.T) {
	const step, idle = 2 * time.Millisecond, 200 * time.Microsecond
	run := func(o *odds, hits ...bool) (ahead int) {
		for _, hit := range hits {
			time.Sleep(idle)
			o.judge(true, hit)
			if o.saved > 0 && hit {
				ahead++
			} else {
				o.sent()
			}
			time.Sleep(step)
			o.returned()
		}
		return ahead
	}
	start := func() *odds {
		o := newOdds()
		o.judge(false, false)
		o.sent()
		time.Sleep(step)
		o.returned()
		return &o
	}
	hits := slices.Repeat([]bool{true}, 100)
	synctest.Test(t, func(t *testing.T) {
		if n := run(start(), hits...); n < 75 {
			t.Errorf("of 100 hits, %d ran ahead", n)
		}
		o := start()
		run(o, hits...)
		if run(o, false); o.saved <= 0 {
			t.Error("one miss after a hundred hits ends it")
		}
		if run(o, false, false); o.saved > 0 {
			t.Error("three misses in a row do not end it")
		}
		often := slices.Repeat([]bool{true, true, true, true, false}, 100)
		if n := run(start(), often...); n > 0 {
			t.Errorf("with four hits for each miss, %d of 500 steps ran ahead", n)
		}
		o = start()
		for range 5 { // texts of one token, an hour apart
			o.judge(true, false)
			time.Sleep(time.Hour)
			o.judge(false, false)
			o.sent()
			time.Sleep(step)
			o.returned()
		}
		if o.saved > -o.step || o.idle > idle {
			t.Errorf("pauses between texts count as saved: %v, %v idle", o.saved, o.idle)
		}
		time.Sleep(time.Hour)
		if run(o, hits[:20]...); o.idle != idle {
			t.Errorf("the device waits for %v, want %v", o.idle, idle)
		}
	})
}
