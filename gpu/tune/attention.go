package tune

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// attentionContexts are the lengths of context that attention of a token is timed at: the sum decides.
var attentionContexts = []int{512, 4096}

// attention is one layer's attention of n single tokens, each of a sequence of its own, over a cache of
// made-up keys and values.
type attention struct {
	graph *graph.Graph
	arena *arena.Arena
	at    *model.Attention
	n     int
	cold  cold
	unwritten
	q     []float32 // [n][stride]
	cache []uint16  // keys, or values: float16s that the cache repeats
}

// newAttention makes the cache. Close it.
func newAttention(dev *gpu.Device, at *model.Attention, n int) (*attention, error) {
	spec := attentionSpec(at)
	made, err := NewSynthetic(spec, 16, 0)
	if err != nil {
		return nil, err
	}
	limit := dev.Limits().MaxBinding
	w, err := graph.Plan(dev, made, limit, graph.Choice{}) // attention needs no weights
	if err != nil {
		return nil, err
	}
	longest := attentionContexts[len(attentionContexts)-1]
	s := &attention{arena: arena.New(dev), at: &spec.Kinds[0].Attention, n: n}
	s.graph, err = graph.New(dev, w, s.arena, limit, graph.Options{
		MaxSeqLen: longest, Chunk: 64, MaxBatch: n, KVBits: 16, Choice: graph.Choice{Split: 32}, // with room for the most parts
	})
	if err == nil {
		s.cold, s.unwritten = reserveCold(dev, s.arena), reserveUnwritten(s.arena, s.out().Buffer)
		err = s.arena.Allocate()
	}
	if err == nil {
		err = s.fill()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// attentionSpec is a model of one layer with this attention, and little else.
func attentionSpec(at *model.Attention) *model.Spec {
	layer := model.Layer{Attention: *at, MLP: model.MLP{Intermediate: 64, Gated: true, Activation: model.SiLU}, PreNorm: true, ResidualScale: 1}
	layer.Attention.RoPE, layer.Attention.QKNorm = -1, model.QKNormNone
	return &model.Spec{
		Vocab: 64, Hidden: 64, MaxPositions: 4096, EmbedScale: 1, LogitScale: 1, TiedHead: true,
		Norm: model.Norm{Kind: model.RMSNorm, Eps: 1e-5}, Kinds: []model.Layer{layer}, Layers: []int{0},
	}
}

func (s *attention) close() { s.arena.Close() }

func (s *attention) out() graph.Vectors { return s.graph.Heads(0) }

// key implements subject.
func (s *attention) key() graph.TuningKey {
	return graph.TuningKey{Kernel: "attention_split", Class: graph.AttentionClass(s.at, s.n)}
}

// defaults implements subject.
func (s *attention) defaults() (graph.Tuned, error) { return s.graph.AttentionDefaults(0, s.n), nil }

// possible implements subject.
func (s *attention) possible(with graph.Tuned) error { return s.graph.AttentionPossible(0, with) }

// trials implements subject: one for each context.
func (s *attention) trials() []trial {
	var all []trial
	for _, length := range attentionContexts {
		all = append(all, &attentionTrial{s, length})
	}
	return all
}

// cachePeriod is after how many values the cache repeats: no multiple of anything that kernels count by.
const cachePeriod = 1<<18 + 2

// fill makes queries, keys and values up.
func (s *attention) fill() error {
	at, queries := s.at, s.graph.Queries()
	rng := rand.New(rand.NewPCG(11, uint64(at.Heads)))
	s.q = make([]float32, s.n*queries.Stride)
	for i := range s.q {
		if i%queries.Stride < at.Heads*at.HeadDim {
			s.q[i] = float32(rng.NormFloat64() / math.Sqrt(float64(at.HeadDim)))
		}
	}
	if err := queries.Buffer.Write(0, graph.FloatBytes(s.q)); err != nil {
		return err
	}
	s.cache = make([]uint16, cachePeriod)
	period := make([]byte, 0, 2*cachePeriod)
	for i := range s.cache {
		s.cache[i] = block.Float16(float32(rng.NormFloat64()))
		period = binary.LittleEndian.AppendUint16(period, s.cache[i])
	}
	kv := s.graph.Cache(0)
	for off := uint64(0); off < kv.K.Size(); off += uint64(len(period)) {
		piece := period[:min(uint64(len(period)), kv.K.Size()-off)]
		if err := kv.K.Write(off, piece); err != nil {
			return err
		}
		if err := kv.V.Write(off, piece); err != nil {
			return err
		}
	}
	return s.unwritten.fill()
}

// attentionTrial is attention at one length of context.
type attentionTrial struct {
	*attention
	length int
}

// program implements trial.
func (s *attentionTrial) program(c graph.Choice, times int) (*gpu.Program, error) {
	rows := make([]graph.Row, s.n)
	for i := range rows {
		rows[i] = graph.Row{Position: s.length - 1, Sequence: i}
	}
	if err := s.graph.Feed(rows); err != nil {
		return nil, err
	}
	g := s.graph.With(c)
	r := g.Recorder("trial", s.n)
	for range times {
		s.cold.record(r)
		g.RecordAttention(r, 0, s.length)
	}
	pass, err := r.Pass()
	if err != nil {
		return nil, err
	}
	return g.Program(pass)
}

// off implements trial. It compares every element of the first and the last token's output with float64: what is
// as near as float32 arithmetic goes is not off.
func (s *attentionTrial) off(ctx context.Context, c graph.Choice) (off float64, err error) {
	p, err := s.program(c, 1)
	if err != nil {
		return 0, err
	}
	out := s.out()
	if err := s.unwritten.run(s.graph.Device(), out.Buffer, p); err != nil {
		return 0, err
	}
	got := make([]float32, s.at.Heads*s.at.HeadDim)
	for _, token := range []int{0, s.n - 1} {
		if err := s.graph.ReadFloats(ctx, out.Buffer, token*out.Stride, got); err != nil {
			return 0, err
		}
		for _, v := range got {
			if v != v {
				return math.NaN(), nil
			}
		}
		for _, head := range []int{0, s.at.Heads / 2, s.at.Heads - 1} {
			want, within := s.definition(token, head, s.length)
			for i := range want {
				if d := math.Abs(float64(got[head*s.at.HeadDim+i]) - want[i]); !(d <= within[i]) {
					off = max(off, d)
				}
			}
		}
	}
	return off, nil
}

// definition returns the output of a head and how far off float32 arithmetic may be: a score by half an ulp of
// its terms for each of them, an exponential by that and (3+2|x|) ulp as WGSL has it, and sums over the positions by
// half an ulp of their terms for each; twice, for the numerator and the denominator.
func (s *attention) definition(token, head, length int) (want, within []float64) {
	const ulp, unit = 0x1p-23, 0x1p-24
	at, kv := s.at, s.graph.Cache(0)
	row0 := (token*at.KVHeads + head/(at.Heads/at.KVHeads)) * kv.Cap
	q := s.q[token*s.graph.Queries().Stride+head*at.HeadDim:][:at.HeadDim]
	from := max(0, length-kv.Window)
	if at.Chunk > 0 {
		from = max(from, (length-1)/at.Chunk*at.Chunk)
	}
	value := func(position, i int) float64 {
		return float64(block.FromFloat16(s.cache[((row0+position%kv.Cap)*at.HeadDim+i)%cachePeriod]))
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
