package quant

import (
	"math/rand/v2"
	"testing"
)

// TestAllocate compares with the best of all combinations: no budget is exceeded, and what is lost beyond
// the best is less than the largest step of one matrix.
func TestAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		matrices := make([][]Choice, 5)
		var least, most int64
		var widest float64
		for m := range matrices {
			size := int64(100 + rng.IntN(400))
			loss := rng.ExpFloat64()
			for _, bits := range []int64{2, 3, 4, 8} {
				matrices[m] = append(matrices[m], Choice{Bits: size * bits, Loss: loss})
				loss *= rng.Float64() * 0.6
			}
			least, most = least+2*size, most+8*size
			widest = max(widest, matrices[m][0].Loss)
		}
		budget := least + rng.Int64N(most-least)
		picks, err := Allocate(matrices, budget)
		if err != nil {
			t.Fatal(err)
		}
		bits, loss := total(matrices, picks)
		if bits > budget {
			t.Fatalf("%d bits of %d", bits, budget)
		}
		if best := exhaustive(matrices, nil, budget); loss > best+widest {
			t.Errorf("a loss of %v, the best is %v", loss, best)
		}
		if all, err := Allocate(matrices, most); err != nil || all[0] != 3 || all[4] != 3 {
			t.Errorf("with bits for everything: %v, %v", all, err)
		}
		if _, err := Allocate(matrices, least-1); err == nil {
			t.Error("with too few bits: no error")
		}
	}
}

// TestAllocatePrefers checks that bits go where they save most.
func TestAllocatePrefers(t *testing.T) {
	m := [][]Choice{
		{{Bits: 20, Loss: 1}, {Bits: 40, Loss: .5}},
		{{Bits: 20, Loss: 9}, {Bits: 40, Loss: 1}},
		{{Bits: 20, Loss: 3}, {Bits: 24, Loss: 2.9}, {Bits: 40, Loss: 2}},
	}
	picks, err := Allocate(m, 84)
	if err != nil || picks[0] != 0 || picks[1] != 1 || picks[2] != 1 {
		t.Errorf("%v, %v: want the second choice of the second and, from what is left, of the third", picks, err)
	}
}

func total(matrices [][]Choice, picks []int) (bits int64, loss float64) {
	for m, i := range picks {
		bits, loss = bits+matrices[m][i].Bits, loss+matrices[m][i].Loss
	}
	return bits, loss
}

// exhaustive returns the least loss of all combinations that begin with picks.
func exhaustive(matrices [][]Choice, picks []int, budget int64) float64 {
	if len(picks) == len(matrices) {
		if bits, loss := total(matrices, picks); bits <= budget {
			return loss
		}
		return 1e9
	}
	best := 1e9
	for i := range matrices[len(picks)] {
		best = min(best, exhaustive(matrices, append(picks[:len(picks):len(picks)], i), budget))
	}
	return best
}
