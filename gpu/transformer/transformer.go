package transformer

import (
	"context"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// Source is where the weights come from: a bundle.
type Source = graph.Source

// MaxBatch is the most sequences that a Transformer may have.
const MaxBatch = graph.MaxBatch

const (
	defaultChunk = 256
	matrixChunk  = 512 // where prompts are multiplied by subgroup matrices: their tiles are larger
	mostChunk    = 4096
)

// Options shape a Transformer.
type Options struct {
	MaxSeqLen int          // positions that the KV cache holds; 0: Spec.Context
	Chunk     int          // how many tokens a pass has at most; 0: 256, or 512 if Kernels has Matrices
	MaxBatch  int          // how many sequences there are, up to the constant MaxBatch; 0: 1
	KVBits    int          // bits of a cached value, 16 or 32; 0: 16
	Memory    uint64       // bytes of memory that may be used: a model that needs more is refused; 0: what is free
	Kernels   graph.Choice // which kernels to use, with which constants; zero: the defaults

	Progress func(done uint64) // called with the bytes of weights sent so far, by one goroutine at a time
	Repeats  bool              // the weights repeat a pattern; see graph.LoadOptions
	// Warm lists passes, by their number of tokens, whose kernels are compiled while the weights load. Up to MaxBatch
	// tokens mean a step of that many sequences, for every length of context; more mean a chunk of a prompt.
	Warm []int
}

func (o Options) withDefaults(s *model.Spec) Options {
	if o.MaxSeqLen == 0 {
		o.MaxSeqLen = s.Context()
	}
	if o.Chunk == 0 && len(o.Kernels.Matrices) > 0 {
		o.Chunk = matrixChunk
	}
	if o.Chunk == 0 {
		o.Chunk = defaultChunk
	}
	if o.KVBits == 0 {
		o.KVBits = 16
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = 1
	}
	return o
}

// check reports options that are out of range.
func (o *Options) check() error {
	switch {
	case o.MaxSeqLen < 1 || o.MaxSeqLen > graph.MaxPositions:
		return fmt.Errorf("max sequence length %d: want 1 to %d", o.MaxSeqLen, graph.MaxPositions)
	case o.Chunk < 1 || o.Chunk > mostChunk:
		return fmt.Errorf("chunk of %d tokens: want 1 to %d", o.Chunk, mostChunk)
	case o.MaxBatch < 1 || o.MaxBatch > MaxBatch:
		return fmt.Errorf("batch of %d sequences: want 1 to %d", o.MaxBatch, MaxBatch)
	case o.KVBits != 16 && o.KVBits != 32:
		return fmt.Errorf("KV cache of %d bits: want 16 or 32", o.KVBits)
	}
	return nil
}

// Transformer is a model on a device, with the state of its sequences: there are MaxBatch of them,
// numbered from 0, and one is selected. It is for one goroutine at a time.
type Transformer struct {
	plan
	dev       *gpu.Device
	shared    bool // the weights belong to a Weights, which closes them
	passes    passes
	finder    *finder
	sequences sequences
	ahead     [2]ahead     // steps that are encoded before their tokens are known
	lead      lead         // steps that run before they are
	paced     [2]gpu.Fence // after the last two chunks of a prompt, the older one first
	rows      []graph.Row  // reused, so that a token allocates nothing
	copying   *gpu.Program // see CopyFrom; nil before the first
	trace     *tracing     // nil: there is none
}

// New uploads the model and allocates all the memory that it will ever need. After an error nothing
// stays on the device.
func New(ctx context.Context, dev *gpu.Device, src Source, o Options) (*Transformer, error) {
	o = o.withDefaults(src.Spec())
	if err := o.check(); err != nil {
		return nil, err
	}
	w, err := graph.Plan(dev, src, dev.Limits().MaxBinding, o.Kernels)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(dev, w, dev.Limits().MaxBinding, o)
	if err != nil {
		return nil, err
	}
	p.count(w.Need())
	t, err := open(dev, src, p)
	if err != nil {
		w.Close()
		return nil, err
	}
	load := graph.LoadOptions{Progress: o.Progress, Repeats: o.Repeats}
	if len(o.Warm) > 0 {
		load.Beside = append(load.Beside, t.warm)
	}
	if err := w.Load(ctx, src, load); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Beside makes a Transformer with sequences of its own that shares the weights of t, which were loaded from src, and its
// kernels. Close it before t.
func (t *Transformer) Beside(src Source, o Options) (*Transformer, error) {
	o.Kernels = t.opts.Kernels
	o = o.withDefaults(src.Spec())
	if err := o.check(); err != nil {
		return nil, err
	}
	p, err := newPlan(t.dev, t.weights, t.dev.Limits().MaxBinding, o)
	if err != nil {
		return nil, err
	}
	other, err := open(t.dev, src, p)
	if err == nil {
		other.shared = true
	}
	return other, err
}

// open allocates what was planned, and the weights if they have no memory yet. On an error it leaves the weights to
// the caller.
func open(dev *gpu.Device, src Source, p *plan) (*Transformer, error) {
	t := &Transformer{plan: *p, dev: dev, passes: newPasses(p.graph), sequences: newSequences(p.opts.MaxBatch)}
	t.lead.able, t.lead.most, t.lead.odds = t.canLead(), t.mostSteps(), newOdds()
	err := t.allocate(dev, src, p.arena, p.weights)
	if err == nil {
		var logits []*arena.Buffer
		for place := range p.graph.Places() {
			logits = append(logits, p.graph.Logits(place).Buffer)
		}
		t.finder, err = newFinder(p.graph.Kit, t.VocabSize(), logits, p.graph.Rows(), p.top)
	}
	if err == nil {
		err = t.graph.Begin()
	}
	if err != nil {
		t.shared = true
		t.Close()
		return nil, err
	}
	return t, nil
}

// Spec returns the model's description.
func (t *Transformer) Spec() *model.Spec { return t.weights.Spec() }

// VocabSize reports how many logits a token has.
func (t *Transformer) VocabSize() int { return t.Spec().Vocab }

// Graph returns what the passes are recorded from. The caller may run passes of its own, so a step that runs ahead is dropped.
func (t *Transformer) Graph() *graph.Graph {
	t.dropLead()
	return t.graph
}

// Reload uploads tensor i again, from a source of the same model that packs it in the same way.
// Transformers that share the weights see it, too. The caches keep what was computed with the old
// weights until Reset.
func (t *Transformer) Reload(ctx context.Context, src Source, i int) error {
	return t.weights.Reload(ctx, src, i)
}

// Close releases all that the Transformer has on the device, except for weights that it shares.
func (t *Transformer) Close() {
	for i := range t.ahead {
		t.ahead[i].submission.Release()
	}
	for i := range t.paced {
		t.paced[i].Release()
	}
	t.finder.close()
	t.arena.Close()
	if !t.shared {
		t.weights.Close()
	}
}
