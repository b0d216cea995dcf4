// Package transformer runs a model.Spec with the weights of a bundle on a GPU: it lays the
// weights out, keeps the KV cache, and records a forward step once to replay it for every token.
// It never computes on the CPU what belongs to the model, and never chooses a token.
package transformer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Options shape a Transformer.
type Options struct {
	MaxSeqLen int               // positions that the KV cache holds; 0: the model's, at most 4096
	Chunk     int               // most tokens in one pass; 0: 256
	MaxBatch  int               // sequences that the KV cache holds; 0: 1
	KVBits    int               // 16 or 32 bits a cached value; 0: 16
	Memory    uint64            // bytes that the device has to give: a model that needs more is refused; 0: what the device says
	Tuning    Tuning            // constants of kernels that are fast on this device
	Progress  func(done uint64) // told how many bytes of the weights are on their way, by one goroutine at a time
	Ready     []int             // passes whose programs are made while the weights load: of so many tokens of a sequence, or of one each of so many

	batch       bool     // several tokens take matvec_batch on any device
	splitLength int      // cached positions that a workgroup of attention reads; 0: by the device
	Kernels     *Kernels // what runs in place of the baseline's kernels; nil: nothing
}

// Transformer is a model on a device, with the state of its sequences: there are MaxBatch of them,
// numbered from 0, and one is selected. It is to be used by one goroutine at a time.
type Transformer struct {
	dev   *gpu.Device
	spec  *model.Spec
	opts  Options
	limit uint64 // bytes that a binding holds
	w     *weights

	makes   []func() error    // make the buffers
	owned   []*gpu.Buffer     // all buffers, to be released
	need    map[string]uint64 // bytes by purpose, counted before anything is allocated
	dry     bool              // buffers are being counted, not made
	largest uint64            // bytes of the largest of the activations counted
	none    *gpu.Buffer       // stands where a kernel binds something that it does not read
	sink    *gpu.Buffer       // … or does not write
	step    *gpu.Buffer       // uniform: (n, from) of the body at 0, of the head at 256
	rows    *gpu.Buffer       // [Chunk] (token, position, sequence, 0) u32
	act     activations
	kv      []cache

	angles      []*gpu.Buffer // by index of Spec.RoPE
	shapes      shapes
	groups      map[string]*gpu.BindGroup
	specialized map[string]kernels.Kernel  // by Consts.Key
	bodies      map[bodyKey][]*gpu.Program // the embedding, then each layer
	heads       map[headKey]*gpu.Program   // final norm and head
	tops        map[int]*gpu.Program       // by number of sequences
	squares     map[int]int                // by number of tokens: sums of squares of the final norm that a pass has prepared
	leaves      int                        // those of the last pass

	out      *gpu.Readback              // where candidates are read
	next     step                       // encoded ahead of its tokens
	sequel   map[bodyKey][]*gpu.Program // of steps
	steps    [2][2]int                  // what stands in the step buffer
	fed      []row                      // and what follows are used again, so that a token allocates nothing
	rowBytes []byte
	topBytes []byte
	found    []Top

	splitLengths [matvecTokens + 1]int // by number of tokens: cached positions of a part of attention, 0: all

	paced     [2]gpu.Fence                // after the last two chunks of a prompt, the older one first
	positions []int                       // of each sequence's next token
	sequence  int                         // the selected one
	run       func(...*gpu.Program) error // dev.Run, or what stands in for it
	costs     map[*gpu.Program][]cost     // of each dispatch
	trace     func(layer int, hidden []float32)
	collect   func(kernels.Kernel) // if not nil, takes the kernels that would be dispatched
}

// cache is the KV cache of one layer.
type cache struct {
	k, v   *gpu.Buffer
	cap    int // positions; position p is in slot p mod cap
	window int // positions that a token sees
}

// tailChunk is how many tokens may run at once when the cache has begun to wrap around.
const tailChunk = 32

// maxPositions is how far the table of angles reaches.
const maxPositions = 1 << 20

// New lays out and uploads the model and allocates all it will ever need. On an error nothing
// stays on the device.
func New(ctx context.Context, dev *gpu.Device, src Source, o Options) (*Transformer, error) {
	t := prepare(dev, src, o)
	t.makes = []func() error{t.allocateSmall, t.allocateActivations, t.allocateCache, t.allocateAngles, t.allocateWeights}
	if err := t.open(ctx, src); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// prepare returns a Transformer that has nothing on the device yet.
func prepare(dev *gpu.Device, src Source, o Options) *Transformer {
	return &Transformer{
		dev: dev, run: dev.Run, costs: map[*gpu.Program][]cost{}, spec: src.Spec(), opts: o.withDefaults(src.Spec()), limit: dev.Limits().MaxBinding,
		groups: map[string]*gpu.BindGroup{}, bodies: map[bodyKey][]*gpu.Program{}, heads: map[headKey]*gpu.Program{}, tops: map[int]*gpu.Program{},
		squares: map[int]int{}, sequel: map[bodyKey][]*gpu.Program{},
	}
}

func (o Options) withDefaults(s *model.Spec) Options {
	if o.MaxSeqLen == 0 {
		o.MaxSeqLen = 4096
		if s.MaxPositions > 0 {
			o.MaxSeqLen = min(o.MaxSeqLen, s.MaxPositions)
		}
	}
	if o.Chunk == 0 {
		o.Chunk = 256
	}
	if o.KVBits == 0 {
		o.KVBits = 16
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = 1
	}
	return o
}

func (t *Transformer) open(ctx context.Context, src Source) error {
	shared := t.w != nil
	if err := t.design(src); err != nil {
		return err
	}
	if free, ok := t.dev.FreeMemory(); ok && t.opts.Memory == 0 {
		t.opts.Memory = free
	}
	if err := t.fits(src); err != nil {
		return err
	}
	if err := t.allocate(); err != nil {
		return t.explain(src, err)
	}
	if shared {
		return nil
	}
	return t.load(ctx, src)
}

// design lays the model out and counts what it needs. It uses no device.
func (t *Transformer) design(src Source) error {
	o := t.opts
	switch {
	case o.MaxSeqLen < 1 || o.MaxSeqLen > maxPositions:
		return fmt.Errorf("max sequence length %d: want 1 to %d", o.MaxSeqLen, maxPositions)
	case o.Chunk < 1 || o.Chunk > 4096:
		return fmt.Errorf("chunk of %d tokens: want 1 to 4096", o.Chunk)
	case o.MaxBatch < 1 || o.MaxBatch > matvecTokens:
		return fmt.Errorf("batch of %d sequences: want 1 to %d", o.MaxBatch, matvecTokens)
	case o.KVBits != 16 && o.KVBits != 32:
		return fmt.Errorf("KV cache of %d bits: want 16 or 32", o.KVBits)
	}
	if err := supported(t.spec); err != nil {
		return err
	}
	t.positions = make([]int, o.MaxBatch)
	t.setSplits()
	shared := t.w != nil
	if !shared {
		var err error
		if t.w, err = plan(src, t.limit); err != nil {
			return err
		}
	}
	return t.count(src, !shared)
}

// allocate makes all buffers.
func (t *Transformer) allocate() error {
	for _, allocate := range t.makes {
		if err := allocate(); err != nil {
			return err
		}
	}
	return nil
}

// supported says what of a Spec the kernels cannot do.
func supported(s *model.Spec) error {
	for i := range s.Kinds {
		a := s.Kinds[i].Attention
		if a.HeadDim%2 != 0 || a.HeadDim > 512 {
			return fmt.Errorf("heads of %d elements: the runtime takes even sizes up to 512", a.HeadDim)
		}
	}
	return nil
}

// buffer allocates a buffer that Close releases.
func (t *Transformer) buffer(purpose string, bytes int, u gpu.Usage) (*gpu.Buffer, error) {
	if t.dry {
		t.need[purpose] += uint64(bytes)
		if purpose == purposeActivations {
			t.largest = max(t.largest, uint64(bytes))
		}
		return nil, nil
	}
	b, err := t.dev.NewBuffer(purpose, uint64(bytes), u)
	if err != nil {
		return nil, err
	}
	t.owned = append(t.owned, b)
	return b, nil
}

// release gives one of the buffers back before Close does, with the bind groups that know it.
func (t *Transformer) release(b *gpu.Buffer) {
	name := groupName(b)
	for key, g := range t.groups {
		if strings.Contains(key, name) {
			g.Release()
			delete(t.groups, key)
		}
	}
	b.Release()
	t.owned = slices.DeleteFunc(t.owned, func(o *gpu.Buffer) bool { return o == b })
}

// buffers allocates several storage buffers of so many bytes each.
func (t *Transformer) buffers(purpose string, to map[**gpu.Buffer]int) error {
	for p, n := range to {
		b, err := t.buffer(purpose, n, gpu.Storage)
		if err != nil {
			return err
		}
		*p = b
	}
	return nil
}

func (t *Transformer) allocateSmall() error {
	var err error
	if t.step, err = t.buffer(purposeActivations, 512, gpu.Uniform); err != nil {
		return err
	}
	return t.buffers(purposeActivations, map[**gpu.Buffer]int{&t.none: 256, &t.sink: 256, &t.rows: 16 * t.tokens()})
}

// activations are the vectors of a chunk of tokens on their way through a layer, [Chunk][stride]
// float32; strides are multiples of 256 and the elements past the width stay zero.
type activations struct {
	x      *gpu.Buffer // the residual stream
	normed *gpu.Buffer // attention's input
	mlpIn  *gpu.Buffer // the MLP's input
	qkv    *gpu.Buffer
	q      *gpu.Buffer // queries, rotated
	gateUp *gpu.Buffer
	// inner are the outputs of attention's heads and of the first halves of MLPs, by width: what
	// is between width and stride was never written
	inner  map[int]*gpu.Buffer
	branch *gpu.Buffer // what a post-norm reads
	parts  *gpu.Buffer // of attention that is cut, as attention_split describes them
	ahead  *gpu.Buffer // [matvecTokens][aheadStride]: the input of the product after a norm, as matvec prepares it

	router  *gpu.Buffer // router logits
	chosen  *gpu.Buffer // experts and their weights, as route.wgsl describes them
	order   *gpu.Buffer // the choices by expert, as group.wgsl describes them
	slotOut *gpu.Buffer // outputs of the chosen experts

	final  *gpu.Buffer // the head's input
	logits *gpu.Buffer // [headRows][Vocab]
	top    *gpu.Buffer // candidates, as topk_max.wgsl describes them
	hist   *gpu.Buffer

	hidden, qkvWidth, qWidth, aheadStride int // strides
	headRows                              int // tokens that the head takes at once
}

// of returns the vectors of attention's or an MLP's inner width.
func (a *activations) of(width int) vectors {
	return vectors{buffer: a.inner[width], stride: stride(width)}
}

// stride is the distance of two tokens' vectors of n elements.
func stride(n int) int { return roundUp(n, 256) }

// logitBytes bounds what the logits of several tokens may take.
const logitBytes = 32 << 20

// tokens reports for how many tokens there are activations: a chunk, up to whole tiles of matmul.
func (t *Transformer) tokens() int { return roundUp(max(t.opts.Chunk, t.opts.MaxBatch), 64) }

func (t *Transformer) allocateActivations() error {
	s, a, n := t.spec, &t.act, t.tokens()
	a.hidden = stride(s.Hidden)
	a.aheadStride = a.hidden + stride(s.Hidden/2+4) // a workgroup of matvec makes two rows at least
	var gateUp, experts, choices, order, parts int  // elements
	inner := map[int]int{}                          // vectors by width
	for i := range s.Kinds {
		at, m := &s.Kinds[i].Attention, &s.Kinds[i].MLP
		a.qkvWidth = max(a.qkvWidth, stride((at.Heads+2*at.KVHeads)*at.HeadDim))
		a.qWidth = max(a.qWidth, stride(at.Heads*at.HeadDim))
		for n := range matvecTokens {
			parts = max(parts, (n+1)*t.splits(n+1, t.opts.MaxSeqLen)*at.Heads*(at.HeadDim+2))
		}
		k := max(1, m.TopK)
		gateUp = max(gateUp, n*k*stride(2*m.Intermediate), n*stride(2*m.Shared))
		for _, width := range []int{at.Heads * at.HeadDim, m.Intermediate, m.Shared} {
			if width > 0 {
				inner[width] = max(inner[width], n*k)
			}
		}
		if m.Experts > 0 {
			experts, choices = max(experts, m.Experts), max(choices, n*k)
			order = max(order, n*k+4*(n*k/64+m.Experts))
		}
	}
	most := min(logitBytes, t.limit) / uint64(4*s.Vocab)
	if most == 0 {
		return fmt.Errorf("%w: a vocabulary of %d tokens: its logits are larger than this device's binding limit", ErrTooLarge, s.Vocab)
	}
	a.headRows = min(int(most), max(t.opts.Chunk, t.opts.MaxBatch), 64)
	if a.headRows < t.opts.MaxBatch {
		return fmt.Errorf("%w: a batch of %d sequences: its logits are larger than this device's binding limit", ErrTooLarge, t.opts.MaxBatch)
	}
	want := map[**gpu.Buffer]int{
		&a.x: n * a.hidden, &a.normed: n * a.hidden, &a.mlpIn: n * a.hidden, &a.branch: n * a.hidden,
		&a.ahead: matvecTokens * a.aheadStride, &a.parts: max(parts, 64),
		&a.qkv: n * a.qkvWidth, &a.q: n * a.qWidth, &a.gateUp: gateUp,
		&a.final: 64 * a.hidden, &a.logits: a.headRows * s.Vocab,
	}
	if experts > 0 {
		want[&a.router], want[&a.chosen], want[&a.order] = n*stride(experts), 2*choices, order
		want[&a.slotOut] = choices * a.hidden
	}
	for p := range want {
		want[p] *= 4
	}
	if err := t.buffers(purposeActivations, want); err != nil {
		return err
	}
	a.inner = map[int]*gpu.Buffer{}
	for width, count := range inner {
		var err error
		if a.inner[width], err = t.buffer(purposeActivations, 4*count*stride(width), gpu.Storage); err != nil {
			return err
		}
	}
	found := 4 * t.opts.MaxBatch * topWords(s.Vocab)
	if t.dry {
		t.need[purposeSampling] += uint64(found)
	} else {
		var err error
		if t.out, err = t.dev.NewReadback(purposeSampling, uint64(found)); err != nil {
			return err
		}
	}
	return t.buffers(purposeSampling, map[**gpu.Buffer]int{&a.top: found, &a.hist: 4 * t.opts.MaxBatch * topBuckets})
}

// allocateCache makes each layer's cache as long as what its tokens see, and longer by what one
// pass overwrites.
func (t *Transformer) allocateCache() error {
	for i := range t.spec.Layers {
		a := &t.spec.Layer(i).Attention
		c := cache{window: t.opts.MaxSeqLen}
		for _, w := range []int{a.Window, a.Chunk} {
			if w > 0 {
				c.window = min(c.window, w)
			}
		}
		c.cap = c.window + tailChunk - 1
		if c.window < t.opts.MaxSeqLen {
			c.cap = min(c.window+t.opts.Chunk-1, t.opts.MaxSeqLen+tailChunk-1)
		}
		position := t.opts.MaxBatch * a.KVHeads * a.HeadDim * t.opts.KVBits / 8 // bytes
		n := position * c.cap
		if uint64(n) > t.limit {
			fits := max(0, int(t.limit)/position-(c.cap-c.window))
			return fmt.Errorf("%w: a context of %d positions: the keys of a layer take %s, this device binds at most %s: a context of at most %d positions fits",
				ErrTooLarge, t.opts.MaxSeqLen, binarySize(uint64(n)), binarySize(t.limit), fits)
		}
		if err := t.buffers(purposeKV, map[**gpu.Buffer]int{&c.k: n, &c.v: n}); err != nil {
			return err
		}
		if !t.dry {
			t.kv = append(t.kv, c)
		}
	}
	return nil
}

// allocateAngles makes the tables of cos and sin that rope.wgsl combines: of positions 0 … 255,
// and of every 256th position after.
func (t *Transformer) allocateAngles() error {
	for i := range t.spec.RoPE {
		freq, factor := t.spec.RoPE[i].For(t.opts.MaxSeqLen)
		var table []float32
		add := func(position int, scale float64) {
			for _, f := range freq {
				s, c := math.Sincos(float64(position) * float64(f))
				table = append(table, float32(c*scale), float32(s*scale))
			}
		}
		for p := range 256 {
			add(p, float64(factor))
		}
		for p := range maxPositions / 256 {
			add(256*p, 1)
		}
		b, err := t.buffer(purposeWeights, 4*len(table), gpu.Storage)
		if err != nil {
			return err
		}
		if t.dry {
			continue
		}
		if err := b.Write(0, floatBytes(table)); err != nil {
			return err
		}
		t.angles = append(t.angles, b)
	}
	return nil
}

// Spec returns the model's description.
func (t *Transformer) Spec() *model.Spec { return t.spec }

// VocabSize reports how many logits a token has.
func (t *Transformer) VocabSize() int { return t.spec.Vocab }

// Select makes Forward, Top, Position, Rewind and Reset those of the given sequence.
func (t *Transformer) Select(sequence int) error {
	if sequence < 0 || sequence >= len(t.positions) {
		return fmt.Errorf("sequence %d: there are %d", sequence, len(t.positions))
	}
	t.sequence = sequence
	return nil
}

// Position reports how many tokens have been fed to the sequence.
func (t *Transformer) Position() int { return t.positions[t.sequence] }

// Rewind makes the next token one at the given position. What the cache holds of positions before
// it stays, if a token was ever fed there.
func (t *Transformer) Rewind(position int) error {
	if position < 0 || position >= maxPositions {
		return fmt.Errorf("position %d: want 0 to %d", position, maxPositions-1)
	}
	t.positions[t.sequence] = position
	return nil
}

// Reset forgets the sequence.
func (t *Transformer) Reset() { t.positions[t.sequence] = 0 }

// SetTrace has f called with the residual stream [tokens][Hidden] of every chunk of tokens after
// the embedding (layer 0), after each layer (1 … N) and after the final norm (N+1). nil ends it.
func (t *Transformer) SetTrace(f func(layer int, hidden []float32)) { t.trace = f }

// Close releases all that the Transformer has on the device.
func (t *Transformer) Close() {
	t.next.submission.Release()
	for i := range t.paced {
		t.paced[i].Release()
	}
	t.out.Release()
	for _, g := range t.groups {
		g.Release()
	}
	for _, b := range t.owned {
		b.Release()
	}
	t.owned, t.groups = nil, nil
}
