package graph

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// TestProducts compares matvec and matmul over matrices in every packing, of odd shapes, whole
// and split over several bindings, with float64 products of the dequantized weights.
func TestProducts(t *testing.T) {
	shapes := []struct{ rows, cols, tokens int }{
		{1, 32, 1}, {7, 33, 2}, {130, 100, 1}, {66, 320, 5}, {65, 896, 8}, {129, 640, 9}, {64, 257, 64}, {100, 96, 70},
	}
	dev := gputest.Open(t)
	for i, s := range modeltest.Packings {
		for j, sh := range shapes {
			if j%2 != i%2 {
				continue // every packing with half of the shapes
			}
			for _, parts := range []int{1, 3} {
				if parts > 1 && i%3 != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%v/%dx%d/%d/parts%d", s, sh.rows, sh.cols, sh.tokens, parts), func(t *testing.T) {
					testProduct(t, dev, Shape{Packing(s), sh.rows, sh.cols, sh.tokens}, parts)
				})
			}
		}
	}
	t.Logf("%+v", dev.Stats())
}

func testProduct(t *testing.T, dev *gpu.Device, s Shape, parts int) {
	rows, cols, tokens := s.Rows, s.Width, s.Tokens
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	src := &modeltest.Model{}
	first := rows/2 + 1 // two tensors make the matrix
	src.Add(t, rng, model.Tensor{Name: "a", Shape: []int{first, cols}}, block.Packing(s.Packing), 0.3, 1)
	if rows > first {
		src.Add(t, rng, model.Tensor{Name: "b", Shape: []int{rows - first, cols}}, block.Packing(s.Packing), -0.3, 1)
	}
	limit := uint64((rows + parts - 1) / parts * s.CodeBytes(cols))
	w, m, err := PlanMatrix(dev, src, limit, Choice{}, []int{0, 1}[:len(src.Listed)]...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, p := range m.Parts {
		if uint64(p.Rows*p.CodeBytes(cols)) > limit {
			t.Fatalf("a part of %d bytes: the limit is %d", p.Rows*p.CodeBytes(cols), limit)
		}
	}
	if err := w.Load(context.Background(), src, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	bias := make([]float32, rows)
	x := make([]float32, tokens*Stride(cols))
	y := make([]float32, RoundUp(tokens, 64)*Stride(rows))
	for i := range bias {
		bias[i] = float32(rng.NormFloat64())
	}
	for i := range y {
		y[i] = float32(rng.NormFloat64())
	}
	for i := range tokens {
		for k := range cols {
			x[i*Stride(cols)+k] = float32(rng.NormFloat64())
		}
	}
	got := runProduct(t, dev, m, tokens, x, y, bias)
	checkProduct(t, src, s, x, y, bias, got)
}

// Epilogue of the test: y += 0.5·(W·x + bias).
const testScale = 0.5

func runProduct(t *testing.T, dev *gpu.Device, m *Matrix, tokens int, x, y, bias []float32) []float32 {
	t.Helper()
	a := arena.New(dev)
	defer a.Close()
	kit := NewKit(dev, a, Choice{})
	reserve := func(n int) *arena.Buffer { return a.Reserve("test", 4*n, gpu.Storage) }
	in := Vectors{Buffer: reserve(RoundUp(tokens, 64) * Stride(m.Width)), Stride: Stride(m.Width)}
	out := Vectors{Buffer: reserve(len(y)), Stride: Stride(m.Rows)}
	b := NewVector(reserve(len(bias)), len(bias))
	err := a.Allocate()
	for _, w := range []struct {
		to   *arena.Buffer
		data []float32
	}{{in.Buffer, x}, {out.Buffer, y}, {b.buffer, bias}} {
		if err == nil {
			err = w.to.Write(0, FloatBytes(w.data))
		}
	}
	if err == nil {
		err = kit.SetTokens(tokens)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := kit.Recorder("test", tokens)
	r.Product(&Product{m, b, in, out, Epilogue{Add: true, Scale: testScale}})
	pass, err := r.Pass()
	if err != nil {
		t.Fatal(err)
	}
	p, err := kit.Program(pass)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Run(p); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, len(y))
	if err := kit.ReadFloats(context.Background(), out.Buffer, 0, got); err != nil {
		t.Fatal(err)
	}
	return got
}

// checkProduct allows each element what float32 summation of its terms may lose: half an ulp of
// the running sum for each of cols products and additions. matvec sums codes and zero-points apart,
// so none of its sums is above Σ scale·(|code|+|zero|)·|x|.
func checkProduct(t *testing.T, src *modeltest.Model, s Shape, x, y, bias, got []float32) {
	t.Helper()
	rows, cols, tokens := s.Rows, s.Width, s.Tokens
	values, sizes := flat(src.Values), flat(src.Sizes)
	for i := range tokens {
		for r := range rows {
			want, size := float64(bias[r]), math.Abs(float64(bias[r]))
			for k := range cols {
				p := float64(values[r*cols+k]) * float64(x[i*Stride(cols)+k])
				want += p
				size += float64(sizes[r*cols+k]) * math.Abs(float64(x[i*Stride(cols)+k]))
			}
			at := i*Stride(rows) + r
			want = float64(y[at]) + testScale*want
			size += math.Abs(float64(y[at]))
			if d := math.Abs(float64(got[at]) - want); !(d <= size*float64(cols+12)*0x1p-24) {
				t.Fatalf("token %d row %d: got %v, want %v: off by %g of %g", i, r, got[at], want, d, size)
			}
		}
	}
}

func flat(v [][]float32) []float32 {
	var all []float32
	for _, f := range v {
		all = append(all, f...)
	}
	return all
}
