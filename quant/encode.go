package quant

import (
	"errors"
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// Method names a way to choose the scale and zero-point of a block.
type Method string

// The methods.
const (
	RTN    Method = "rtn"    // from the least and the greatest weight
	Search Method = "search" // the pair of least squared error among many; never worse than RTN
)

// Options say how an Encoder chooses and what it tolerates.
type Options struct {
	Method Method
	// Weights, one for each column and none negative, say how much an error in that column
	// counts; nil: all the same. They are the diagonal of XᵀX for inputs X.
	Weights []float32
	// Sanitize turns NaN into 0 and ±Inf into ± the largest finite magnitude of the block,
	// instead of failing.
	Sanitize bool
	// Saturate keeps what float16 cannot hold at ±65504, instead of failing.
	Saturate bool
}

// Stats sum up what was encoded.
type Stats struct {
	Error     float64 // Σ(w−ŵ)²
	Power     float64 // Σw²
	Weights   int64
	Blocks    int64
	Raised    int64 // blocks whose scale was raised to the smallest normal float16
	Sanitized int64 // weights that were NaN or infinite
	Saturated int64 // blocks that were held within float16
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Error += o.Error
	s.Power += o.Power
	s.Weights += o.Weights
	s.Blocks += o.Blocks
	s.Raised += o.Raised
	s.Sanitized += o.Sanitized
	s.Saturated += o.Saturated
}

// RelRMS reports √(Σ(w−ŵ)²/Σw²), 0 for zeros.
func (s Stats) RelRMS() float64 {
	if s.Power == 0 {
		return 0
	}
	return math.Sqrt(s.Error / s.Power)
}

// ErrOverflow is one reason of a WeightError; block.ErrNotFinite is the other.
var ErrOverflow = errors.New("beyond the range of float16")

// A WeightError says that a weight, or the block that starts with it, cannot be encoded.
type WeightError struct {
	Col    int
	Value  float32
	Reason error
}

func (e *WeightError) Error() string {
	return fmt.Sprintf("column %d: %v is %v", e.Col, e.Value, e.Reason)
}

func (e *WeightError) Unwrap() error { return e.Reason }

// Encoder encodes rows. It is not for use by several goroutines at a time. What it writes depends
// on nothing but scheme, options and row.
type Encoder struct {
	Stats Stats // of the rows encoded so far

	scheme block.Scheme
	opts   Options
	w      []float32 // the weights of a block after Sanitize and Saturate
	u      []uint8   // the codes of a block, from 0
	other  []byte    // a block that may be better
	cur    blockFit  // what a choice is being made for
}

// NewEncoder returns an encoder for rows in the scheme.
func NewEncoder(s block.Scheme, o Options) (*Encoder, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if o.Method != RTN && o.Method != Search {
		return nil, fmt.Errorf("method %q: want %s or %s", o.Method, RTN, Search)
	}
	for i, h := range o.Weights {
		if !(h >= 0) || math.IsInf(float64(h), 0) {
			return nil, fmt.Errorf("importance of column %d is %v: want a finite one that is not negative", i, h)
		}
	}
	return &Encoder{scheme: s, opts: o, w: make([]float32, s.Block), u: make([]uint8, s.Block), other: make([]byte, s.BlockBytes())}, nil
}

// Row encodes the row w to dst. An error is a *WeightError. It panics if dst is not
// RowBytes(len(w)) long, or the options' weights are not as many as w.
func (e *Encoder) Row(dst []byte, w []float32) error {
	s, h := e.scheme, e.opts.Weights
	if len(dst) != s.RowBytes(len(w)) || h != nil && len(h) != len(w) {
		panic(fmt.Sprintf("quant: %d bytes and %d importances for a row of %d weights in %v", len(dst), len(h), len(w), s))
	}
	for at := 0; at < len(w); at += s.Block {
		end := min(at+s.Block, len(w))
		var hb []float32
		if h != nil {
			hb = h[at:end]
		}
		if err := e.block(dst[:s.BlockBytes()], w[at:end], hb); err != nil {
			err.Col += at
			return err
		}
		dst = dst[s.BlockBytes():]
	}
	return nil
}

// block encodes one block; h may be nil.
func (e *Encoder) block(dst []byte, w, h []float32) *WeightError {
	w, lo, hi, err := e.finite(w)
	if err != nil {
		return err
	}
	e.Stats.Weights += int64(len(w))
	e.Stats.Blocks++
	if lo == 0 && hi == 0 { // scale, zero-point, codes and padding are 0
		clear(dst)
		return nil
	}
	b := &e.cur
	b.scheme, b.w, b.h, b.lo, b.hi = e.scheme, w, h, float64(lo), float64(hi)
	c, ok := e.choose(b)
	if !ok {
		return &WeightError{Value: largest(lo, hi), Reason: fmt.Errorf("in a block %w", ErrOverflow)}
	}
	found, sure := c, false
	if e.opts.Method == Search && lo != hi {
		found, sure = b.search(c)
	}
	if sure {
		c = found
	}
	loss, power := e.put(dst, w, c)
	if found != c {
		if l, _ := e.put(e.other, w, found); b.less(found, l, c, loss) {
			copy(dst, e.other)
			c, loss = found, l
		}
	}
	if c.raised {
		e.Stats.Raised++
	}
	e.Stats.Error += float64(loss)
	e.Stats.Power += float64(power)
	return nil
}

// put writes a block to dst and returns Σ(w−ŵ)² and Σw².
func (e *Encoder) put(dst []byte, w []float32, c candidate) (loss, power float32) {
	bits := block.Float16(float32(c.s))
	dst[0], dst[1], dst[2] = byte(bits), byte(bits>>8), byte(c.z)
	if len(w) < len(e.u) {
		pad := uint8(min(max(c.z-e.scheme.Low(), 0), e.scheme.Steps()))
		for i := len(w); i < len(e.u); i++ {
			e.u[i] = pad
		}
	}
	return emit(e.scheme, dst[block.HeaderBytes:], e.u, w, c.trial(e.scheme))
}

// finite returns the block's weights and their least and greatest, or the first weight that
// cannot be encoded. Where it has to change weights, it does so in a copy.
func (e *Encoder) finite(w []float32) (_ []float32, lo, hi float32, _ *WeightError) {
	lo, hi, ok := extent(w)
	if !ok && !e.opts.Sanitize {
		for i, v := range w {
			if v-v != 0 {
				return nil, 0, 0, &WeightError{Col: i, Value: v, Reason: block.ErrNotFinite}
			}
		}
	}
	if !ok {
		w = e.w[:copy(e.w, w)]
		e.Stats.Sanitized += Sanitize(w)
		lo, hi, _ = extent(w)
	}
	if e.opts.Saturate && (lo < -block.MaxFloat16 || hi > block.MaxFloat16) {
		w = e.w[:copy(e.w, w)]
		for i, v := range w {
			w[i] = min(max(v, -block.MaxFloat16), block.MaxFloat16)
		}
		lo, hi, _ = extent(w)
		e.Stats.Saturated++
	}
	return w, lo, hi, nil
}

// largest returns the one of greater magnitude.
func largest(lo, hi float32) float32 {
	if -lo > hi {
		return lo
	}
	return hi
}

// Sanitize turns NaN in w into 0 and ±Inf into ± the largest finite magnitude in w, and reports
// how many there were.
func Sanitize(w []float32) (n int64) {
	var top float32
	for _, v := range w {
		if v-v == 0 {
			top = max(top, v, -v)
		}
	}
	for i, v := range w {
		switch {
		case v-v == 0:
			continue
		case v != v:
			w[i] = 0
		case v > 0:
			w[i] = top
		default:
			w[i] = -top
		}
		n++
	}
	return n
}
