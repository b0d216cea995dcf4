package tune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// variant is a kernel that may replace matvec, which packings of weights it takes, and how much precision it may lose.
type variant struct {
	graph.Variant
	takes func(p graph.Packing) bool
	// loss is how far outputs may be from matvec's, relative RMS, for normal activations: 1e-5 where only
	// the order of float32 sums differs. limbs lose up to half a unit an activation, 1/16319 of the largest
	// one of its 32, so 4e-5 of a usual one.
	loss float64
}

const subgroupsKernel = "matvec_subgroups"

var variants = []variant{
	{graph.Variant{Kernel: subgroupsKernel}, func(graph.Packing) bool { return true }, 1e-5},
	{graph.Variant{Kernel: graph.LimbsKernel}, func(p graph.Packing) bool { return p.Bits <= 8 }, 1e-4},
	{graph.Variant{Kernel: "matvec_f16", Without: []string{"BLOCK", "STEP"}}, func(p graph.Packing) bool { return p.Bits == 16 }, 1e-5},
}

// What NewVariants may be asked for besides VariantNames.
const (
	VariantsAuto     = "auto"     // what is right and fastest on this device
	VariantsBaseline = "baseline" // what every device runs
)

// variantMatrix asks for subgroup matrices where they can be had, and for matvec as it is.
const variantMatrix = "matrix"

// Variants chooses kernels that run on a device in place of matvec and of matmul. It tries those that the device has the
// features for, each once for a packing of weights, on random data: one is chosen if its results are those of
// matvec, up to rounding, and it is faster.
type Variants struct {
	dev  *gpu.Device
	want string

	mu       sync.Mutex // guards what follows, and is held during trials: models that load at once wait for each other's
	chosen   map[graph.Packing]graph.Variant
	matrices map[graph.Packing]matrixChoice // of those that were tried

	list    sync.Mutex // guards results, for a moment only
	results []VariantResult
}

// VariantResult is how one kernel did.
type VariantResult struct {
	Kernel      string
	Packing     string  // of the weights: "int4/128"
	RelativeRMS float64 // of the differences from the baseline's results: matvec's or matmul's
	Speed       float64 // how many times as fast as the baseline
	Chosen      bool
	Err         string // why it could not be tried
}

// leastGain is how much faster a kernel has to be: less may be chance.
const leastGain = 1.05

// VariantNames are the variants that can be asked for by name.
func VariantNames() []string {
	var names []string
	for _, v := range variants {
		names = append(names, strings.TrimPrefix(v.Kernel, "matvec_"))
	}
	return append(names, variantMatrix)
}

// NewVariants returns the choice for a device: VariantsAuto, VariantsBaseline, or the variant of one name,
// whether it is faster or not. That one must be there, and right.
func NewVariants(dev *gpu.Device, want string) (*Variants, error) {
	k := &Variants{dev: dev, want: cmp.Or(want, VariantsAuto), chosen: map[graph.Packing]graph.Variant{}, matrices: map[graph.Packing]matrixChoice{}}
	if k.want == VariantsAuto || k.want == VariantsBaseline {
		return k, nil
	}
	if k.want == variantMatrix {
		if err := matricesRun(dev); err != nil {
			return nil, fmt.Errorf("kernels %q: %w", want, err)
		}
		return k, nil
	}
	i := slices.IndexFunc(variants, func(v variant) bool { return v.Kernel == "matvec_"+k.want })
	if i < 0 {
		return nil, fmt.Errorf("kernels %q: want auto, baseline or %s", want, strings.Join(VariantNames(), ", "))
	}
	kernel, err := kernels.Specialize(variants[i].Kernel, nil)
	if err == nil && !dev.Features().Runs(kernel) {
		err = fmt.Errorf("kernels %q: this device does not have what they need: %s", want, strings.Join(kernel.Needs, ", "))
	}
	return k, err
}

// Results returns how the kernels did that were tried so far.
func (k *Variants) Results() []VariantResult {
	k.list.Lock()
	defer k.list.Unlock()
	return slices.Clone(k.results)
}

// update changes the results.
func (k *Variants) update(change func([]VariantResult) []VariantResult) {
	k.list.Lock()
	defer k.list.Unlock()
	k.results = change(k.results)
}

// Choose returns the choice for the packings that a model mostly consists of, and tries those that were not tried
// before. Of src it reads no weights.
func (k *Variants) Choose(ctx context.Context, src graph.Source) (map[graph.Packing]graph.Variant, error) {
	if k.want == VariantsBaseline {
		return nil, nil
	}
	main, err := k.mainPackings(src)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range main {
		if _, done := k.chosen[p]; done {
			continue
		}
		from := len(k.results)
		if err := k.choose(ctx, p); err != nil {
			delete(k.chosen, p) // the next model tries again
			k.update(func(all []VariantResult) []VariantResult { return all[:from] })
			return nil, err
		}
	}
	return maps.Clone(k.chosen), nil
}

// Shuffles returns how many threads of a subgroup attention may rely on: as many as the device has at least if a kernel with
// subgroups was chosen for any packing, because its trial has shown that subgroups work; else 0.
func (k *Variants) Shuffles(chosen map[graph.Packing]graph.Variant) int {
	for _, v := range chosen {
		if v.Kernel == graph.LimbsKernel || v.Kernel == subgroupsKernel {
			return k.dev.Features().SubgroupSize
		}
	}
	return 0
}

// mainPackings lists the packings that a model mostly consists of.
func (k *Variants) mainPackings(src graph.Source) (main []graph.Packing, err error) {
	w, err := graph.Plan(nil, src, k.dev.Limits().MaxBinding, graph.Choice{})
	if err != nil {
		return nil, err
	}
	var all uint64
	packings := w.Packings()
	for _, n := range packings {
		all += n
	}
	for p, n := range packings {
		if n >= all/8 {
			main = append(main, p)
		}
	}
	return main, nil
}

// choose tries the variants for one packing.
func (k *Variants) choose(ctx context.Context, p graph.Packing) error {
	k.chosen[p] = graph.Variant{}
	list, err := k.candidates(p)
	if err != nil || len(list) == 0 {
		return err
	}
	t, openErr := newVariantTrial(ctx, k.dev, p)
	if openErr == nil {
		defer t.close()
	}
	best, from := leastGain, len(k.results)
	for _, v := range list {
		r, err := VariantResult{Kernel: v.Kernel, Packing: p.String()}, openErr
		if err == nil {
			r.RelativeRMS, r.Speed, err = t.compete(ctx, v.Variant)
		}
		chosen, err := k.judge(ctx, v, &r, best, err)
		if err != nil {
			return err
		}
		if chosen {
			best, k.chosen[p] = r.Speed, v.Variant
		}
		k.update(func(all []VariantResult) []VariantResult { return append(all, r) })
	}
	k.update(func(all []VariantResult) []VariantResult {
		for i := range all[from:] {
			all[from+i].Chosen = all[from+i].Kernel == k.chosen[p].Kernel
		}
		return all
	})
	return nil
}

// judge reports whether a variant is better than the best one so far, whose speed relative to matvec is best. err is why
// it could not be tried.
func (k *Variants) judge(ctx context.Context, v variant, r *VariantResult, best float64, err error) (bool, error) {
	forced := k.want != VariantsAuto
	right := r.RelativeRMS <= v.loss // not so if it is NaN
	switch {
	case err != nil && (forced || ctx.Err() != nil || errors.Is(err, gpu.ErrDeviceLost)):
		return false, fmt.Errorf("trying kernel %s: %w", v.Kernel, err)
	case err != nil:
		r.Err = err.Error()
		return false, nil
	case !right && forced:
		return false, fmt.Errorf("kernel %s is wrong on this device: off by a relative RMS of %.2g, allowed %.2g", v.Kernel, r.RelativeRMS, v.loss)
	}
	return right && (r.Speed >= best || forced), nil
}

// candidates returns the variants that the device can run for a packing, and that are wanted.
func (k *Variants) candidates(p graph.Packing) ([]variant, error) {
	var list []variant
	for _, v := range variants {
		kernel, err := kernels.Specialize(v.Kernel, nil)
		if err != nil {
			return nil, err
		}
		if v.takes(p) && k.dev.Features().Runs(kernel) && (k.want == VariantsAuto || "matvec_"+k.want == v.Kernel) {
			list = append(list, v)
		}
	}
	return list, nil
}
