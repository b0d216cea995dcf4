package quant

import (
	"encoding/binary"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/block"
)

// Rounder encodes rows with a Feedback. It is not for use by several goroutines at a time.
type Rounder struct {
	Loss float64 // Σ (w−ŵ)ᵀ·h·(w−ŵ) of the rows so far, with the damped h of the Feedback

	f      *Feedback
	e      *Encoder
	grid   *Encoder // for rows that aim at something else
	rounds int
	row    int         // number of the next row
	sums   [][]float32 // by block: Σ of the block's columns of hess, [n]

	given      []float32 // the row
	w, back, g []float32 // what it aims at, what later columns make good, hess·(w−ŵ)
	u          []int32   // levels q−z
	s          []float32 // by block
	z          []int32
	codes      []uint8 // of a block, from 0
	keep       saved
}

// saved is a state of a row to go back to.
type saved struct {
	u    []int32
	s    []float32
	z    []int32
	cost float64
}

// NewRounder returns a Rounder for rows in the scheme. Blocks get their first scales and zero-points
// by the search, columns weighted by their inputs. rounds is how often scales, codes and zero-points
// are improved after the feedback, by least squares and coordinate descent.
func NewRounder(f *Feedback, s block.Scheme, o Options, rounds int) (*Rounder, error) {
	o.Method, o.Weights = Search, make([]float32, f.n)
	for j := range f.n {
		o.Weights[j] = f.hess[j*f.n+j]
	}
	e, err := NewEncoder(s, o)
	if err != nil {
		return nil, err
	}
	o.Saturate = true // that the row itself can be encoded is known by then
	grid, err := NewEncoder(s, o)
	if err != nil {
		return nil, err
	}
	n, blocks := f.n, s.Blocks(f.n)
	r := &Rounder{
		f: f, e: e, grid: grid, rounds: rounds, sums: f.blockSums(s.Block), given: make([]float32, n),
		w: make([]float32, n), back: make([]float32, n), g: make([]float32, n), u: make([]int32, n),
		s: make([]float32, blocks), z: make([]int32, blocks), codes: make([]uint8, s.Block),
	}
	r.keep = saved{u: make([]int32, n), s: make([]float32, blocks), z: make([]int32, blocks)}
	return r, nil
}

// blockSums returns for every block of columns the sum of their rows of hess.
func (f *Feedback) blockSums(length int) [][]float32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if sums := f.sums[length]; sums != nil {
		return sums
	}
	var sums [][]float32
	for at := 0; at < f.n; at += length {
		sum := make([]float32, f.n)
		for j := at; j < min(at+length, f.n); j++ {
			axpy(sum, 1, f.hess[j*f.n:(j+1)*f.n])
		}
		sums = append(sums, sum)
	}
	f.sums[length] = sums
	return sums
}

// Stats reports what the rows so far have lost.
func (r *Rounder) Stats() Stats { return r.e.Stats }

// Seek says which row of the matrix comes next; at first it is 0.
func (r *Rounder) Seek(row int) { r.row = row }

// Row encodes the next row, w, to dst, as Encoder.Row does.
func (r *Rounder) Row(dst []byte, w []float32) error {
	before := r.e.Stats
	if err := r.e.Row(dst, w); err != nil {
		return err
	}
	r.take(w)
	defer func() { r.row++ }()
	if r.f.gap != nil {
		r.f.aim(r.w, r.row, r.g, r.back)
		if err := r.grid.Row(dst, r.w); err != nil {
			return err
		}
	}
	r.open(dst)
	r.round()
	r.Loss += r.keep.cost
	r.close(dst)
	r.e.Stats.Error = before.Error
	for j, v := range r.given {
		d := float64(v) - float64(r.value(j))
		r.e.Stats.Error += d * d
	}
	return nil
}

// take takes a row that was encoded, with what the encoder had to replace replaced.
func (r *Rounder) take(w []float32) {
	copy(r.given, w)
	length := r.e.scheme.Block
	for at := 0; at < len(w); at += length {
		b := r.given[at:min(at+length, len(w))]
		if r.e.opts.Sanitize {
			Sanitize(b)
		}
		if r.e.opts.Saturate {
			for i, v := range b {
				b[i] = min(max(v, -block.MaxFloat16), block.MaxFloat16)
			}
		}
	}
	copy(r.w, r.given)
}

// open takes scales and zero-points from an encoded row.
func (r *Rounder) open(src []byte) {
	size := r.e.scheme.BlockBytes()
	for b := range r.s {
		p := block.ReadParams(src[b*size:])
		r.s[b], r.z[b] = p.Scale, int32(p.Zero)
	}
}

// level returns the level nearest to x in block b.
func (r *Rounder) level(b int, x float32) int32 {
	if r.s[b] == 0 {
		return 0
	}
	low := int32(r.e.scheme.Low())
	q := math.RoundToEven(float64(x)/float64(r.s[b])) + float64(r.z[b])
	q = math.Min(math.Max(q, float64(low)), float64(low)+float64(r.e.scheme.Steps()))
	return int32(q) - r.z[b]
}

func (r *Rounder) value(j int) float32 { return float32(r.u[j]) * r.s[j/r.e.scheme.Block] }

// feed rounds column after column and passes errors on.
func (r *Rounder) feed() {
	clear(r.back)
	for t, j := range r.f.order {
		r.u[j] = r.level(j/r.e.scheme.Block, r.w[j]+r.back[t])
		axpy(r.back[t+1:], r.w[j]-r.value(j), r.f.unit[t])
	}
}

// restarts is how often feedback begins anew, with the scales and zero-points that suited the codes
// before: it finds other codes than small moves do.
const restarts = 2

// round finds codes, scales and zero-points for the row.
func (r *Rounder) round() {
	r.keep.cost = math.Inf(1)
	for range restarts + 1 {
		before := r.keep.cost
		r.feed()
		r.refine()
		r.restore()
		if r.rounds == 0 || !(r.keep.cost < before) {
			return
		}
	}
}

// refine improves the row in rounds, as long as they do, and keeps the best.
func (r *Rounder) refine() {
	if cost := r.gradient(); cost < r.keep.cost {
		r.save(cost)
	}
	last := math.Inf(1)
	for range r.rounds {
		r.fitScales()
		r.gradient()
		r.moveCodes()
		r.moveZeros()
		r.moveCodes()
		cost := r.gradient()
		if cost < r.keep.cost {
			r.save(cost)
		}
		if !(cost < last) {
			return
		}
		last = cost
	}
}

func (r *Rounder) save(cost float64) {
	copy(r.keep.u, r.u)
	copy(r.keep.s, r.s)
	copy(r.keep.z, r.z)
	r.keep.cost = cost
}

func (r *Rounder) restore() {
	copy(r.u, r.keep.u)
	copy(r.s, r.keep.s)
	copy(r.z, r.keep.z)
}

// gradient fills g with hess·(w−ŵ) and returns (w−ŵ)ᵀ·hess·(w−ŵ).
func (r *Rounder) gradient() float64 {
	clear(r.g)
	n := r.f.n
	for j := range n {
		if d := r.w[j] - r.value(j); d != 0 {
			axpy(r.g, d, r.f.hess[j*n:(j+1)*n])
		}
	}
	var cost float64
	for j := range n {
		cost += float64(r.w[j]-r.value(j)) * float64(r.g[j])
	}
	return cost
}

// moveCodes gives every column in turn the code that costs least while the others stay.
func (r *Rounder) moveCodes() {
	n := r.f.n
	for _, j := range r.f.order {
		h := r.f.hess[j*n+j]
		old := r.value(j)
		b := j / r.e.scheme.Block
		u := r.level(b, old+r.g[j]/h)
		if u == r.u[j] {
			continue
		}
		d := float32(u)*r.s[b] - old
		if d*d*h < 2*d*r.g[j] {
			r.u[j] = u
			axpy(r.g, -d, r.f.hess[j*n:(j+1)*n])
		}
	}
}

// moveZeros shifts whole blocks by a step where that costs less.
func (r *Rounder) moveZeros() {
	length := r.e.scheme.Block
	for b := range r.s {
		at, end := b*length, min((b+1)*length, r.f.n)
		var slope, curve float32
		for j := at; j < end; j++ {
			slope += r.g[j]
			curve += r.sums[b][j]
		}
		for _, dz := range []int32{1, -1} { // ŵ falls by dz·s
			d := float32(dz) * r.s[b]
			if z := r.z[b] + dz; z < -128 || z > 127 || !(d*d*curve < -2*d*slope) {
				continue
			}
			r.z[b] += dz
			for j := at; j < end; j++ {
				r.u[j] -= dz
			}
			axpy(r.g, d, r.sums[b])
			break
		}
	}
}

// close writes scales, zero-points and codes to dst.
func (r *Rounder) close(dst []byte) {
	s := r.e.scheme
	for b := range r.s {
		rec := dst[b*s.BlockBytes() : (b+1)*s.BlockBytes()]
		binary.LittleEndian.PutUint16(rec, block.Float16(r.s[b]))
		rec[2] = byte(int8(r.z[b]))
		low := int32(s.Low())
		pad := min(max(r.z[b]-low, 0), int32(s.Steps()))
		for i := range r.codes {
			q := pad
			if j := b*s.Block + i; j < len(r.u) {
				q = r.u[j] + r.z[b] - low
			}
			r.codes[i] = uint8(q)
		}
		s.Pack(rec[block.HeaderBytes:], r.codes)
	}
}
