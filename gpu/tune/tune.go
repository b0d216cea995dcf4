package tune

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// Options say how long to look.
type Options struct {
	Tokens   []int                             // of the passes; nil: 1 to 512, or 1 and 512 if Quick
	Quick    bool                              // one round
	Progress func(done, total int, now string) // told which product comes next
}

// Result is what was found for one kernel and class.
type Result struct {
	graph.TuningKey
	What          string        // the matrices, for people
	Tokens        int           // of the pass
	Uses          int           // how many products of a pass are of this class
	Default, Best graph.Tuned   // what is used without and with tuning
	Before, After time.Duration // of one product with these
	Tried         int           // candidates that were right, and timed
	Wrong         []graph.Tuned // candidates that computed something else than they should, and were not timed
}

// Tune looks for the fastest constants for the products of a model on a device: each candidate is
// compared with the definition, computed on the CPU, and timed only if it is right. Of src it wants the
// shapes and packings but no weights, which it makes up. If there is an error it also returns what it found before.
func Tune(ctx context.Context, dev *gpu.Device, src graph.Source, o Options) ([]Result, error) {
	cases, err := casesOf(dev, src, o.passes())
	if err != nil {
		return nil, err
	}
	var results []Result
	for i, c := range cases {
		if o.Progress != nil {
			o.Progress(i, len(cases), c.Kernel+" "+c.Class)
		}
		r, err := c.tune(ctx, dev, o.Quick)
		if err != nil {
			return results, fmt.Errorf("%s, %s: %w", c.Kernel, c.Class, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// passes returns how many tokens the passes have that are tuned for.
func (o *Options) passes() []int {
	switch {
	case len(o.Tokens) > 0:
		return o.Tokens
	case o.Quick:
		return []int{1, 512}
	}
	return []int{1, 2, 4, 8, 16, 64, 512}
}

// kind is what a model computes that one choice is made for.
type kind struct {
	graph.TuningKey
	tokens int
	what   []string
	uses   int
	open   func(ctx context.Context) (subject, error)
}

// subject is what constants are looked for: its trials, and what is known of its constants beforehand.
type subject interface {
	key() graph.TuningKey
	defaults() (graph.Tuned, error)  // what is used without tuning
	possible(with graph.Tuned) error // why a candidate cannot be had
	trials() []trial
	close()
}

// kinds are the kinds that were found so far.
type kinds struct {
	list []*kind
	at   map[graph.TuningKey]*kind
}

// add counts a use of a kind.
func (k *kinds) add(c kind, what string) {
	if k.at[c.TuningKey] == nil {
		k.at[c.TuningKey] = &c
		k.list = append(k.list, &c)
	}
	known := k.at[c.TuningKey]
	known.uses++
	if !slices.Contains(known.what, what) {
		known.what = append(known.what, what)
	}
}

// leastTuned is how many weights a matrix must have to be worth tuning for.
const leastTuned = 1 << 16

// casesOf lists the kinds of work in passes of the given numbers of tokens, products first.
func casesOf(dev *gpu.Device, src graph.Source, tokens []int) ([]*kind, error) {
	w, err := graph.Plan(nil, src, dev.Limits().MaxBinding, graph.Choice{})
	if err != nil {
		return nil, err
	}
	all := kinds{at: map[graph.TuningKey]*kind{}}
	for i := range w.Layers {
		y := &w.Layers[i]
		all.products(dev, "q, k, v", y.QKV, tokens, 512)
		all.products(dev, "o", y.O, tokens, 512)
		all.products(dev, "gate, up", y.GateUp, tokens, 512)
		all.products(dev, "down", y.Down, tokens, 512)
	}
	all.products(dev, "head", w.Head, tokens, graph.FewTokens)
	all.attention(dev, src.Spec(), tokens)
	return all.list, nil
}

// products adds the products with a matrix, in passes of up to most tokens.
func (k *kinds) products(dev *gpu.Device, what string, m *graph.Matrix, tokens []int, most int) {
	if m == nil {
		return
	}
	for _, p := range m.Parts {
		added := map[int]bool{}
		for _, n := range tokens {
			if p.Bits == 32 || p.Rows*p.Width < leastTuned || n > most {
				continue
			}
			s := graph.Shape{Packing: p.Packing, Rows: p.Rows, Width: p.Width, Tokens: n}
			kernel := kernelFor(dev, &s)
			if added[s.Tokens] {
				continue
			}
			added[s.Tokens] = true
			k.add(kind{TuningKey: graph.TuningKey{Kernel: kernel, Class: s.Class()}, tokens: s.Tokens, open: func(ctx context.Context) (subject, error) {
				return newProductTrial(ctx, dev, kernel, s)
			}}, what)
		}
	}
}

// kernelFor names the kernel that is to be tuned for a product: for one that is made in groups, that of a group, to which it
// cuts s.
func kernelFor(dev *gpu.Device, s *graph.Shape) string {
	matrices := matricesRun(dev) == nil
	switch {
	case matrices && graph.PanelsTake(*s):
		return graph.FewKernel
	case matrices && graph.MatricesTake(*s):
		return graph.MatrixKernel
	case graph.Grouped(dev.OnCPU(), s.Tokens):
		s.Tokens = graph.FewTokens
	}
	return graph.KernelFor(dev.OnCPU(), s.Tokens)
}

// attention adds the attention of a model, in steps of the given numbers of tokens.
func (k *kinds) attention(dev *gpu.Device, spec *model.Spec, tokens []int) {
	for _, n := range tokens {
		for i := range spec.Layers {
			at := &spec.Layer(i).Attention
			if at.Heads == 0 || !graph.AttendsInParts(at, n, 16) || at.KVRank > 0 {
				continue // none, another kernel's, or of latent vectors, for which there are no trials
			}
			key := graph.TuningKey{Kernel: "attention_split", Class: graph.AttentionClass(at, n)}
			k.add(kind{TuningKey: key, tokens: n, open: func(context.Context) (subject, error) { return newAttention(dev, at, n) }}, "attention")
		}
	}
}

// tune looks for the best constants of a kind.
func (c *kind) tune(ctx context.Context, dev *gpu.Device, quick bool) (Result, error) {
	r := Result{TuningKey: c.TuningKey, What: strings.Join(c.what, "; "), Tokens: c.tokens, Uses: c.uses}
	s, err := c.open(ctx)
	if err != nil {
		return r, err
	}
	defer s.close()
	search := search{Result: &r, dev: dev, subject: s, quick: quick}
	return r, search.run(ctx)
}
