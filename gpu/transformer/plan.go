package transformer

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// ErrTooLarge says that a model needs more memory than the device has, or larger bindings.
var ErrTooLarge = graph.ErrTooLarge

// What memory is counted as.
const (
	purposeWeights     = graph.PurposeWeights
	purposeKV          = graph.PurposeKV
	purposeActivations = graph.PurposeActivations
	purposeLoading     = graph.PurposeLoading
	purposeSampling    = "sampling"
)

// plan is what a Transformer will have on the device, reserved and counted.
type plan struct {
	opts    Options
	weights *graph.Weights
	arena   *arena.Arena
	graph   *graph.Graph
	top     topBuffers
	need    map[string]uint64 // bytes by purpose
}

// leastChunk is the fewest tokens of a pass to which it is cut down for a small device's sake.
const leastChunk = 16

// newPlan plans for bindings of at most limit bytes. While the activations of a pass are larger than a binding,
// passes take fewer tokens. A nil device will do. What the weights need is not counted.
func newPlan(dev *gpu.Device, w *graph.Weights, limit uint64, o Options) (*plan, error) {
	for {
		a := arena.New(dev)
		g, err := graph.New(dev, w, a, limit, graph.Options{
			MaxSeqLen: o.MaxSeqLen, Chunk: o.Chunk, MaxBatch: o.MaxBatch, KVBits: o.KVBits, Choice: o.Kernels,
		})
		if err != nil {
			return nil, err
		}
		p := &plan{opts: o, weights: w, arena: a, graph: g, top: reserveTop(a, w.Spec().Vocab, o.MaxBatch, g.Places()), need: a.Need()}
		if a.Largest(purposeActivations) <= limit || o.Chunk <= leastChunk {
			return p, nil
		}
		o.Chunk /= 2
	}
}

// Need reports the bytes of device memory that a model takes, by purpose, on a device whose bindings hold
// limit bytes. It needs no device: it asks src for its tensors and how they are packed, not for weights.
func Need(src Source, o Options, limit uint64) (map[string]uint64, error) {
	o = o.withDefaults(src.Spec())
	if err := o.check(); err != nil {
		return nil, err
	}
	w, err := graph.Plan(nil, src, limit, o.Kernels)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(nil, w, limit, o)
	if err != nil {
		return nil, err
	}
	p.count(w.Need())
	return p.need, nil
}

// count adds to what is needed.
func (p *plan) count(more map[string]uint64) {
	for purpose, n := range more {
		p.need[purpose] += n
	}
}

// Need reports the bytes of device memory that the model takes, by purpose, without weights that it
// shares.
func (p *plan) Need() map[string]uint64 { return maps.Clone(p.need) }

// allocate makes the memory of arenas, unless more is needed than the device has.
func (p *plan) allocate(dev *gpu.Device, src Source, arenas ...interface{ Allocate() error }) error {
	if free, ok := dev.FreeMemory(); ok && p.opts.Memory == 0 {
		p.opts.Memory = free
	}
	if err := p.fits(src); err != nil {
		return err
	}
	for _, a := range arenas {
		if err := a.Allocate(); err != nil {
			return p.explain(src, err)
		}
	}
	return nil
}

func (p *plan) total() uint64 {
	var n uint64
	for _, bytes := range p.need {
		n += bytes
	}
	return n
}

// fits refuses a model that needs more than there is.
func (p *plan) fits(src Source) error {
	if p.opts.Memory == 0 || p.total() <= p.opts.Memory {
		return nil
	}
	return fmt.Errorf("%w: %s are needed (%s), %s are there; %s",
		ErrTooLarge, graph.Size(p.total()), p.breakdown(), graph.Size(p.opts.Memory), p.advice(src))
}

// explain adds to an allocation's failure what would have been needed.
func (p *plan) explain(src Source, err error) error {
	if !errors.Is(err, gpu.ErrOutOfMemory) {
		return err
	}
	return fmt.Errorf("%w: %s are needed (%s): %w; %s", ErrTooLarge, graph.Size(p.total()), p.breakdown(), err, p.advice(src))
}

func (p *plan) breakdown() string {
	var parts []string
	for _, purpose := range kernels.Sorted(p.need) {
		parts = append(parts, purpose+" "+graph.Size(p.need[purpose]))
	}
	return strings.Join(parts, ", ")
}

// advice says what would make the model smaller: a shorter context, then fewer bits.
func (p *plan) advice(src Source) string {
	have, rest := p.opts.Memory, p.total()-p.need[purposeKV]
	if have > rest && p.need[purposeKV] > 0 {
		length := uint64(p.opts.MaxSeqLen) * (have - rest) / p.need[purposeKV]
		if length >= 64 {
			return fmt.Sprintf("a context of at most %d positions fits", length/64*64)
		}
	}
	var weights uint64
	for _, tensor := range src.Tensors() {
		if tensor.Quantizable() {
			weights += uint64(tensor.Rows()) * uint64(tensor.Cols())
		}
	}
	for _, bits := range []uint64{8, 4, 2} {
		need := p.total() - min(p.total(), p.need[purposeWeights]) + weights*bits/8
		if need < p.total() && (have == 0 || need <= have) {
			return fmt.Sprintf("int%d needs about %s", bits, graph.Size(need))
		}
	}
	return "a smaller model or a device with more memory is needed"
}
