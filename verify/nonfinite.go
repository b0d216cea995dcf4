package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// stageUnknown is the stage of a NonFiniteError if the model cannot be traced.
const stageUnknown = -1

// NonFiniteError says that a model made NaN or Inf, and where it appears first.
type NonFiniteError struct {
	Model string  // which of the compared models
	Value float32 // NaN, +Inf or −Inf
	Token int     // index in the sequence, from 0
	// Stage counts as Tracer does: 0 the embedding, 1…Layers the layers, Layers+1 the final norm;
	// then Layers+2 is the head; −1: unknown, the model cannot be traced.
	Stage  int
	Layers int
	Cause  error // that the cache of float16 overflowed, or what is wrong with the weights of that stage, if Check found something
}

func (e *NonFiniteError) Error() string {
	msg := fmt.Sprintf("%s: %v at token %d, ", e.Model, e.Value, e.Token)
	switch {
	case e.Stage == stageUnknown:
		msg += "in the logits (this model cannot be traced to a layer)"
	case e.Stage == 0:
		msg += "first in the embedding"
	case e.Stage <= e.Layers:
		msg += fmt.Sprintf("first in layer %d (of layers 0–%d)", e.Stage-1, e.Layers-1)
	case e.Stage == e.Layers+1:
		msg += "first in the final norm"
	default:
		msg += "first in the head"
	}
	if e.Cause != nil {
		msg += ": " + e.Cause.Error()
	}
	return msg
}

func (e *NonFiniteError) Unwrap() error { return e.Cause }

// Layer is the model.Tensor.Layer of the weights of the stage; false if the stage is unknown.
func (e *NonFiniteError) Layer() (int, bool) {
	if e.Stage >= 1 && e.Stage <= e.Layers {
		return e.Stage - 1, true
	}
	return model.NoLayer, e.Stage != stageUnknown
}

// Check asks the caller's check, which looks at block size and scales of the tensors of one layer
// (model.NoLayer: those outside the layers) and names the first bad one, and keeps its answer.
func (e *NonFiniteError) Check(check func(layer int) error) {
	if layer, ok := e.Layer(); ok && check != nil && e.Cause == nil {
		e.Cause = check(layer)
	}
}

// firstNonFinite is the index of the first NaN or infinity, −1 if there is none.
func firstNonFinite(x []float32) int {
	for i, v := range x {
		if v-v != 0 { // 0 for finite numbers, NaN for the others
			return i
		}
	}
	return -1
}

// nonFinite describes the first NaN or infinity in one of two rows of logits.
func nonFinite(reference, candidate []float32) error {
	if i := firstNonFinite(reference); i >= 0 {
		return fmt.Errorf("reference logit %d is %v", i, reference[i])
	}
	if i := firstNonFinite(candidate); i >= 0 {
		return fmt.Errorf("candidate logit %d is %v", i, candidate[i])
	}
	return errors.New("logits too far apart for float64")
}

// locate runs the tokens up to the bad logits again, watching the hidden states, and fills in where
// the damage began. The error it returns is bad, unless the second run fails in another way.
func (s *side) locate(ctx context.Context, bad *NonFiniteError) error {
	tokens := append([]int32(nil), s.seen[:bad.Token+1]...)
	var w watch
	s.f.Reset()
	traced, err := trace(s.f, w.see, func() error {
		return s.f.Forward(ctx, tokens, 0, func(int, []float32) error { return nil })
	})
	if err != nil {
		return fmt.Errorf("%s: while tracing %w: %w", s.name, bad, err)
	}
	if traced {
		bad.Layers, bad.Stage = w.layers(), len(w.stages) // the head, unless an earlier stage is bad
		w.earliest(bad, len(tokens))
	}
	return bad
}

// trace runs f with hook watching the hidden states of a model. It reports false, and runs nothing,
// if the model cannot be traced.
func trace(f Forwarder, hook func(stage int, hidden []float32), run func() error) (bool, error) {
	t, ok := f.(Tracer)
	if !ok {
		return false, nil
	}
	t.SetTrace(hook)
	defer t.SetTrace(nil)
	return true, run()
}

// watch looks for NaN and Inf in the hidden states of a sequence that is run in one or several
// chunks.
type watch struct {
	stages []watched // embedding, layers, final norm
}

// watched is what was seen of one stage.
type watched struct {
	values int  // in all
	bad    bool // value, at index `at`, is NaN or Inf; those before are not
	at     int
	value  float32
}

// see takes the hidden states [tokens of this chunk][hidden] of a stage.
func (w *watch) see(stage int, hidden []float32) {
	for len(w.stages) <= stage {
		w.stages = append(w.stages, watched{})
	}
	s := &w.stages[stage]
	if i := firstNonFinite(hidden); i >= 0 && !s.bad {
		s.bad, s.at, s.value = true, s.values+i, hidden[i]
	}
	s.values += len(hidden)
}

func (w *watch) layers() int { return len(w.stages) - 2 }

// earliest puts the first bad stage into e, and reports whether there is one.
func (w *watch) earliest(e *NonFiniteError, tokens int) bool {
	for i, s := range w.stages {
		if s.bad {
			e.Stage, e.Layers, e.Value, e.Token = i, w.layers(), s.value, s.at/max(1, s.values/tokens)
			return true
		}
	}
	return false
}
