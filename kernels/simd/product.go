package simd

// A product is made of tiles of TileTokens by TileRows sums over K; K is a multiple of Lane.
const (
	TileTokens = 6
	TileRows   = 4
	Lane       = 16

	// depth is how much of K a pass takes: TileTokens rows of it stay in the first-level cache.
	depth = 1024
)

// Pad returns n rounded up to a multiple of m.
func Pad(n, m int) int { return (n + m - 1) / m * m }

// Matrix is a row-major matrix: row i begins at element i·Stride of Data.
type Matrix struct {
	Data       []float32
	Rows, Cols int
	Stride     int
}

// NewMatrix returns a matrix of zeros whose rows are padded to a multiple of Lane, and whose number of
// rows is padded to a multiple of rowsTo, so that it can be either factor of Product.
func NewMatrix(rows, cols, rowsTo int) Matrix {
	m := Matrix{Rows: rows, Cols: cols, Stride: Pad(cols, Lane)}
	m.Data = make([]float32, Pad(rows, rowsTo)*m.Stride)
	return m
}

// Row returns row i without its padding.
func (m *Matrix) Row(i int) []float32 { return m.Data[i*m.Stride:][:m.Cols] }

// Product sets c[t][r], or adds to it if add is set, Σ x[t][k]·w[r][k] over the padded columns of x, for
// all rows t of x and r of w. c[t][r] is element t·stride+r. The columns of x and w are padded with zeros
// to the same multiple of Lane, the rows of x to a multiple of TileTokens and those of w to one of
// TileRows; what is in padded rows does not matter. Every sum is taken in an order that depends on the
// number of columns alone.
func Product(c []float32, stride int, x, w Matrix, add bool) {
	k := Pad(x.Cols, Lane)
	if k != Pad(w.Cols, Lane) || len(x.Data) < Pad(x.Rows, TileTokens)*x.Stride-(x.Stride-k) || len(w.Data) < Pad(w.Rows, TileRows)*w.Stride-(w.Stride-k) {
		panic("simd: matrices that are not padded, or do not fit")
	}
	if x.Rows == 0 || w.Rows == 0 {
		return
	}
	_ = c[(x.Rows-1)*stride+w.Rows-1]
	for from := 0; from < k; from += depth {
		n := min(depth, k-from)
		for t := 0; t < x.Rows; t += TileTokens {
			band(c[t*stride:], stride, x.Data[t*x.Stride+from:], x.Stride, min(TileTokens, x.Rows-t), w, from, n, add || from > 0)
		}
	}
}

// band makes the tiles of TileTokens rows of x, of which the first tokens count.
func band(c []float32, stride int, x []float32, xs, tokens int, w Matrix, from, n int, add bool) {
	var edge [TileTokens * TileRows]float32
	for r := 0; r < w.Rows; r += TileRows {
		rows := w.Data[r*w.Stride+from:]
		if tokens == TileTokens && r+TileRows <= w.Rows {
			tile(c[r:], stride, x, xs, rows, w.Stride, n, add)
			continue
		}
		tile(edge[:], TileRows, x, xs, rows, w.Stride, n, false)
		for t := range tokens {
			for i := range min(TileRows, w.Rows-r) {
				if to := &c[t*stride+r+i]; add {
					*to += edge[t*TileRows+i]
				} else {
					*to = edge[t*TileRows+i]
				}
			}
		}
	}
}

// tileGo is the definition of a tile: c[t][r] is the sum of Lane sums, of which lane l takes the
// columns l, l+Lane, ….
func tileGo(c []float32, cs int, x []float32, xs int, w []float32, ws, k int, add bool) {
	for t := range TileTokens {
		for r := range TileRows {
			var lanes [Lane]float32
			a, b := x[t*xs:][:k], w[r*ws:][:k]
			for i := 0; i < k; i += Lane {
				for l := range lanes {
					lanes[l] += a[i+l] * b[i+l]
				}
			}
			s := float32(0)
			for _, v := range lanes {
				s += v
			}
			if add {
				s += c[t*cs+r]
			}
			c[t*cs+r] = s
		}
	}
}
