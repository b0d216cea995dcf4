package tune

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// search looks for the best constants of a subject.
type search struct {
	*Result
	dev     *gpu.Device
	subject subject
	quick   bool
	seen    map[string]bool
}

// faster is how much less time a candidate must take than the best one so far, for noise not to decide.
const faster = 0.95

// run tries the default, the presets, and then variations of the best.
func (s *search) run(ctx context.Context) error {
	var err error
	if s.Default, err = s.subject.defaults(); err != nil {
		return err
	}
	if err := s.try(ctx, s.Default); err != nil {
		return err
	}
	s.Before = s.After
	for _, with := range s.starts() {
		if err := s.try(ctx, with); err != nil {
			return err
		}
	}
	if err := s.descend(ctx); err != nil {
		return err
	}
	return s.settle(ctx)
}

// time checks and times a candidate.
func (s *search) time(ctx context.Context, with graph.Tuned) (time.Duration, bool, error) {
	c := graph.Choice{Tuning: graph.Tuning{s.subject.key(): with}}
	return run(ctx, s.dev, s.subject.trials(), c, trialTime(s.quick))
}

// try times a candidate that was not tried before, if it is right.
func (s *search) try(ctx context.Context, with graph.Tuned) error {
	if s.seen[with.String()] || s.subject.possible(with) != nil {
		return nil
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[with.String()] = true
	if err := ctx.Err(); err != nil {
		return err
	}
	took, right, err := s.time(ctx, with)
	switch {
	case err != nil:
		return err
	case !right && s.Best == nil:
		return fmt.Errorf("wrong results with constants %s, which are those used without tuning", with)
	case !right:
		s.Wrong = append(s.Wrong, with)
		return nil
	}
	if s.Tried++; s.Best == nil || float64(took) < faster*float64(s.After) {
		s.Best, s.After = with, took
	}
	return nil
}

// settle times the best candidate and the default by turns once more: what won by chance loses again.
func (s *search) settle(ctx context.Context) error {
	if maps.Equal(s.Best, s.Default) {
		return nil
	}
	s.Before, s.After = math.MaxInt64, math.MaxInt64
	for range 2 {
		for _, x := range []struct {
			with graph.Tuned
			took *time.Duration
		}{{s.Default, &s.Before}, {s.Best, &s.After}} {
			took, _, err := s.time(ctx, x.with)
			if err != nil {
				return err
			}
			*x.took = min(*x.took, took)
		}
	}
	if float64(s.After) > faster*float64(s.Before) {
		s.Best, s.After = s.Default, s.Before
	}
	return nil
}

// starts returns the presets to begin with: the vendor's, or all.
func (s *search) starts() []graph.Tuned {
	var list []graph.Tuned
	presets := graph.TunableOf(s.Kernel).Presets
	for _, vendor := range kernels.Sorted(presets) {
		if !s.quick || vendor == strings.ToLower(s.dev.Info().Driver) {
			list = append(list, presets[vendor])
		}
	}
	return list
}

// descend tries all values of one constant after the other, together with the best values of the others, until nothing
// improves. For a kernel with two constants it tries all pairs.
func (s *search) descend(ctx context.Context) error {
	values := graph.TunableOf(s.Kernel).Values
	if len(values) == 2 && !s.quick {
		for _, a := range values[0].Values {
			for _, b := range values[1].Values {
				if err := s.try(ctx, graph.Tuned{values[0].Name: a, values[1].Name: b}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	rounds := 4
	if s.quick {
		rounds = 1
	}
	for range rounds {
		was := s.After
		for _, v := range values {
			best := s.Best
			for _, n := range v.Values {
				with := maps.Clone(best)
				with[v.Name] = n
				if err := s.try(ctx, with); err != nil {
					return err
				}
			}
		}
		if s.After == was {
			break
		}
	}
	return nil
}
