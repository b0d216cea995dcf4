package quant

// The products of vectors and matrices that feedback and refinement need. As in lanes.go, what is written here in Go
// defines the bits that the bodies in assembly give: each operation is rounded by itself, in a fixed order.

// axpy adds a·x to y. They are equally long.
func axpy(y []float32, a float32, x []float32) {
	one := [1]float32{a}
	sweep(y, one[:], x[:len(y)], 0)
}

// sweepGo adds Σ a[k]·x[k·step+i] to each y[i], in the order of k.
func sweepGo(y, a, x []float32, step int) {
	for k, v := range a {
		row := x[k*step:][:len(y)]
		for i := range y {
			y[i] += float32(v * row[i])
		}
	}
}

// dotLanes is how many sums dot64 keeps side by side: lane l takes the products l, l+dotLanes, … of as many whole
// rounds as there are, then the lanes are folded in halves, and what is left over is added one by one.
const dotLanes = 32

func dot64Go(a, b []float64) float64 {
	n := len(a) &^ (dotLanes - 1)
	var lane [dotLanes]float64
	for i, v := range a[:n] {
		lane[i%dotLanes] += float64(v * b[i])
	}
	return dotRest(foldDot(&lane), a[n:], b[n:len(a)])
}

// innerGo returns x·y in float64, as dot64 does.
func innerGo(x, y []float32) float64 {
	n := len(x) &^ (dotLanes - 1)
	var lane [dotLanes]float64
	for i, v := range x[:n] {
		lane[i%dotLanes] += float64(float64(v) * float64(y[i]))
	}
	return innerRest(foldDot(&lane), x[n:], y[n:len(x)])
}

func innerRest(sum float64, x, y []float32) float64 {
	for i, v := range x {
		sum += float64(float64(v) * float64(y[i]))
	}
	return sum
}

func foldDot(lane *[dotLanes]float64) float64 {
	for k := dotLanes / 2; k > 0; k /= 2 {
		for l := range k {
			lane[l] += lane[l+k]
		}
	}
	return lane[0]
}

// dotRest adds a·b to sum.
func dotRest(sum float64, a, b []float64) float64 {
	for i, v := range a {
		sum += float64(v * b[i])
	}
	return sum
}
