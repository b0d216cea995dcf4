package transformer

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TuneOptions say how long to look.
type TuneOptions struct {
	Tokens   []int                             // of the passes; nil: 1 to 512, or 1 and 512 if Quick
	Quick    bool                              // one round
	Progress func(done, total int, now string) // told which product comes next
}

// TuneResult is what was found for one kernel and class.
type TuneResult struct {
	TuningKey
	What          string        // the matrices, for people
	Tokens        int           // of the pass
	Uses          int           // how many products of a pass are of this class
	Default, Best Tuned         // what is used without and with tuning
	Before, After time.Duration // of one product with these
	Tried         int           // candidates that were right, and timed
	Wrong         []Tuned       // candidates that computed something else than they should, and were not timed
}

// Tune looks for the fastest constants for the products of a model on a device: each candidate is
// compared with the definition, computed on the CPU, and timed only if it is right. Of src it wants the
// shapes and how they are packed, no weights: those it makes up. With an error it returns what it has found before.
func Tune(ctx context.Context, dev *gpu.Device, src Source, o TuneOptions) ([]TuneResult, error) {
	cases, err := tuneCases(src, dev.Limits().MaxBinding, o.passes(), dev.OnCPU())
	if err != nil {
		return nil, err
	}
	var all []toTune
	for _, c := range cases {
		all = append(all, toTune{c.kernel, c.class(), c.tune})
	}
	for _, c := range attentionCases(src.Spec(), o.passes()) {
		all = append(all, toTune{"attention_split", c.class(), c.tune})
	}
	var results []TuneResult
	for i, c := range all {
		if o.Progress != nil {
			o.Progress(i, len(all), c.kernel+" "+c.class)
		}
		r, err := c.tune(ctx, dev, o)
		if err != nil {
			return results, fmt.Errorf("%s, %s: %w", c.kernel, c.class, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// toTune is a kernel and class, and what tunes for it.
type toTune struct {
	kernel, class string
	tune          func(context.Context, *gpu.Device, TuneOptions) (TuneResult, error)
}

// passes returns how many tokens the passes have that are tuned for.
func (o *TuneOptions) passes() []int {
	switch {
	case len(o.Tokens) > 0:
		return o.Tokens
	case o.Quick:
		return []int{1, 512}
	}
	return []int{1, 2, 4, 8, 16, 64, 512}
}

// tuneCase is a product to be tuned.
type tuneCase struct {
	kernel string
	part   *part
	n      int // tokens
	what   []string
	uses   int
}

func (c *tuneCase) class() string { return classOf(c.part, c.n) }

// leastTuned is how many weights a matrix must have to be worth tuning for.
const leastTuned = 1 << 16

// tuneCases lists the products of a model, those of one class once.
func tuneCases(src Source, limit uint64, tokens []int, cpu bool) ([]*tuneCase, error) {
	w, err := plan(src, limit)
	if err != nil {
		return nil, err
	}
	var cases []*tuneCase
	at := map[TuningKey]*tuneCase{}
	add := func(what string, m *matrix, most int) {
		if m == nil {
			return
		}
		for _, p := range m.parts {
			for _, n := range tokens {
				if p.bits == 32 || p.rows*p.width < leastTuned || n > most {
					continue
				}
				c := &tuneCase{kernel: kernelFor(cpu, n), part: p, n: n}
				key := TuningKey{c.kernel, c.class()}
				if at[key] == nil {
					at[key], cases = c, append(cases, c)
				}
				c = at[key]
				c.uses++
				if !slices.Contains(c.what, what) {
					c.what = append(c.what, what)
				}
			}
		}
	}
	for i := range w.layers {
		y := &w.layers[i]
		add("q, k, v", y.qkv, 512)
		add("o", y.o, 512)
		add("gate, up", y.gateUp, 512)
		add("down", y.down, 512)
	}
	add("head", w.head, matvecTokens)
	return cases, nil
}

// faster is how much less time a candidate must take than the best one so far, for noise not to decide.
const faster = 0.95

// trier tries candidates out: trial and attentionTrial.
type trier interface {
	defaults() Tuned           // what is used without tuning
	possible(with Tuned) error // why a candidate cannot be had
	// run compares a candidate with the definition and, if it is right, times it.
	run(ctx context.Context, with Tuned) (took time.Duration, right bool, err error)
	close()
}

// tune looks for the best constants of one case.
func (c *tuneCase) tune(ctx context.Context, dev *gpu.Device, o TuneOptions) (TuneResult, error) {
	r := TuneResult{TuningKey: TuningKey{c.kernel, c.class()}, What: strings.Join(c.what, "; "), Tokens: c.n, Uses: c.uses}
	s, err := newTrial(ctx, dev, c, o.Quick)
	if err != nil {
		return r, err
	}
	defer s.close()
	return r, r.search(ctx, dev, s, o.Quick)
}

// search tries the default, presets, and then what is beside the best.
func (r *TuneResult) search(ctx context.Context, dev *gpu.Device, s trier, quick bool) error {
	seen := map[string]bool{}
	try := func(with Tuned) error {
		if seen[with.String()] || s.possible(with) != nil {
			return nil
		}
		seen[with.String()] = true
		if err := ctx.Err(); err != nil {
			return err
		}
		took, right, err := s.run(ctx, with)
		switch {
		case err != nil:
			return err
		case !right && r.Best == nil:
			return fmt.Errorf("the kernel computes something else with %s, which it has without tuning", with)
		case !right:
			r.Wrong = append(r.Wrong, with)
			return nil
		}
		if r.Tried++; r.Best == nil || float64(took) < faster*float64(r.After) {
			r.Best, r.After = with, took
		}
		return nil
	}
	r.Default = s.defaults()
	if err := try(r.Default); err != nil {
		return err
	}
	r.Before = r.After
	for _, with := range tunableOf(r.Kernel).starts(dev, quick) {
		if err := try(with); err != nil {
			return err
		}
	}
	if err := r.descend(try, quick); err != nil {
		return err
	}
	return r.settle(ctx, s)
}

// settle times the best candidate and the default by turns once more: what won by chance loses again.
func (r *TuneResult) settle(ctx context.Context, s trier) error {
	if maps.Equal(r.Best, r.Default) {
		return nil
	}
	r.Before, r.After = math.MaxInt64, math.MaxInt64
	for range 2 {
		for _, x := range []struct {
			with Tuned
			took *time.Duration
		}{{r.Default, &r.Before}, {r.Best, &r.After}} {
			took, _, err := s.run(ctx, x.with)
			if err != nil {
				return err
			}
			*x.took = min(*x.took, took)
		}
	}
	if float64(r.After) > faster*float64(r.Before) {
		r.Best, r.After = r.Default, r.Before
	}
	return nil
}

// starts returns the presets to begin with: the vendor's, or all.
func (t *tunable) starts(dev *gpu.Device, quick bool) []Tuned {
	var list []Tuned
	for _, vendor := range slices.Sorted(maps.Keys(t.presets)) {
		if !quick || vendor == strings.ToLower(dev.Info().Driver) {
			list = append(list, t.presets[vendor])
		}
	}
	return list
}

// descend tries all values of one constant after the other, beside the best of the others, until nothing
// is gained; for a kernel with two constants it tries all pairs.
func (r *TuneResult) descend(try func(Tuned) error, quick bool) error {
	values := tunableOf(r.Kernel).values
	if len(values) == 2 && !quick {
		for _, a := range values[0].values {
			for _, b := range values[1].values {
				if err := try(Tuned{values[0].name: a, values[1].name: b}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for range map[bool]int{true: 1, false: 4}[quick] {
		was := r.After
		for _, v := range values {
			best := r.Best
			for _, n := range v.values {
				with := maps.Clone(best)
				with[v.name] = n
				if err := try(with); err != nil {
					return err
				}
			}
		}
		if r.After == was {
			break
		}
	}
	return nil
}

// recorded returns the program of the product and flush, repeated.
func (s *trial) recorded(with Tuned, times int) (*gpu.Program, error) {
	s.t.opts.Tuning = nil
	if with != nil {
		s.t.opts.Tuning = Tuning{TuningKey{s.kernel, s.class()}: with}
	}
	r := recorder{t: s.t, n: s.n, p: new(gpu.Program)}
	for range times {
		if s.flush[0] != nil {
			r.p.Copy(whole(s.flush[1]), whole(s.flush[0]))
		}
		r.linear(s.m, nil, s.x, s.y, epilogue{scale: 1})
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.p, r.p.Err()
}

// possible reports why there is no such kernel.
func (s *trial) possible(with Tuned) error {
	c := s.part.consts()
	if s.kernel != "matmul" {
		c["TOKENS"] = powerOfTwo(s.n)
	}
	return s.t.possible(s.kernel, s.part, s.n, c, with)
}

// defaults returns the constants without tuning.
func (s *trial) defaults() (with Tuned) {
	s.t.collect = func(k kernels.Kernel) { with = constantsOf(k, s.kernel) }
	_, _ = s.recorded(nil, 1) // what cannot be recorded is told by the first try
	s.t.collect = nil
	return with
}

// constantsOf reads the tunable constants from a kernel's source.
func constantsOf(k kernels.Kernel, kernel string) Tuned {
	with := Tuned{}
	for _, v := range tunableOf(kernel).values {
		with[v.name], _ = k.Constant(v.name) // one that is not there cannot be set either, and that is an error
	}
	return with
}
