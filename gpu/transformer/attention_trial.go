package transformer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// attentionContexts are the lengths of context that attention of a token is timed at: the sum decides.
var attentionContexts = []int{512, 4096}

// attentionTrial is one layer's attention of n single tokens, each of a sequence of its own, over a cache of
// made-up keys and values.
type attentionTrial struct {
	t     *Transformer // of one layer with this attention, and little else
	at    *model.Attention
	n     int
	out   vectors
	void  *gpu.Buffer
	flush [2]*gpu.Buffer
	q     []float32 // [n][stride]
	cache []uint16  // keys, or values: float16s that the cache repeats
	time  time.Duration
}

// newAttentionTrial makes the cache. Close it.
func newAttentionTrial(ctx context.Context, dev *gpu.Device, at *model.Attention, n int, quick bool) (*attentionTrial, error) {
	layer := model.Layer{Attention: *at, MLP: model.MLP{Intermediate: 64, Gated: true, Activation: model.SiLU}, PreNorm: true, ResidualScale: 1}
	layer.Attention.RoPE, layer.Attention.QKNorm = -1, model.QKNormNone
	spec := &model.Spec{
		Vocab: 64, Hidden: 64, MaxPositions: 4096, EmbedScale: 1, LogitScale: 1, TiedHead: true,
		Norm: model.Norm{Kind: model.RMSNorm, Eps: 1e-5}, Kinds: []model.Layer{layer}, Layers: []int{0},
	}
	src, err := NewSynthetic(spec, 16, 0)
	if err != nil {
		return nil, err
	}
	longest := attentionContexts[len(attentionContexts)-1]
	t, err := New(ctx, dev, src, Options{MaxSeqLen: longest, MaxBatch: n, Chunk: 64, splitLength: 32}) // with room for the most parts
	if err != nil {
		return nil, err
	}
	t.opts.splitLength = 0
	s := &attentionTrial{t: t, at: &spec.Kinds[0].Attention, n: n, time: trialTime(quick)}
	if err := s.fill(); err != nil {
		t.Close()
		return nil, err
	}
	return s, nil
}

// attentionCase is attention of so many single tokens, each of a sequence of its own.
type attentionCase struct {
	at   *model.Attention
	n    int
	uses int
}

func (c *attentionCase) class() string { return attentionClass(c.at, c.n) }

// attentionCases lists the attention of a model, that of one class once.
func attentionCases(spec *model.Spec, tokens []int) []*attentionCase {
	var cases []*attentionCase
	for _, n := range tokens {
		if n > matvecTokens {
			continue
		}
		seen := map[string]*attentionCase{}
		for i := range spec.Layers {
			c := &attentionCase{at: &spec.Layer(i).Attention, n: n}
			if c.at.HeadDim%8 != 0 {
				continue // another kernel's
			}
			if seen[c.class()] == nil {
				seen[c.class()], cases = c, append(cases, c)
			}
			seen[c.class()].uses++
		}
	}
	return cases
}

// tune looks for the best division among workgroups.
func (c *attentionCase) tune(ctx context.Context, dev *gpu.Device, o TuneOptions) (TuneResult, error) {
	r := TuneResult{TuningKey: TuningKey{"attention_split", c.class()}, What: "attention", Tokens: c.n, Uses: c.uses}
	s, err := newAttentionTrial(ctx, dev, c.at, c.n, o.Quick)
	if err != nil {
		return r, err
	}
	defer s.close()
	return r, r.search(ctx, dev, s, o.Quick)
}

func (s *attentionTrial) close() { s.t.Close() }

// cachePeriod is after how many values the cache repeats: no multiple of anything that kernels count by.
const cachePeriod = 1<<18 + 2

// fill makes queries, keys and values up.
func (s *attentionTrial) fill() error {
	t, at := s.t, s.at
	rng := rand.New(rand.NewPCG(11, uint64(at.Heads)))
	s.out = t.act.of(at.Heads * at.HeadDim)
	s.q = make([]float32, s.n*t.act.qWidth)
	for i := range s.q {
		if i%t.act.qWidth < at.Heads*at.HeadDim {
			s.q[i] = float32(rng.NormFloat64() / math.Sqrt(float64(at.HeadDim)))
		}
	}
	if err := t.act.q.Write(0, floatBytes(s.q)); err != nil {
		return err
	}
	s.cache = make([]uint16, cachePeriod)
	period := make([]byte, 0, 2*cachePeriod)
	for i := range s.cache {
		s.cache[i] = block.Float16(float32(rng.NormFloat64()))
		period = binary.LittleEndian.AppendUint16(period, s.cache[i])
	}
	kv := &t.kv[0]
	for off := uint64(0); off < kv.k.Size(); off += uint64(len(period)) {
		piece := period[:min(uint64(len(period)), kv.k.Size()-off)]
		if err := kv.k.Write(off, piece); err != nil {
			return err
		}
		if err := kv.v.Write(off, piece); err != nil {
			return err
		}
	}
	var err error
	if s.void, err = voidOf(t, s.out.buffer); err == nil {
		s.flush, err = flushOf(t)
	}
	return err
}

func (s *attentionTrial) defaults() Tuned {
	s.t.opts.Tuning = nil
	return s.t.parts(s.at, s.n)
}

func (s *attentionTrial) possible(with Tuned) error {
	if s.at.Heads/s.at.KVHeads%with["QUERIES"] != 0 || s.at.HeadDim > 8*with["LANES"] {
		return fmt.Errorf("kernel attention_split: %v does not go with %s", with, attentionClass(s.at, s.n))
	}
	c := s.t.headConsts(s.at, &s.t.kv[0])
	delete(c, "KV_BITS")
	c["QUERIES"], c["LANES"], c["EACH"] = with["QUERIES"], with["LANES"], with["EACH"]
	k, err := specialize(s.t.dev, "attention_split", c)
	if err != nil {
		return err
	}
	return s.t.dev.Fits(k)
}

// recorded returns the program of attention at a context, repeated.
func (s *attentionTrial) recorded(with Tuned, length, times int) (*gpu.Program, error) {
	t := s.t
	t.opts.Tuning = Tuning{TuningKey{"attention_split", attentionClass(s.at, s.n)}: with}
	t.setSplits()
	r := recorder{t: t, n: s.n, p: new(gpu.Program), splits: t.splits(s.n, length)}
	for range times {
		if s.flush[0] != nil {
			r.p.Copy(whole(s.flush[1]), whole(s.flush[0]))
		}
		r.attend(s.at, &t.kv[0], s.out)
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.p, r.p.Err()
}

// run compares a candidate with the definition at each context and, if it is right, times it.
func (s *attentionTrial) run(ctx context.Context, with Tuned) (took time.Duration, right bool, err error) {
	for _, length := range attentionContexts {
		rows := make([]row, s.n)
		for i := range rows {
			rows[i] = row{0, length - 1, i}
		}
		if err := s.t.writeRows(rows); err != nil {
			return 0, false, err
		}
		p, err := s.recorded(with, length, 1)
		if err != nil {
			return 0, false, err
		}
		var clear gpu.Program
		clear.Copy(whole(s.out.buffer), whole(s.void))
		if err := s.t.dev.Run(&clear, p); err != nil {
			return 0, false, err
		}
		if right, err = s.compare(ctx, length); err != nil || !right {
			return 0, false, err
		}
		record := func(times int) (*gpu.Program, error) { return s.recorded(with, length, times) }
		d, err := timed(ctx, s.t.dev, record, s.time)
		if err != nil {
			return 0, false, err
		}
		took += d
	}
	return took, true, nil
}

// compare checks every element of the first and the last token's output against float64.
func (s *attentionTrial) compare(ctx context.Context, length int) (bool, error) {
	width := s.at.Heads * s.at.HeadDim
	raw := make([]byte, 4*width)
	for _, token := range []int{0, s.n - 1} {
		if err := s.t.dev.Read(ctx, s.out.buffer, uint64(4*token*s.out.stride), raw); err != nil {
			return false, err
		}
		for _, head := range []int{0, s.at.Heads / 2, s.at.Heads - 1} {
			want, within := s.definition(token, head, length)
			for i := range want {
				got := float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(head*s.at.HeadDim+i):])))
				if !(math.Abs(got-want[i]) <= within[i]) {
					return false, nil
				}
			}
		}
		for i := range width {
			if v := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])); v != v {
				return false, nil
			}
		}
	}
	return true, nil
}

// definition returns the output of a head and how far off float32 arithmetic may be: a score by half an ulp of
// its terms for each of them, an exponential by that and (3+2|x|) ulp as WGSL has it, and sums over the positions by
// half an ulp of their terms for each; twice, for the numerator and the denominator.
func (s *attentionTrial) definition(token, head, length int) (want, within []float64) {
	const ulp, unit = 0x1p-23, 0x1p-24
	at, kv := s.at, &s.t.kv[0]
	row0 := (token*at.KVHeads + head/(at.Heads/at.KVHeads)) * kv.cap
	q := s.q[token*s.t.act.qWidth+head*at.HeadDim:][:at.HeadDim]
	from := max(0, length-kv.window)
	if at.Chunk > 0 {
		from = max(from, (length-1)/at.Chunk*at.Chunk)
	}
	value := func(position, i int) float64 {
		return float64(block.FromFloat16(s.cache[((row0+position%kv.cap)*at.HeadDim+i)%cachePeriod]))
	}
	scores := make([]float64, length-from)
	most, lost := math.Inf(-1), 0.0 // the largest score; what a score may lose
	for p := range scores {
		var size float64
		for i, x := range q {
			term := float64(x) * value(from+p, i)
			scores[p] += term
			size += math.Abs(term)
		}
		lost = max(lost, float64(at.HeadDim+2)*unit*size)
		if at.Softcap != 0 { // tanh: 4 more roundings of a slope of at most 1
			cap := float64(at.Softcap)
			scores[p] = cap * math.Tanh(scores[p]/cap)
			lost = max(lost, lost+8*ulp*cap)
		}
		most = max(most, scores[p])
	}
	var sum, relative float64
	want, within = make([]float64, at.HeadDim), make([]float64, at.HeadDim)
	for p, score := range scores {
		w := math.Exp(score - most)
		sum += w
		relative = max(relative, (3+2*(most-score))*ulp)
		for i := range want {
			v := value(from+p, i)
			want[i] += w * v
			within[i] += w * math.Abs(v)
		}
	}
	relative += 4*lost + float64(len(scores)+16)*unit
	for i := range want {
		want[i] /= sum
		within[i] *= 2 * relative / sum
	}
	return want, within
}
