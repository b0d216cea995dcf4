package verify

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
)

// toy is a small model with state: token t at position p has the hidden state
// sin(t + p + column), plus what the tokens before it left behind, and each layer changes it. It
// computes in batches of four tokens, as runtimes do.
type toy struct {
	vocab, layers int
	head          []float32 // [vocab][toyHidden]

	noise      float64 // added to each logit, from a generator
	rng        *rand.Rand
	batchError float32 // added to the logits of the first token of each Forward call
	wrongLogit int     // position at which one logit is off, 0: none
	badStage   int     // the stage that makes badValue at token badToken, if badValue is not 0
	badToken   int
	badValue   float32
	hideBad    bool // the bad value does not reach the next stage
	fail       error

	trace func(int, []float32)
	seen  []int32
	calls []int // tokens of each Forward call
	peak  int   // most logits rows asked for in one call
}

const toyHidden = 8

func newToy(vocab int) *toy {
	r := rand.New(rand.NewPCG(1, 2))
	m := &toy{vocab: vocab, layers: 3, head: make([]float32, vocab*toyHidden), rng: r}
	for i := range m.head {
		m.head[i] = float32(r.NormFloat64())
	}
	return m
}

func (m *toy) VocabSize() int                  { return m.vocab }
func (m *toy) Reset()                          { m.seen = nil }
func (m *toy) SetTrace(f func(int, []float32)) { m.trace = f }

func (m *toy) Forward(ctx context.Context, tokens []int32, from int, each func(int, []float32) error) error {
	m.calls = append(m.calls, len(tokens))
	m.peak = max(m.peak, len(tokens)-from)
	if m.fail != nil && len(m.seen) > 0 {
		return m.fail
	}
	for pos := 0; pos < len(tokens); pos += 4 {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := min(pos+4, len(tokens))
		x := m.hidden(tokens[pos:end])
		for i := max(pos, from); i < end; i++ {
			l := m.logits(x[(i-pos)*toyHidden:], len(m.seen)-end+i)
			if i == 0 {
				l[0] += m.batchError
			}
			if err := each(i, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// hidden computes the final hidden states [batch][toyHidden] and shows all stages to the trace.
func (m *toy) hidden(batch []int32) []float32 {
	x := make([]float32, len(batch)*toyHidden)
	start := len(m.seen)
	m.seen = append(m.seen, batch...)
	for stage := range m.layers + 2 {
		for i := range batch {
			row := x[i*toyHidden : (i+1)*toyHidden]
			for c := range row {
				row[c] += float32(math.Sin(float64(stage + c + start + i + int(m.seen[start+i]))))
				if start+i > 0 && stage > 0 {
					row[c] += float32(m.seen[start+i-1]%7) / 10
				}
			}
		}
		shown := x
		if at := (m.badToken-start)*toyHidden + 3; m.badValue != 0 && stage == m.badStage && at >= 0 && at < len(x) {
			if m.hideBad {
				shown = append([]float32(nil), x...)
			}
			shown[at] = m.badValue
		}
		if m.trace != nil {
			m.trace(stage, shown)
		}
	}
	return x
}

func (m *toy) logits(x []float32, pos int) []float32 {
	l := make([]float32, m.vocab)
	for v := range l {
		for c := range toyHidden {
			l[v] += x[c] * m.head[v*toyHidden+c]
		}
		if m.noise > 0 {
			l[v] += float32(m.noise * m.rng.NormFloat64())
		}
	}
	if m.wrongLogit > 0 && pos == m.wrongLogit {
		l[m.vocab/2] += 1
	}
	if m.badValue != 0 && m.badStage == m.layers+2 && pos == m.badToken {
		l[5] = m.badValue
	}
	return l
}

// opaque is a Forwarder that cannot be traced.
type opaque struct{ Forwarder }

// constant predicts the same distribution everywhere.
type constant []float32

func (c constant) VocabSize() int { return len(c) }
func (c constant) Reset()         {}

func (c constant) Forward(_ context.Context, tokens []int32, from int, each func(int, []float32) error) error {
	for i := from; i < len(tokens); i++ {
		if err := each(i, c); err != nil {
			return err
		}
	}
	return nil
}

// lnOf makes logits of probabilities.
func lnOf(p ...float64) constant {
	l := make(constant, len(p))
	for i := range p {
		l[i] = float32(math.Log(p[i]))
	}
	return l
}

func toyTokens(n, vocab int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32((i*i*7 + i) % vocab)
	}
	return ids
}

var errToy = errors.New("toy: out of order")
