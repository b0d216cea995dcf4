package transformer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// Constants of the topk kernels, which say what they mean.
const (
	topSpan    = 1024
	topCap     = 1024
	topBuckets = 1024
	topWidth   = 1.0 / 32
	topLanes   = 256
	topMin     = 192 // candidates wanted: more than a usual top-k and the penalized tokens together
)

func topGroups(vocab int) int { return (vocab + topSpan - 1) / topSpan }

func topBytes(vocab int) int { return 4 * (4 + 4*topGroups(vocab) + 2*topCap) }

// topStride is how far the results of steps that follow each other are apart: a binding may begin there.
func topStride(vocab int) int { return graph.RoundUp(topBytes(vocab), gpu.Align) }

// topParts is how many parts a span has whose largest logits are told apart: the more, the fewer logits are taken beyond those that
// are wanted. Every workgroup of topk_pick reads them all.
func topParts(vocab int, cpu bool) int {
	most := 1024
	if cpu {
		most = 512
	}
	parts := topLanes
	for parts > 1 && parts*topGroups(vocab) > most {
		parts /= 2
	}
	return parts
}

// finder finds the largest logits of each of several tokens, on the device.
type finder struct {
	kit    *graph.Kit
	vocab  int
	logits []*arena.Buffer // in each place
	rows   *arena.Buffer   // of tokens, where the best are put
	topBuffers
	out      [2]*gpu.Readback // where candidates are read, of logits in even and in odd places
	programs map[finding]*gpu.Program
	raw      []byte // what was read; reused, as found is
	found    []Top
}

// finding names how candidates are found: of how many tokens, and where their logits are. At the end of steps, as many as last
// says, the candidates of all are copied to where they are read; 0: they are not.
type finding struct{ n, place, last int }

// topBuffers are what a finder has on the device.
type topBuffers struct {
	top   *arena.Buffer // candidates, as shared/topk.wgsl describes them
	parts *arena.Buffer // the largest logits of parts, likewise
}

// reserveTop reserves them for a number of tokens at once, or for as many steps as there are pairs of places of logits, and counts the
// memory that they are read through.
func reserveTop(a *arena.Arena, vocab, tokens, places int) topBuffers {
	size := max(tokens*topBytes(vocab), places/2*topStride(vocab))
	a.Count(purposeSampling, min(places, 2)*size)
	return topBuffers{
		top:   a.Reserve(purposeSampling, size, gpu.Storage),
		parts: a.Reserve(purposeSampling, tokens*4*topParts(vocab, false)*topGroups(vocab), gpu.Storage),
	}
}

// newFinder returns a finder for logits [tokens][vocab] in the places that graph.Places counts, of as many tokens at once as b has
// room for.
func newFinder(kit *graph.Kit, vocab int, logits []*arena.Buffer, rows *arena.Buffer, b topBuffers) (*finder, error) {
	size := b.top.Size()
	f := &finder{
		kit: kit, vocab: vocab, logits: logits, rows: rows, topBuffers: b, programs: map[finding]*gpu.Program{},
		raw: make([]byte, size), found: make([]Top, int(size)/topBytes(vocab)),
	}
	for i := range min(len(logits), 2) {
		var err error
		if f.out[i], err = kit.Device().NewReadback(purposeSampling, size); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f *finder) close() {
	if f != nil {
		f.out[0].Release()
		f.out[1].Release()
	}
}

// record records it.
func (f *finder) record(k finding) (*graph.Pass, error) {
	r := f.kit.Recorder("candidates", k.n)
	top := f.top
	if step := k.place / 2; step > 0 {
		top = top.Part(uint64(step*topStride(f.vocab)), uint64(topBytes(f.vocab)))
	}
	for _, name := range []string{"topk_max", "topk_pick"} {
		c := kernels.Consts{"VOCAB": f.vocab, "SPAN": topSpan, "CAP": topCap, "LANES": topLanes, "PARTS": topParts(f.vocab, f.kit.Device().OnCPU())}
		buffers := []*arena.Buffer{f.logits[k.place], top, f.parts}
		if name == "topk_pick" {
			c["K"], c["BUCKETS"], c["WIDTH"] = min(topMin, f.vocab), topBuckets, topWidth
			buffers = append(buffers, f.rows)
		}
		r.Dispatch(name, c, topGroups(f.vocab), k.n, buffers...)
	}
	if k.last > 0 {
		size := uint64(f.size(k.n, k.last))
		r.Copy(f.out[k.place%2].Range(size), f.top.Part(0, size).Range())
	}
	return r.Pass()
}

// size is how many bytes the candidates of n tokens take in steps, of one token if there are several.
func (f *finder) size(n, steps int) int { return (steps-1)*topStride(f.vocab) + n*topBytes(f.vocab) }

// program returns the program that does it.
func (f *finder) program(k finding) (*gpu.Program, error) {
	if p := f.programs[k]; p != nil {
		return p, nil
	}
	pass, err := f.record(k)
	if err != nil {
		return nil, err
	}
	p, err := f.kit.Program(pass)
	if err != nil {
		return nil, err
	}
	f.programs[k] = p
	return p, nil
}

// run finds the candidates of n tokens' logits.
func (f *finder) run(ctx context.Context, n int) ([]Top, error) {
	p, err := f.program(finding{n, 0, 1})
	if err != nil {
		return nil, err
	}
	if err := f.kit.Device().Run(p); err != nil {
		return nil, err
	}
	return f.read(ctx, 0, n, 1)
}

// read waits for the candidates of n tokens' logits in one of the first two places, and reads those of that many steps; it returns
// the first step's. The slice is reused.
func (f *finder) read(ctx context.Context, place, n, steps int) ([]Top, error) {
	if err := f.out[place].Read(ctx, f.raw[:f.size(n, steps)]); err != nil {
		return nil, err
	}
	return f.parse(n, 0)
}

// parse returns the candidates of n tokens in one of the steps that were read. The slice is reused.
func (f *finder) parse(n, step int) ([]Top, error) {
	for i := range n {
		if err := f.found[i].parse(f.raw[step*topStride(f.vocab)+i*topBytes(f.vocab):][:topBytes(f.vocab)], f.vocab); err != nil {
			return nil, fmt.Errorf("sequence %d: %w", i, err)
		}
	}
	return f.found[:n], nil
}

// Top is what a sampler needs of one token's logits: the largest, in no order, and the logarithm of
// the sum of all exponentials. Without candidates there were more than fit.
type Top struct {
	Candidates []sample.Candidate
	LogSumExp  float64
	best       int32 // with which the device would go on
}

// parse reads what the kernels wrote for one token.
func (top *Top) parse(raw []byte, vocab int) error {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(raw[4*i:]) }
	float := func(i int) float64 { return float64(math.Float32frombits(word(i))) }
	groups := topGroups(vocab)
	most := math.Inf(-1)
	for g := range groups {
		most = math.Max(most, float(4+4*g))
	}
	var sum float64
	for g := range groups {
		sum += float(6+4*g) * math.Exp(float(4+4*g)-most)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) || most < -3e38 {
		return sample.ErrNotFinite
	}
	top.LogSumExp, top.Candidates = most+math.Log(sum), top.Candidates[:0]
	n := int(word(0))
	top.best = int32(word(1))
	if n > topCap {
		return nil
	}
	for i := range n {
		at := 4 + 4*groups + 2*i
		top.Candidates = append(top.Candidates, sample.Candidate{ID: int32(word(at)), Logit: float32(float(at + 1))})
	}
	top.trim(float32(most), min(topMin, vocab))
	return nil
}

// trim leaves the candidates of the first buckets that have as many as are wanted, counted from the largest logit. The device
// takes more, because it knows the largest logits of parts alone.
func (top *Top) trim(most float32, want int) {
	var counts [topBuckets]int
	bucket := func(c sample.Candidate) int { return min(int((most-c.Logit)/topWidth), topBuckets-1) } // a device may divide less exactly
	for _, c := range top.Candidates {
		counts[bucket(c)]++
	}
	last, n := 0, counts[0]
	for n < want && last < topBuckets-1 {
		last++
		n += counts[last]
	}
	kept := top.Candidates[:0]
	for _, c := range top.Candidates {
		if bucket(c) <= last {
			kept = append(kept, c)
		}
	}
	top.Candidates = kept
}
