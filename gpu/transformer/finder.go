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

// topParts is how many parts a span has whose largest logits are told apart: the more, the fewer logits are taken beyond those that
// are wanted. Every workgroup of topk_pick reads them all.
func topParts(vocab int, cpu bool) int {
	most := 4096
	if cpu {
		most = 512
	}
	parts := topLanes
	for parts > 1 && parts*topGroups(vocab) > most {
		parts /= 2
	}
	return parts
}

func topBytes(vocab int) int { return 4 * (4 + 4*topGroups(vocab) + 2*topCap) }

// finder finds the largest logits of each of several tokens, on the device.
type finder struct {
	kit    *graph.Kit
	vocab  int
	logits [2]*arena.Buffer // in either place; the second nil: there is one place
	rows   *arena.Buffer    // of tokens, where the best are put
	topBuffers
	out      [2]*gpu.Readback        // where candidates are read, of logits in either place
	programs [2]map[int]*gpu.Program // by place, by number of tokens
	raw      []byte                  // what was read; reused, as found is
	found    []Top
}

// topBuffers are what a finder has on the device.
type topBuffers struct {
	top   *arena.Buffer // candidates, as shared/topk.wgsl describes them
	parts *arena.Buffer // the largest logits of parts, likewise
}

// reserveTop reserves them for a number of tokens at once, and counts the memory that they are
// read through, once for each place of logits.
func reserveTop(a *arena.Arena, vocab, tokens, places int) topBuffers {
	a.Count(purposeSampling, places*tokens*topBytes(vocab))
	return topBuffers{
		top:   a.Reserve(purposeSampling, tokens*topBytes(vocab), gpu.Storage),
		parts: a.Reserve(purposeSampling, tokens*4*topParts(vocab, false)*topGroups(vocab), gpu.Storage),
	}
}

// newFinder returns a finder for logits [tokens][vocab], of as many tokens at once as b has room for.
func newFinder(kit *graph.Kit, vocab int, logits [2]*arena.Buffer, rows *arena.Buffer, b topBuffers) (*finder, error) {
	size := b.top.Size()
	f := &finder{kit: kit, vocab: vocab, logits: logits, rows: rows, topBuffers: b, raw: make([]byte, size), found: make([]Top, int(size)/topBytes(vocab))}
	for i, buffer := range logits {
		var err error
		if buffer == nil {
			break
		}
		f.programs[i] = map[int]*gpu.Program{}
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

// record records how the candidates of n tokens are found and copied to where they are read.
func (f *finder) record(n, place int) (*graph.Pass, error) {
	r := f.kit.Recorder("candidates", n)
	for _, k := range []string{"topk_max", "topk_pick"} {
		c := kernels.Consts{"VOCAB": f.vocab, "SPAN": topSpan, "CAP": topCap, "LANES": topLanes, "PARTS": topParts(f.vocab, f.kit.Device().OnCPU())}
		buffers := []*arena.Buffer{f.logits[place], f.top, f.parts}
		if k == "topk_pick" {
			c["K"], c["BUCKETS"], c["WIDTH"] = min(topMin, f.vocab), topBuckets, topWidth
			buffers = append(buffers, f.rows)
		}
		r.Dispatch(k, c, topGroups(f.vocab), n, buffers...)
	}
	size := uint64(n * topBytes(f.vocab))
	r.Copy(f.out[place].Range(size), f.top.Part(0, size).Range())
	return r.Pass()
}

// program returns the program that does it.
func (f *finder) program(n, place int) (*gpu.Program, error) {
	if p := f.programs[place][n]; p != nil {
		return p, nil
	}
	pass, err := f.record(n, place)
	if err != nil {
		return nil, err
	}
	p, err := f.kit.Program(pass)
	if err != nil {
		return nil, err
	}
	f.programs[place][n] = p
	return p, nil
}

// run finds the candidates of n tokens' logits.
func (f *finder) run(ctx context.Context, n int) ([]Top, error) {
	p, err := f.program(n, 0)
	if err != nil {
		return nil, err
	}
	if err := f.kit.Device().Run(p); err != nil {
		return nil, err
	}
	return f.read(ctx, 0, n)
}

// read waits for the candidates of n tokens' logits in one of the places. The slice is reused.
func (f *finder) read(ctx context.Context, place, n int) ([]Top, error) {
	size := topBytes(f.vocab)
	if err := f.out[place].Read(ctx, f.raw[:n*size]); err != nil {
		return nil, err
	}
	for i := range n {
		if err := f.found[i].parse(f.raw[i*size:(i+1)*size], f.vocab); err != nil {
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
	bucket := func(c sample.Candidate) int { return int((most - c.Logit) / topWidth) }
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
