package transformer

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
)

// bench is a Transformer with nothing but matrices.
func newBench(t *testing.T, dev *gpu.Device) *Transformer {
	t.Helper()
	b := &Transformer{dev: dev, opts: Options{Chunk: 256}, spec: &model.Spec{}, groups: map[string]*gpu.BindGroup{}, costs: map[*gpu.Program][]cost{}, w: &weights{}}
	if err := b.allocateSmall(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// TestProducts compares matvec and matmul over matrices in every packing, of odd shapes, whole
// and split over several bindings, with float64 products of the dequantized weights.
func TestProducts(t *testing.T) {
	shapes := []struct{ rows, cols, tokens int }{
		{1, 32, 1}, {7, 33, 2}, {130, 100, 1}, {66, 320, 5}, {65, 896, 8}, {129, 640, 9}, {64, 257, 64}, {100, 96, 70},
	}
	dev := gputest.Open(t)
	for i, s := range schemes {
		for j, sh := range shapes {
			if j%2 != i%2 {
				continue // every packing with half of the shapes
			}
			for _, parts := range []int{1, 3} {
				if parts > 1 && i%3 != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%v/%dx%d/%d/parts%d", s, sh.rows, sh.cols, sh.tokens, parts), func(t *testing.T) {
					testProduct(t, newBench(t, dev), s, sh.rows, sh.cols, sh.tokens, parts)
				})
			}
		}
	}
	t.Logf("%+v", dev.Stats())
}

func testProduct(t *testing.T, b *Transformer, s scheme, rows, cols, tokens, parts int) {
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	src := &memory{}
	first := rows/2 + 1 // two tensors make the matrix
	src.add(t, rng, model.Tensor{Name: "a", Shape: []int{first, cols}}, s, 0.3, 1)
	if rows > first {
		src.add(t, rng, model.Tensor{Name: "b", Shape: []int{rows - first, cols}}, s, -0.3, 1)
	}
	limit := uint64((rows + parts - 1) / parts * s.codeBytes(cols))
	indexes := []int{0, 1}[:len(src.tensors)]
	m, err := layOut(src, limit, 1, indexes...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.parts {
		if uint64(p.rows*p.codeBytes(cols)) > limit {
			t.Fatalf("a part of %d bytes: the limit is %d", p.rows*p.codeBytes(cols), limit)
		}
	}
	b.w.matrices = []*matrix{m}
	if err := b.allocateWeights(); err != nil {
		t.Fatal(err)
	}
	if err := b.load(context.Background(), src); err != nil {
		t.Fatal(err)
	}
	bias := make([]float32, rows)
	x := make([]float32, tokens*stride(cols))
	y := make([]float32, roundUp(tokens, 64)*stride(rows))
	for i := range bias {
		bias[i] = float32(rng.NormFloat64())
	}
	for i := range y {
		y[i] = float32(rng.NormFloat64())
	}
	for i := range tokens {
		for k := range cols {
			x[i*stride(cols)+k] = float32(rng.NormFloat64())
		}
	}
	got := runProduct(t, b, m, tokens, x, y, bias)
	checkProduct(t, src, tokens, rows, cols, x, y, bias, got)
}

// Epilogue of the test: y += 0.5·(W·x + bias).
const testScale = 0.5

func runProduct(t *testing.T, b *Transformer, m *matrix, tokens int, x, y, bias []float32) []float32 {
	t.Helper()
	upload := func(v []float32, n int) *gpu.Buffer {
		buf, err := b.buffer("test", 4*n, gpu.Storage)
		if err == nil {
			err = buf.Write(0, floatBytes(v))
		}
		if err != nil {
			t.Fatal(err)
		}
		return buf
	}
	xb := upload(x, roundUp(tokens, 64)*stride(m.width))
	yb, bb := upload(y, len(y)), upload(bias, len(bias))
	r := recorder{t: b, n: tokens, p: new(gpu.Program)}
	r.linear(m, &vector{buffer: bb}, vectors{buffer: xb, stride: stride(m.width)}, vectors{buffer: yb, stride: stride(m.rows)}, epilogue{add: true, scale: testScale})
	if r.err != nil {
		t.Fatal(r.err)
	}
	if err := b.setStep(0, tokens, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.dev.Run(r.p); err != nil {
		t.Fatal(err)
	}
	var got []float32
	if err := b.read(context.Background(), yb, len(y), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// checkProduct allows each element what float32 summation of its terms may lose: half an ulp of
// the running sum for each of cols products and additions. matvec sums codes and zero-points apart,
// so none of its sums is above Σ scale·(|code|+|zero|)·|x|.
func checkProduct(t *testing.T, src *memory, tokens, rows, cols int, x, y, bias, got []float32) {
	t.Helper()
	values, sizes := flat(src.values), flat(src.sizes)
	for i := range tokens {
		for r := range rows {
			want, size := float64(bias[r]), math.Abs(float64(bias[r]))
			for k := range cols {
				p := float64(values[r*cols+k]) * float64(x[i*stride(cols)+k])
				want += p
				size += float64(sizes[r*cols+k]) * math.Abs(float64(x[i*stride(cols)+k]))
			}
			at := i*stride(rows) + r
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
