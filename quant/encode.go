package quant

import (
	"errors"
	"fmt"
	"math"
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

// The reasons of a WeightError.
var (
	ErrNotFinite = errors.New("not a finite number")
	ErrOverflow  = errors.New("beyond the range of float16")
)

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

	scheme Scheme
	opts   Options
	w      []float32 // the weights of a block after Sanitize and Saturate
	u      []uint8   // the codes of a block, from 0
	cur    block     // what a choice is being made for
}

// NewEncoder returns an encoder for rows in the scheme.
func NewEncoder(s Scheme, o Options) (*Encoder, error) {
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
	return &Encoder{scheme: s, opts: o, w: make([]float32, s.Block), u: make([]uint8, s.Block)}, nil
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
	var p Params
	if lo != 0 || hi != 0 {
		c, ok := e.choose(w, h, float64(lo), float64(hi))
		if !ok {
			return &WeightError{Value: largest(lo, hi), Reason: fmt.Errorf("in a block %w", ErrOverflow)}
		}
		if c.raised {
			e.Stats.Raised++
		}
		p = Params{Scale: float32(c.s), Zero: int8(c.z)}
	}
	e.quantize(w, p)
	e.write(dst, p)
	return nil
}

// finite returns the block's weights and their least and greatest, or the first weight that
// cannot be encoded. Where it has to change weights, it does so in a copy.
func (e *Encoder) finite(w []float32) (_ []float32, lo, hi float32, _ *WeightError) {
	lo, hi = extent(w)
	bad := math.IsInf(float64(lo), 0) || math.IsInf(float64(hi), 0) || lo != lo
	if bad && !e.opts.Sanitize {
		for i, v := range w {
			if v-v != 0 {
				return nil, 0, 0, &WeightError{Col: i, Value: v, Reason: ErrNotFinite}
			}
		}
	}
	if bad {
		w = e.w[:copy(e.w, w)]
		e.Stats.Sanitized += Sanitize(w)
		lo, hi = extent(w)
	}
	if e.opts.Saturate && (lo < -maxFloat16 || hi > maxFloat16) {
		w = e.w[:copy(e.w, w)]
		for i, v := range w {
			w[i] = min(max(v, -maxFloat16), maxFloat16)
		}
		lo, hi = extent(w)
		e.Stats.Saturated++
	}
	return w, lo, hi, nil
}

// extent returns the least and the greatest of w, NaN if there is one.
func extent(w []float32) (lo, hi float32) {
	lo, hi = w[0], w[0]
	for _, v := range w {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
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

// quantize fills e.u with the codes of w, pads them, and adds to the statistics.
func (e *Encoder) quantize(w []float32, p Params) {
	low, steps := e.scheme.low(), e.scheme.steps()
	lo, hi := float64(low-int(p.Zero)), float64(low-int(p.Zero)+steps)
	s := float64(p.Scale)
	var loss, power float64
	for i, v := range w {
		x, d := float64(v), min(max(0, lo), hi)
		if s != 0 {
			d = min(max(math.RoundToEven(x/s), lo), hi)
		}
		r := x - float64(d*s)
		loss += float64(r * r) // the conversions keep the compiler from fusing the two operations
		power += float64(x * x)
		e.u[i] = uint8(int(d) - int(lo))
	}
	pad := uint8(min(max(int(p.Zero)-low, 0), steps))
	for i := len(w); i < len(e.u); i++ {
		e.u[i] = pad
	}
	e.Stats.Error += loss
	e.Stats.Power += power
	e.Stats.Weights += int64(len(w))
	e.Stats.Blocks++
}

// write writes a block: its parameters and the codes in e.u.
func (e *Encoder) write(dst []byte, p Params) {
	bits := Float16(p.Scale)
	dst[0], dst[1], dst[2] = byte(bits), byte(bits>>8), byte(p.Zero)
	e.scheme.pack(dst[headerBytes:], e.u)
}
