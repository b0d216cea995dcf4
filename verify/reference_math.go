package verify

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// blockRows is how many weight rows a goroutine decodes at a time.
const blockRows = 16

// multiply returns W·x, [tokens][rows], for x [tokens][cols] and the matrix with the role.
func (r *Reference) multiply(ctx context.Context, role model.Role, layer int, x []float32, tokens, rows int) ([]float32, error) {
	return r.multiplyRows(ctx, role, layer, 0, x, tokens, rows)
}

// multiplyRows is multiply with the rows row0 to row0+rows−1 of the matrix.
func (r *Reference) multiplyRows(ctx context.Context, role model.Role, layer, row0 int, x []float32, tokens, rows int) ([]float32, error) {
	cols := len(x) / tokens
	y := make([]float32, tokens*rows)
	blocks := (rows + blockRows - 1) / blockRows
	err := r.parallel(ctx, blocks, func() func(int) error {
		w := make([]float32, blockRows*cols)
		return func(b int) error {
			first := b * blockRows
			n := min(blockRows, rows-first)
			if err := r.rows(role, layer, row0+first, n, w[:n*cols]); err != nil {
				return err
			}
			for t := range tokens {
				dots(w[:n*cols], x[t*cols:(t+1)*cols], y[t*rows+first:t*rows+first+n])
			}
			return nil
		}
	})
	return y, err
}

// dots sets y[i] to row i of w, [len(y)][len(x)], times x. Four rows share one pass over x: four
// independent sums keep the adders busy, and each is taken from left to right.
func dots(w, x, y []float32) {
	n := len(x)
	i := 0
	for ; i+4 <= len(y); i += 4 {
		a, b, c, d := w[i*n:][:n], w[(i+1)*n:][:n], w[(i+2)*n:][:n], w[(i+3)*n:][:n]
		var sa, sb, sc, sd float32
		for j, v := range x {
			sa += a[j] * v
			sb += b[j] * v
			sc += c[j] * v
			sd += d[j] * v
		}
		y[i], y[i+1], y[i+2], y[i+3] = sa, sb, sc, sd
	}
	for ; i < len(y); i++ {
		y[i] = dot(w[i*n:][:n], x)
	}
}

func dot(a, b []float32) float32 {
	var s float32
	a = a[:len(b)]
	for j, v := range b {
		s += a[j] * v
	}
	return s
}

// parallel calls do(0) to do(n−1) from several goroutines, each with a do of its own from worker,
// and returns the first error.
func (r *Reference) parallel(ctx context.Context, n int, worker func() func(int) error) error {
	var (
		next  atomic.Int64
		group sync.WaitGroup
		once  sync.Once
		first error
	)
	for range min(r.options.Threads, n) {
		group.Go(func() {
			do := worker()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				err := ctx.Err()
				if err == nil {
					err = do(i)
				}
				if err != nil {
					once.Do(func() { first = err })
					next.Store(int64(n))
					return
				}
			}
		})
	}
	group.Wait()
	return first
}

// bias adds the bias with the role, if the model has it, to every row of x.
func (r *Reference) bias(x []float32, role model.Role, layer int) {
	b := r.small[key{role, layer}]
	if b == nil {
		return
	}
	for ; len(x) > 0; x = x[len(b):] {
		add(x[:len(b)], b, 1)
	}
}

// norm normalizes, in place, every row of x that is as long as the weight or, without one, as the residual stream is wide.
func (r *Reference) norm(x []float32, weight, bias model.Role, layer int) {
	w, b := r.small[key{weight, layer}], r.small[key{bias, layer}]
	n := len(w)
	if w == nil { // Norm.Unweighted
		n = r.spec.Hidden
	}
	for ; len(x) > 0; x = x[n:] {
		r.normRow(x[:n], w, b)
	}
}

// normRow normalizes x; a nil weight is all ones, a nil bias all zeros.
func (r *Reference) normRow(x, weight, bias []float32) {
	mean := 0.0
	if r.spec.Norm.Kind == model.LayerNorm {
		for _, v := range x {
			mean += float64(v)
		}
		mean /= float64(len(x))
	}
	square := 0.0
	for _, v := range x {
		square += (float64(v) - mean) * (float64(v) - mean)
	}
	square /= float64(len(x))
	scale := 1 / math.Sqrt(square+float64(r.spec.Norm.Eps))
	for i, v := range x {
		x[i] = float32((float64(v) - mean) * scale)
		if weight != nil {
			x[i] *= r.weightOf(weight[i])
		}
		if bias != nil {
			x[i] += bias[i]
		}
	}
}

// rms normalizes x by its root mean square.
func rms(x, weight []float32, eps float64) {
	square := 0.0
	for _, v := range x {
		square += float64(v) * float64(v)
	}
	scale := 1 / math.Sqrt(square/float64(len(x))+eps)
	for i, v := range x {
		x[i] = float32(float64(v)*scale) * weight[i]
	}
}

func (r *Reference) weightOf(w float32) float32 {
	if r.spec.Norm.PlusOne {
		return w + 1
	}
	return w
}

// add adds scale·y to x.
func add(x, y []float32, scale float32) {
	for i, v := range y {
		x[i] += scale * v
	}
}

// scale multiplies x by c.
func scale(x []float32, c float32) {
	for i := range x {
		x[i] *= c
	}
}

// softcap squeezes x into (−c, c); a c of 0 leaves it.
func softcap(x, c float32) float32 {
	if c == 0 {
		return x
	}
	return c * float32(math.Tanh(float64(x/c)))
}
