package quant

// The passes over matrices of [n][n]. They take a few rows of a matrix, a panel, at a time, through all rows that are
// rounded together, so that a panel comes out of the first-level cache for all but the first of these.

// panelRows is how many rows of a matrix make a panel. It divides every block size.
const panelRows = 16

// feed rounds column after column of rows and passes errors on.
func (r *Rounder) feed(rows []*rounding) {
	n := r.f.n
	for _, x := range rows {
		clear(x.back)
	}
	for t0 := 0; t0 < n; t0 += panelRows {
		t1 := min(t0+panelRows, n)
		for _, x := range rows {
			r.feedPanel(x, t0, t1)
			if t1 < n {
				sweep(x.back[t1:], x.misses[:t1-t0], r.f.unit[t0*n+t1:], n)
			}
		}
	}
}

// feedPanel rounds the columns of steps t0 to t1−1, and passes their errors on within these.
func (r *Rounder) feedPanel(x *rounding, t0, t1 int) {
	n := r.f.n
	for t := t0; t < t1; t++ {
		j := r.f.order[t]
		u := r.level(x, j>>r.shift, x.w[j]+x.back[t])
		miss := x.w[j] - u*x.s[j>>r.shift]
		x.u[j], x.misses[t-t0] = u, miss
		unit := r.f.unit[t*n+t+1 : t*n+t1]
		back := x.back[t+1 : t1]
		for i, v := range unit {
			back[i] += float32(miss * v)
		}
	}
}

// gradients makes g of rows, and hu if there is to be refinement.
func (r *Rounder) gradients(rows []*rounding) {
	n := r.f.n
	for _, x := range rows {
		clear(x.g)
		clear(x.hu)
	}
	for j0 := 0; j0 < n; j0 += panelRows {
		j1 := min(j0+panelRows, n)
		hess, b := r.f.hess[j0*n:], j0>>r.shift
		for _, x := range rows {
			for j := j0; j < j1; j++ {
				x.misses[j-j0] = x.w[j] - r.value(x, j)
			}
			sweep(x.g, x.misses[:j1-j0], hess, n)
			if x.hu != nil {
				sweep(x.hu[b*n:(b+1)*n], x.u[j0:j1], hess, n)
			}
		}
	}
}

// aim moves w of rows, of which the first is the given one of the matrix, to what Toward has said.
func (f *Feedback) aim(rows []*rounding, row int) {
	n := f.n
	for i, x := range rows {
		clear(x.g)
		if len(f.debt) > 0 {
			copy(x.g, f.debt[(row+i)*n:(row+i+1)*n])
		}
	}
	for i := 0; i < n; i += panelRows {
		for _, x := range rows {
			sweep(x.g, x.w[i:min(i+panelRows, n)], f.gap[i*n:], n)
		}
	}
	for _, x := range rows {
		for t, j := range f.order {
			x.back[t] = x.g[j]
		}
	}
	f.solve(rows)
	for _, x := range rows {
		for t, j := range f.order {
			x.w[j] += x.back[t]
		}
	}
}

// solve replaces back of rows by hess⁻¹·back, in the order of steps: R̃·x = back, then R̃ᵀ·y = x/pivot.
func (f *Feedback) solve(rows []*rounding) {
	n := f.n
	for t1 := n; t1 > 0; {
		t0 := (t1 - 1) / panelRows * panelRows
		for _, x := range rows {
			for t := t1 - 1; t >= t0; t-- {
				f.passOn(x, t, t0, t)
				x.misses[t-t0] = -x.back[t]
			}
			sweep(x.back[:t0], x.misses[:t1-t0], f.unit[t0*n:], n)
		}
		t1 = t0
	}
	for _, x := range rows {
		for t, p := range f.pivot {
			x.back[t] /= p
		}
	}
	for t0 := 0; t0 < n; t0 += panelRows {
		t1 := min(t0+panelRows, n)
		for _, x := range rows {
			for t := t0; t < t1; t++ {
				f.passOn(x, t, t+1, t1)
				x.misses[t-t0] = -x.back[t]
			}
			if t1 < n {
				sweep(x.back[t1:], x.misses[:t1-t0], f.unit[t0*n+t1:], n)
			}
		}
	}
}

// passOn takes what is known of step t out of steps from to end−1.
func (f *Feedback) passOn(x *rounding, t, from, end int) {
	v, back := x.back[t], x.back[from:end]
	for i, u := range f.unit[t*f.n+from : t*f.n+end] {
		back[i] -= float32(v * u)
	}
}
