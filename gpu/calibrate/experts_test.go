package calibrate

import (
	"cmp"
	"context"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/block"
	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
)

// sent is what a token brings to an expert, computed on the CPU in float64 from the residual stream.
type sent struct {
	token         int
	weight, share float64   // routing weight, its part of the token's sum
	in, inner     []float32 // inputs of gate and up, and of down, times the weight where that scales them
}

// route returns what each expert of a layer is sent when the residual stream before the MLP is hidden.
func route(m *modeltest.Model, layer int, hidden []float32) [][]sent {
	at := map[model.Role]int{}
	for i, t := range m.Listed {
		if t.Layer == layer {
			at[t.Role] = i
		}
	}
	p, h := &m.Described.Layer(layer).MLP, m.Described.Hidden
	product := func(r model.Role, e, rows int, x []float32) []float64 {
		w := m.Values[at[r]][e*rows*len(x):]
		y := make([]float64, rows)
		for i := range y {
			for k, v := range x {
				y[i] += float64(w[i*len(x)+k]) * float64(v)
			}
		}
		return y
	}
	x := normalized(hidden, m.Values[at[model.RoleMLPNorm]], m.Described.Norm.Eps)
	all := make([][]sent, p.Experts)
	for t := range len(x) / h {
		row := x[t*h : (t+1)*h]
		logits := product(model.RoleRouter, 0, p.Experts, row)
		order := make([]int, p.Experts)
		var sum, chosen float64
		for e := range order {
			order[e] = e
			sum += math.Exp(logits[e])
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
		weight := func(e int) float64 {
			if p.Sigmoid {
				return 1 / (1 + math.Exp(-logits[e]))
			}
			return math.Exp(logits[e]) / sum
		}
		for _, e := range order[:p.TopK] {
			chosen += weight(e)
		}
		for _, e := range order[:p.TopK] {
			s := sent{token: t, weight: weight(e), share: weight(e) / chosen, in: slices.Clone(row)}
			if p.NormalizeTopK {
				s.weight = s.share
			}
			after := s.weight
			if p.WeightInput {
				scaleBy(s.in, s.weight)
				after = 1
			}
			up, gate := product(model.RoleUp, e, p.Intermediate, s.in), product(model.RoleGate, e, p.Intermediate, s.in)
			for k, g := range gate {
				s.inner = append(s.inner, float32(after*up[k]*g/(1+math.Exp(-g))))
			}
			all[e] = append(all[e], s)
		}
	}
	return all
}

func scaleBy(x []float32, by float64) {
	for k, v := range x {
		x[k] = float32(float64(v) * by)
	}
}

// mixtures are the ways of choosing and weighing experts that families have.
var mixtures = map[string]model.MLP{
	"softmax, weights sum to 1":               {Routing: model.Routing{Experts: 5, TopK: 2, NormalizeTopK: true}, Intermediate: 40},
	"softmax over all, of many":               {Routing: model.Routing{Experts: 9, TopK: 3}, Intermediate: 33},
	"sigmoid, weighs inputs, a shared expert": {Routing: model.Routing{Experts: 4, TopK: 1, Sigmoid: true, WeightInput: true}, Shared: 48, Intermediate: 36},
	"one of a few, a shared expert":           {Routing: model.Routing{Experts: 3, TopK: 2, Sigmoid: true, WeightInput: true}, Shared: 48, Intermediate: 36},
}

// mixture returns a model of one kind of layer, whose attention adds nothing.
func mixture(t *testing.T, m model.MLP, packing ...block.Packing) *modeltest.Model {
	spec := modeltest.PlainSpec()
	m.Gated, m.Activation = true, model.SiLU
	spec.Kinds[0].MLP, spec.Kinds[0].ResidualScale = m, 0.7
	src := modeltest.New(t, spec, packing...)
	for i, tensor := range src.Listed {
		if tensor.Role == model.RoleO {
			clear(src.Values[i])
			clear(src.Stored[i])
		}
	}
	return src
}

// TestExpertSums compares the sums over the inputs of each expert's matrices, and over all of them, with what
// the router makes of the CPU reference's residual streams, with one pass for all experts and with one for each,
// which must not differ in a bit.
func TestExpertSums(t *testing.T) {
	dev := gputest.Open(t)
	for name, m := range mixtures {
		seen := map[[2]int][]float32{} // Inputs, by tensor and expert
		for _, sumBytes := range []int{SumBytes, 1} {
			t.Run(name, func(t *testing.T) {
				src := mixture(t, m, modeltest.Floats(32))
				windows := [][]int32{modeltest.Tokens(40, src.Described.Vocab), modeltest.Tokens(70, src.Described.Vocab)[40:], modeltest.Tokens(75, src.Described.Vocab)[70:]}
				hidden := streams(t, src, windows)
				c, err := New(t.Context(), dev, src, windows, false)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.sumBytes = sumBytes
				ctx := context.Background()
				for i, tensor := range src.Listed {
					switch tensor.Role {
					case model.RoleGate, model.RoleUp, model.RoleDown:
						compareExperts(t, c, i, route(src, tensor.Layer, hidden[tensor.Layer]), seen)
					case model.RoleSharedUp:
						sums, err := c.Sums(ctx, i)
						if err != nil {
							t.Fatal(err)
						}
						norm := slices.IndexFunc(src.Listed, func(o model.Tensor) bool { return o.Role == model.RoleMLPNorm && o.Layer == tensor.Layer })
						compareGram(t, "shared", sums.Inputs, normalized(hidden[tensor.Layer], src.Values[norm], src.Described.Norm.Eps), tensor.Cols())
					}
					bits, block := src.Packing(i)
					c.Set(i, bits, block, 0, src.Stored[i])
				}
			})
		}
	}
}

// compareExperts asks for the sums of all experts of tensor i, which are to be those that were seen before, if any.
func compareExperts(t *testing.T, c *Calibrator, i int, all [][]sent, seen map[[2]int][]float32) {
	t.Helper()
	tensor := c.src.Tensors()[i]
	var together []float32
	n := 0
	for e, list := range all {
		var x []float32
		for _, s := range list {
			if tensor.Role == model.RoleDown {
				x = append(x, s.inner...)
			} else {
				x = append(x, s.in...)
			}
		}
		sums, err := c.ExpertSums(context.Background(), i, e)
		if err != nil {
			t.Fatal(err)
		}
		if sums.Tokens != len(list) {
			t.Errorf("%s, expert %d: %d tokens, want %d", tensor.Name, e, sums.Tokens, len(list))
		}
		if len(list) > 0 {
			compareGram(t, tensor.Name, sums.Inputs, x, tensor.Cols())
		}
		if before := seen[[2]int{i, e}]; before != nil && !slices.Equal(before, sums.Inputs) {
			t.Errorf("%s, expert %d: the sums depend on how many experts a pass has", tensor.Name, e)
		}
		seen[[2]int{i, e}] = sums.Inputs
		together, n = append(together, x...), n+len(list)
	}
	sums, err := c.Sums(context.Background(), i)
	if err != nil {
		t.Fatal(err)
	}
	if sums.Tokens != n {
		t.Errorf("%s: %d tokens, want %d", tensor.Name, sums.Tokens, n)
	}
	compareGram(t, tensor.Name, sums.Inputs, together, tensor.Cols())
}

// TestExpertSumsAgainstFloat compares Gap and Debt when the layer before was handed over in two bits, so that some
// tokens go to other experts than the float model's.
func TestExpertSumsAgainstFloat(t *testing.T) {
	dev := gputest.Open(t)
	for name, m := range mixtures {
		t.Run(name, func(t *testing.T) {
			full, coarse := mixture(t, m, modeltest.Floats(32)), mixture(t, m, modeltest.Blocks(2, 32))
			windows := [][]int32{modeltest.Tokens(64, full.Described.Vocab)}
			exact, hidden := streams(t, full, windows), streams(t, coarse, windows)
			c, err := New(t.Context(), dev, full, windows, true)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			h := full.Described.Hidden
			for i, tensor := range full.Listed {
				if tensor.Layer == 1 && (tensor.Role == model.RoleGate || tensor.Role == model.RoleDown) {
					// As long as nothing of this layer's MLP is handed over, its weights are the float model's.
					mine, float := route(full, 1, hidden[1]), route(full, 1, exact[1])
					for e := range mine {
						var x, y, d []float32
						for _, s := range mine[e] {
							theirs := slices.IndexFunc(float[e], func(o sent) bool { return o.token == s.token })
							other := s
							if theirs >= 0 {
								other = float[e][theirs]
							}
							lack := minus(exact[1][s.token*h:(s.token+1)*h], hidden[1][s.token*h:(s.token+1)*h])
							scaleBy(lack, s.share/float64(full.Described.Kinds[0].ResidualScale))
							d = append(d, lack...)
							if tensor.Role == model.RoleDown {
								x, y = append(x, s.inner...), append(y, other.inner...)
							} else {
								x, y = append(x, s.in...), append(y, other.in...)
							}
						}
						sums, err := c.ExpertSums(context.Background(), i, e)
						if err != nil {
							t.Fatal(err)
						}
						if len(x) == 0 {
							continue
						}
						compareGram(t, tensor.Name, sums.Inputs, x, tensor.Cols())
						if gap := minus(y, x); slices.Max(gap) > 0 { // else all of them went elsewhere
							compareSums(t, tensor.Name+", float model", sums.Gap, gap, x, tensor.Cols(), false)
						}
						if tensor.Role == model.RoleDown {
							compareDebt(t, sums.Debt, d, x, h, tensor.Cols())
						} else if sums.Debt != nil {
							t.Errorf("%s: has a debt", tensor.Name)
						}
					}
					if tensor.Role == model.RoleDown {
						return
					}
				}
				from := coarse
				if tensor.Layer == 1 {
					from = full
				}
				bits, block := from.Packing(i)
				c.Set(i, bits, block, 0, from.Stored[i])
			}
		})
	}
}

// compareDebt compares [rows][cols] with Σ d·xᵀ.
func compareDebt(t *testing.T, got, d, x []float32, rows, cols int) {
	t.Helper()
	var off, size float64
	for i := range rows {
		for j := range cols {
			var want float64
			for at := range len(x) / cols {
				want += float64(d[at*rows+i]) * float64(x[at*cols+j])
			}
			off += (float64(got[i*cols+j]) - want) * (float64(got[i*cols+j]) - want)
			size += want * want
		}
	}
	if r := math.Sqrt(off / size); !(r <= 1e-3) {
		t.Errorf("debt: relative RMS %.2g", r)
	}
}

func TestExpertSumsErrors(t *testing.T) {
	dev := gputest.Open(t)
	src := mixture(t, mixtures["softmax over all, of many"], modeltest.Floats(32))
	c, err := New(t.Context(), dev, src, [][]int32{modeltest.Tokens(4, 100)}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	gate := slices.IndexFunc(src.Listed, func(o model.Tensor) bool { return o.Role == model.RoleGate })
	for _, c2 := range [][2]int{{gate, 9}, {gate, -1}, {gate - 2, 0}, {0, 0}} {
		if _, err := c.ExpertSums(context.Background(), c2[0], c2[1]); err == nil {
			t.Errorf("tensor %d, expert %d: no error", c2[0], c2[1])
		}
	}
}
