package tune

import (
	"context"
	"strings"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/gpu/gputest"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
	"github.com/llama-webgpu/llama-webgpu/gpu/modeltest"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// TestVariants makes the choice with kernels that every device runs, in the place of those that few do: one that
// is as right as matvec, being it; the same held to more than it can be; and one that is bound in another way.
func TestVariants(t *testing.T) {
	dev, before := gputest.Open(t), variants
	t.Cleanup(func() { variants = before })
	all := func(graph.Packing) bool { return true }
	bytes := func(p graph.Packing) bool { return p.Bits == 8 }
	src := modeltest.New(t, modeltest.PlainSpec(), modeltest.Blocks(4, 128))
	of := func(kernel string, takes func(graph.Packing) bool, loss float64) []variant {
		return []variant{{graph.Variant{Kernel: kernel}, takes, loss}}
	}
	for _, c := range []struct {
		want  string
		list  []variant
		err   string // of the choice
		trial string // why the kernel could not be tried
	}{
		{VariantsBaseline, of("matvec", all, 0), "", ""},
		{VariantsAuto, of("matvec", all, -1), "", ""},
		{VariantsAuto, of("matvec", bytes, 0), "", ""},
		{VariantsAuto, of("matvec_experts", all, 1), "", "matvec_experts"},
		{"experts", of("matvec_experts", all, 1), "matvec_experts", ""},
	} {
		variants = c.list
		k, err := NewVariants(dev, c.want)
		var chosen map[graph.Packing]graph.Variant
		if err == nil {
			chosen, err = k.Choose(context.Background(), src)
		}
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: error %v, want %q", c, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := chosen[graph.Packing{Bits: 4, Block: 128}]; got.Kernel != "" {
			t.Errorf("%+v: %q is chosen", c, got)
		}
		for _, r := range k.Results() {
			if r.Chosen || !strings.Contains(r.Err, c.trial) || c.trial == "" && (r.Err != "" || r.RelativeRMS != 0) {
				t.Errorf("%+v: %+v", c, r)
			}
		}
		if left := dev.Memory(); left[purposeTrial]+left[graph.PurposeWeights] != 0 {
			t.Errorf("left of the trial: %v", left)
		}
	}
}

// TestVariantTrial tries matvec against itself in every packing: it is as right and, about, as fast.
func TestVariantTrial(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	for _, p := range modeltest.Packings {
		trial, err := newVariantTrial(ctx, dev, graph.Packing(p))
		if err != nil {
			t.Fatal(err)
		}
		var size float64
		for _, v := range trial.baseline {
			size += float64(v) * float64(v)
		}
		if off, err := trial.off(ctx, graph.Choice{}); err != nil || off != 0 || !(size > 0) {
			t.Errorf("%v: off by %v (%v), of %v", p, off, err, size)
		}
		trial.baseline[0] += 1
		if off, err := trial.off(ctx, graph.Choice{}); err != nil || !(off > 0) {
			t.Errorf("%v: a wrong result is found right (%v)", p, err)
		}
		trial.close()
	}
}

// TestVariantSubgroups: where a subgroup has more threads than a row has in some uses, what comes of that is found wrong.
func TestVariantSubgroups(t *testing.T) {
	dev, ctx := gputest.Open(t), context.Background()
	kernel, err := kernels.Specialize(graph.LimbsKernel, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !dev.Features().Runs(kernel) {
		return // other devices do
	}
	text, err := kernels.Text(graph.LimbsKernel)
	if err != nil {
		t.Fatal(err)
	}
	const counts = "groups = ALONG / size;"
	if strings.Count(text, counts) != 1 {
		t.Fatalf("%s does not have %q once", graph.LimbsKernel, counts)
	}
	p := graph.Packing{Bits: 4, Block: 128}
	for of, change := range map[int]string{32: counts, 64: "groups = ALONG / 64u * 64u / size;"} { // 32 threads have 0 of 64
		restore := kernels.Substitute(graph.LimbsKernel, strings.Replace(text, counts, change, 1))
		trial, err := newVariantTrial(ctx, gputest.Open(t), p) // a device keeps the kernels that it has compiled
		if err != nil {
			t.Fatal(err)
		}
		got, err := trial.results(ctx, inLimbs(p))
		if err != nil {
			t.Fatal(err)
		}
		from, to := trial.Rows, trial.Rows+trial.Rows/2 // those with an activation: devices with few threads find it elsewhere, too
		if off := relativeRMS(got[from:to], trial.baseline[from:to]); (off <= 1e-4) != (of == 32) {
			t.Errorf("subgroups of %d: off by %v", of, off)
		}
		trial.close()
		restore()
	}
}

// TestVariantForced: one that is asked for by name runs whether it is faster or not, for weights of every width that it
// takes, if the device has what it needs.
func TestVariantForced(t *testing.T) {
	dev := gputest.Open(t)
	for _, v := range variants { // those for prompts have a test of their own
		name := strings.TrimPrefix(v.Kernel, "matvec_")
		t.Run(name, func(t *testing.T) {
			kernel, err := kernels.Specialize(v.Kernel, nil)
			if err != nil {
				t.Fatal(err)
			}
			k, err := NewVariants(dev, name)
			if !dev.Features().Runs(kernel) {
				if err == nil || !strings.Contains(err.Error(), "does not have what they need") {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkForced(t, k, v)
		})
	}
	if _, err := NewVariants(dev, "fast"); err == nil || !strings.Contains(err.Error(), "want auto, baseline") {
		t.Errorf("error %v", err)
	}
}

// checkForced has a choice made for weights of every width.
func checkForced(t *testing.T, k *Variants, v variant) {
	t.Helper()
	for _, p := range []graph.Packing{{Bits: 32}, {Bits: 16}, {Bits: 8, Block: 128}, {Bits: 4, Block: 32}, {Bits: 2, Block: 256}} {
		if err := k.choose(context.Background(), p); err != nil {
			t.Errorf("%v: %v", p, err)
		}
		if got := k.chosen[p].Kernel; (got == v.Kernel) != v.takes(p) {
			t.Errorf("%v: %q is chosen", p, got)
		}
	}
}
