package transformer

import (
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/cpu"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/verify"
)

// What is dropped of a full context, and how many tokens come after.
const (
	shiftContext = 24
	shiftKeep    = 2
	shiftDrop    = 11
	shiftNext    = 6
)

// shifting is a model whose sequence can make room.
type shifting interface {
	modeltest.Forwarder
	Shift(keep, drop int) (bool, error)
	Position() int
	CanRewind(position int) bool
}

// afterShift returns the logits of tokens that follow after a shift; nil if the caches do not allow it.
func afterShift(t *testing.T, f shifting, ids []int32) []float32 {
	t.Helper()
	modeltest.Run(t, f, ids[:shiftContext], 7)
	ok, err := f.Shift(shiftKeep, shiftDrop)
	if err != nil {
		t.Fatal(err)
	}
	want := shiftContext
	if ok {
		want -= shiftDrop
	}
	if f.Position() != want {
		t.Fatalf("position %d after a shift (%v), want %d", f.Position(), ok, want)
	}
	if !ok {
		return nil
	}
	var all []float32
	for i := range shiftNext {
		all = append(all, feed(t, f, ids[shiftContext+i:][:1])...)
	}
	return all
}

// TestShiftOfOneLayer drops tokens of models of one layer, whose keys and values depend on no other token: what follows is
// what follows if the tokens that stay are computed anew.
func TestShiftOfOneLayer(t *testing.T) {
	moved := 0
	for name, change := range modeltest.Specs {
		t.Run(name, func(t *testing.T) {
			all := modeltest.PlainSpec()
			change(&all)
			for kind := range all.Kinds {
				s := all
				s.Kinds, s.Layers = s.Kinds[kind:kind+1], []int{0}
				if s.KVLayer(0) < 0 {
					continue // it reads those of another layer
				}
				src := modeltest.New(t, s, modeltest.Floats(16))
				e, err := cpu.New(src, cpu.Options{MaxSeqLen: shiftContext})
				if err != nil {
					t.Fatal(err)
				}
				ids := modeltest.Tokens(shiftContext+shiftNext, s.Vocab)
				got := afterShift(t, e, ids)
				if (got != nil) != s.Shifts() {
					t.Errorf("kind %d: moved %v, want %v", kind, got != nil, s.Shifts())
				}
				if got == nil {
					continue
				}
				moved++
				ref, err := verify.NewReference(src, verify.ReferenceOptions{MaxSeqLen: shiftContext})
				if err != nil {
					t.Fatal(err)
				}
				want := modeltest.Run(t, ref, slices.Concat(ids[:shiftKeep], ids[shiftKeep+shiftDrop:]))
				if d := modeltest.RelRMS(t, got, want[len(want)-len(got):]); !(d <= 1e-5) {
					t.Errorf("kind %d: relative RMS %.2g", kind, d)
				}
			}
		})
	}
	if moved < 15 {
		t.Errorf("%d layers were moved", moved)
	}
}

// TestShift compares what follows a shift on the device with the CPU engine, in the second of two sequences.
func TestShift(t *testing.T) {
	dev := gputest.Open(t)
	for name, change := range modeltest.Specs {
		s := modeltest.PlainSpec()
		change(&s)
		if !s.Shifts() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			bits := []int{16}
			if slices.ContainsFunc(s.Kinds, func(y model.Layer) bool { return y.Attention.KVRank > 0 }) || name == "plain" {
				bits = append(bits, 32)
			}
			src := modeltest.New(t, s, modeltest.Floats(16))
			ids := modeltest.Tokens(shiftContext+shiftNext, s.Vocab)
			for _, kv := range bits {
				tr, err := New(t.Context(), dev, src, Options{KVBits: kv, MaxSeqLen: shiftContext, MaxBatch: 2, Chunk: 4})
				if err != nil {
					t.Fatal(err)
				}
				defer tr.Close()
				if err := tr.Select(1); err != nil {
					t.Fatal(err)
				}
				e, err := cpu.New(src, cpu.Options{MaxSeqLen: shiftContext, KVFloat16: kv == 16})
				if err != nil {
					t.Fatal(err)
				}
				got, want := afterShift(t, tr, ids), afterShift(t, e, ids)
				if d := modeltest.RelRMS(t, got, want); !(d <= 1e-3) {
					t.Errorf("%d bits: relative RMS %.2g", kv, d)
				}
			}
		})
	}
}

// A cache that wraps around holds no more than its window: it moves, but cannot go back behind what was moved.
func TestShiftOfWindow(t *testing.T) {
	s := modeltest.PlainSpec()
	s.Kinds[0].Attention.Window = 6
	src := modeltest.New(t, s, modeltest.Floats(16))
	tr, err := New(t.Context(), gputest.Open(t), src, Options{MaxSeqLen: shiftContext, Chunk: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ids := modeltest.Tokens(shiftContext+shiftNext, s.Vocab)
	if afterShift(t, tr, ids) == nil {
		t.Fatal("nothing was moved")
	}
	for position, want := range map[int]bool{shiftKeep: false, tr.Position() - shiftNext - 1: false, tr.Position() - 2: true} {
		if got := tr.CanRewind(position); got != want {
			t.Errorf("position %d: %v, want %v", position, got, want)
		}
	}
	modeltest.Run(t, tr, ids[:shiftContext], 7)
	if ok, err := tr.Shift(12, 10); ok || err != nil { // the next token, at 14, sees what lies before 12
		t.Errorf("a window across what is kept: %v, %v", ok, err)
	}
}

// TestRewindOfWindow goes back twice: what later tokens have overwritten is lost, also after the first time.
func TestRewindOfWindow(t *testing.T) {
	s := modeltest.PlainSpec()
	s.Kinds[0].Attention.Window = 6
	tr, err := New(t.Context(), gputest.Open(t), modeltest.New(t, s, modeltest.Floats(16)), Options{MaxBatch: 3, MaxSeqLen: shiftContext, Chunk: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	modeltest.Run(t, tr, modeltest.Tokens(shiftContext, s.Vocab), 7)
	first := shiftContext
	for tr.CanRewind(first - 1) {
		first--
	}
	if first == shiftContext || first < 2 {
		t.Fatalf("it goes back to %d", first)
	}
	if err := tr.Rewind(first); err != nil {
		t.Fatal(err)
	}
	moved(t, tr, 1)
	if err := tr.Select(2); err != nil {
		t.Fatal(err)
	}
	if err := tr.CopyFrom(0, first); err != nil {
		t.Fatal(err)
	}
	for sequence := range 3 {
		if err := tr.Select(sequence); err != nil {
			t.Fatal(err)
		}
		if !tr.CanRewind(first) || tr.CanRewind(first-1) {
			t.Errorf("sequence %d, at %d: it stays there: %v, it goes farther back: %v", sequence, first, tr.CanRewind(first), tr.CanRewind(first-1))
		}
		if tr.Reset(); tr.Reached() != 0 {
			t.Errorf("sequence %d has reached %d after Reset", sequence, tr.Reached())
		}
	}
}
