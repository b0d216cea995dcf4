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

// Constants of the topk kernels; topk_max.wgsl says what they mean.
const (
	topSpan    = 1024
	topCap     = 1024
	topBuckets = 1024
	topMin     = 192 // candidates wanted: more than a usual top-k and the penalized tokens together
)

func topGroups(vocab int) int { return (vocab + topSpan - 1) / topSpan }
func topBytes(vocab int) int  { return 4 * (4 + 4*topGroups(vocab) + 2*topCap) }

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
	top  *arena.Buffer // candidates, as topk_max.wgsl describes them
	hist *arena.Buffer
}

// reserveTop reserves them for a number of tokens at once, and counts the memory that they are
// read through, once for each place of logits.
func reserveTop(a *arena.Arena, vocab, tokens, places int) topBuffers {
	a.Count(purposeSampling, places*tokens*topBytes(vocab))
	return topBuffers{
		top:  a.Reserve(purposeSampling, tokens*topBytes(vocab), gpu.Storage),
		hist: a.Reserve(purposeSampling, tokens*4*topBuckets, gpu.Storage),
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
	for _, k := range []string{"topk_max", "topk_count", "topk_pick"} {
		c := kernels.Consts{"VOCAB": f.vocab, "SPAN": topSpan, "CAP": topCap, "BUCKETS": topBuckets}
		buffers := []*arena.Buffer{f.logits[place], f.top, f.hist}
		if k == "topk_pick" {
			c["K"], buffers = min(topMin, f.vocab), append(buffers, f.rows)
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
	return nil
}
