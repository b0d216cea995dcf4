package convert

import (
	"context"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// sticksOut is how many times the median the strongest neuron of an MLP must be for its layer to be an
// outlier. In the models that were looked at, strong ones are 10 to 60 times the median where they write huge activations,
// and at most 6 times elsewhere.
const sticksOut = 8

// findOutliers returns the layers whose MLP has a neuron that sticks out: one whose rows in gate and up are both
// so long that their product, which the neuron's output follows, is many times that of others. Such
// neurons write the huge activations that most models have in a few channels, at their first token (Sun et al. 2024), and an
// error of the matrix that leads out of them is multiplied by these. Layers whose outputs are normalized before they
// are added have nothing to fear from them.
func findOutliers(ctx context.Context, src model.Weights, threads int) ([]int, error) {
	s := src.Spec()
	strength := map[int][]float64{} // by layer, of each neuron
	for i, t := range src.Tensors() {
		if t.Role != model.RoleGate && t.Role != model.RoleUp {
			continue
		}
		if y := s.Layer(t.Layer); !y.MLP.Gated || y.MLP.Experts > 0 || y.PostNorm {
			continue
		}
		lengths, err := rowLengths(ctx, src, i, threads)
		if err != nil {
			return nil, err
		}
		if of := strength[t.Layer]; of == nil {
			strength[t.Layer] = lengths
		} else {
			for k := range of {
				of[k] *= lengths[k]
			}
		}
	}
	var layers []int
	for l := range s.Layers {
		if of := slices.Sorted(slices.Values(strength[l])); len(of) > 0 && of[len(of)-1] > sticksOut*of[len(of)/2] {
			layers = append(layers, l)
		}
	}
	return layers, nil
}

// rowLengths returns the length of each row of tensor i.
func rowLengths(ctx context.Context, src model.Weights, i, threads int) ([]float64, error) {
	t := src.Tensors()[i]
	lengths := make([]float64, t.Rows())
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(threads)
	for row0, step := 0, tileRows(t); row0 < t.Rows(); row0 += step {
		n := min(step, t.Rows()-row0)
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			tile := make([]float32, n*t.Cols())
			if err := src.Rows(i, row0, n, tile); err != nil {
				return err
			}
			for r := range n {
				lengths[row0+r] = math.Sqrt(float64(quant.SumSquares(tile[r*t.Cols() : (r+1)*t.Cols()])))
			}
			return nil
		})
	}
	return lengths, group.Wait()
}
