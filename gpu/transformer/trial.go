package transformer

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// trial is one matrix on a device with vectors to multiply, for trying kernels out. Weights are small
// multiples of a power of two and vectors consist of −1, 0 and 1, so that no sum of their products, in
// whatever order, is ever rounded: a kernel is right if it is exactly so.
type trial struct {
	*tuneCase
	t     *Transformer // has the matrix, and nothing else
	m     *matrix
	x, y  vectors
	flush [2]*gpu.Buffer // a copy of one to the other leaves nothing else in the device's caches
	void  *gpu.Buffer    // NaN, as large as y
	rows  []int          // that are compared
	want  [][]float32    // [token compared][row compared]
	token []int          // that are compared
	time  time.Duration  // to be spent on timing a candidate, about
}

// newTrial makes up a matrix of a case's shape. Close it.
func newTrial(ctx context.Context, dev *gpu.Device, c *tuneCase, quick bool) (*trial, error) {
	src := exactSource(c.part)
	t := prepare(dev, src, Options{Chunk: max(64, c.n)})
	s := &trial{tuneCase: c, t: t, time: trialTime(quick)}
	if err := s.open(ctx, src); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// trialTime is how long a candidate is timed, about.
func trialTime(quick bool) time.Duration {
	if quick {
		return 10 * time.Millisecond
	}
	return 40 * time.Millisecond
}

func (s *trial) close() { s.t.Close() }

// exactSource is a source of one tensor of the part's shape and packing.
func exactSource(p *part) *Synthetic {
	tensor := model.Tensor{Name: "weights", Role: model.RoleUp, Shape: []int{p.rows, p.width}}
	src := &Synthetic{spec: &model.Spec{Vocab: 1, Hidden: p.width}, tensors: []model.Tensor{tensor}, scheme: p.scheme, pattern: map[int][]byte{}}
	if p.bits < 16 {
		src.pattern[p.bits] = records(p.bits, p.block) // their scale is a power of two
		return src
	}
	rng := rand.New(rand.NewPCG(1, 3))
	b := make([]byte, 0, patternBytes)
	for len(b) < patternBytes {
		b = binary.LittleEndian.AppendUint16(b, block.Float16(float32(rng.IntN(17)-8)/64))
	}
	src.pattern[16] = b
	return src
}

func (s *trial) open(ctx context.Context, src *Synthetic) (err error) {
	t, p := s.t, s.part
	if s.m, err = layOut(src, t.limit, 1, 0); err != nil {
		return err
	}
	t.w = &weights{matrices: []*matrix{s.m}}
	if err := t.allocateSmall(); err != nil {
		return err
	}
	if err := t.allocateWeights(); err != nil {
		return err
	}
	if err := t.load(ctx, struct{ Source }{src}); err != nil { // from its first byte to its last
		return err
	}
	tokens := roundUp(s.n, 128) // whole tiles
	s.x, s.y = vectors{stride: stride(p.width)}, vectors{stride: stride(p.rows)}
	want := map[**gpu.Buffer]int{&s.x.buffer: 4 * tokens * s.x.stride, &s.y.buffer: 4 * tokens * s.y.stride}
	if err := t.buffers(purposeActivations, want); err != nil {
		return err
	}
	if s.flush, err = flushOf(t); err != nil {
		return err
	}
	if s.void, err = voidOf(t, s.y.buffer); err != nil {
		return err
	}
	if err := t.setStep(0, s.n, 0); err != nil {
		return err
	}
	return s.fill(src)
}

// flushOf makes two buffers that are larger than a device's caches: a copy of one to the other leaves nothing
// else there. Software has those of the CPU, and no time to lose.
func flushOf(t *Transformer) (flush [2]*gpu.Buffer, err error) {
	if t.dev.OnCPU() {
		return flush, nil
	}
	n := int(min(256<<20, t.dev.Limits().MaxBufferSize))
	return flush, t.buffers(purposeActivations, map[**gpu.Buffer]int{&flush[0]: n, &flush[1]: n})
}

// voidOf makes a buffer of NaN, as large as another.
func voidOf(t *Transformer, b *gpu.Buffer) (*gpu.Buffer, error) {
	void, err := t.buffer(purposeActivations, int(b.Size()), gpu.Storage)
	if err != nil {
		return nil, err
	}
	return void, void.Write(0, bytes.Repeat([]byte{0xff}, int(b.Size())))
}

// fill makes the vectors up, and computes what some of their products are.
func (s *trial) fill(src *Synthetic) error {
	rng := rand.New(rand.NewPCG(7, uint64(s.part.rows)))
	x := make([]float32, s.n*s.x.stride)
	for i := range s.n {
		for k := range s.part.width {
			x[i*s.x.stride+k] = float32(rng.IntN(3) - 1)
		}
	}
	if err := s.x.buffer.Write(0, floatBytes(x)); err != nil {
		return err
	}
	s.rows, s.token = sampled(rng, s.part.rows, 32), sampled(rng, s.n, 4)
	s.want = make([][]float32, len(s.token))
	w, stored := make([]float32, s.part.width), make([]byte, s.part.restBytes(s.part.width))
	for _, row := range s.rows {
		if err := src.ReadAt(0, stored, int64(row)*int64(len(stored))); err != nil {
			return err
		}
		s.part.decode(w, stored)
		for i, token := range s.token {
			var sum float64
			for k, v := range w {
				sum += float64(v) * float64(x[token*s.x.stride+k])
			}
			s.want[i] = append(s.want[i], float32(sum))
		}
	}
	return nil
}

// decode fills w with the weights of a row as it is at rest.
func (s scheme) decode(w []float32, row []byte) {
	if s.block > 0 {
		block.Scheme{Bits: s.bits, Block: s.block}.DecodeRow(w, row)
		return
	}
	for i := range w {
		w[i] = block.FromFloat16(binary.LittleEndian.Uint16(row[2*i:]))
	}
}

// sampled returns the first and last of n numbers and some between, about count of them.
func sampled(rng *rand.Rand, n, count int) []int {
	list := []int{0, n - 1}
	for range count - 2 {
		list = append(list, rng.IntN(n))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// run compares a candidate with the definition and, if it is right, times it.
func (s *trial) run(ctx context.Context, with Tuned) (took time.Duration, right bool, err error) {
	p, err := s.recorded(with, 1)
	if err != nil {
		return 0, false, err
	}
	var clear gpu.Program
	clear.Copy(whole(s.y.buffer), whole(s.void))
	if err := s.t.dev.Run(&clear, p); err != nil {
		return 0, false, err
	}
	if right, err = s.compare(ctx); err != nil || !right {
		return 0, false, err
	}
	record := func(times int) (*gpu.Program, error) { return s.recorded(with, times) }
	took, err = timed(ctx, s.t.dev, record, s.time)
	return took, true, err
}

// compare reads some vectors: of each every element must have been written, and those of which the
// product is known must be just that.
func (s *trial) compare(ctx context.Context) (bool, error) {
	raw := make([]byte, 4*s.part.rows)
	for i, token := range s.token {
		if err := s.t.dev.Read(ctx, s.y.buffer, uint64(4*token*s.y.stride), raw); err != nil {
			return false, err
		}
		at := func(row int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(raw[4*row:])) }
		for row := range s.part.rows {
			if v := at(row); v != v {
				return false, nil
			}
		}
		for j, row := range s.rows {
			if at(row) != s.want[i][j] {
				return false, nil
			}
		}
	}
	return true, nil
}

// warmUp is how long a GPU works before it is timed. One that has just waited for a compiler, or for the CPU, runs at a
// fraction of its clock.
const warmUp = 100 * time.Millisecond

// timed records something so often that it takes about as long as wanted, and returns the median of the times
// that it took.
func timed(ctx context.Context, dev *gpu.Device, record func(times int) (*gpu.Program, error), want time.Duration) (took time.Duration, err error) {
	p, err := record(1)
	if err != nil {
		return 0, err
	}
	if took, err = median(ctx, dev, p, 1); err != nil { // the first time, which a driver may do more at, only tells how long it takes
		return 0, err
	}
	for begun := time.Now(); !dev.OnCPU() && time.Since(begun) < warmUp; {
		if took, err = median(ctx, dev, p, 1); err != nil {
			return 0, err
		}
	}
	times := int(min(20, max(3, want/max(1, took))))
	if p, err = record(times); err != nil {
		return 0, err
	}
	return median(ctx, dev, p, times)
}

// median runs a program that does the same so many times, and returns the median of the times that it took.
func median(ctx context.Context, dev *gpu.Device, p *gpu.Program, count int) (time.Duration, error) {
	if !dev.Features().TimestampQuery {
		begun := time.Now()
		if err := dev.Run(p); err != nil {
			return 0, err
		}
		err := dev.Wait(ctx)
		return time.Since(begun) / time.Duration(count), err
	}
	timings, err := dev.RunTimed(p)
	if err != nil {
		return 0, err
	}
	parts := len(timings) / count // dispatches of one time
	var times []time.Duration
	for i := 0; i+parts <= len(timings); i += parts {
		var sum time.Duration
		for _, t := range timings[i : i+parts] {
			sum += t.Time()
		}
		times = append(times, sum)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
