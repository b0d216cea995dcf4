package hf

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// The names of the two matrices of a module.
const (
	suffixA = ".lora_A.weight"
	suffixB = ".lora_B.weight"
)

// deltas pairs the tensors of an adapter and finds the matrices of the checkpoint that they belong to,
// by the names of these.
func (c *Checkpoint) deltas(a *adapter, s *shards, scale float64) (map[string]delta, error) {
	found := map[string]delta{}
	for _, name := range slices.Sorted(maps.Keys(s.tensors)) {
		t := s.tensors[name]
		module, of := strings.CutPrefix(name, "base_model.model.")
		base, first := strings.CutSuffix(module, suffixA)
		if !first {
			base = strings.TrimSuffix(module, suffixB)
		}
		fail := func(format string, args ...any) (map[string]delta, error) {
			return nil, fmt.Errorf("%s: tensor %q: %w", t.file, name, fmt.Errorf(format, args...))
		}
		pair := strings.TrimSuffix(strings.TrimSuffix(name, suffixA), suffixB)
		switch {
		case !of || base == module:
			return fail("%s", notLoRA(name))
		case first && !s.has(pair+suffixB):
			return fail("there is no %q", pair+suffixB)
		case !first && !s.has(pair+suffixA):
			return fail("there is no %q", pair+suffixA)
		case !first:
			continue
		}
		target, ok := c.target(base)
		if !ok {
			return fail("the checkpoint has no matrix %q", base+".weight")
		}
		if _, twice := found[target]; twice {
			return fail("a second pair for matrix %q", target)
		}
		d, err := c.delta(a, base, target, s.tensors[pair+suffixA], s.tensors[pair+suffixB])
		if err != nil {
			return fail("%w", err)
		}
		d.scale = float32(float64(d.scale) * scale)
		found[target] = d
	}
	return found, nil
}

func (s *shards) has(name string) bool {
	_, ok := s.tensors[name]
	return ok
}

// notLoRA says what a tensor is that is no half of a LoRA pair.
func notLoRA(name string) string {
	switch {
	case strings.Contains(name, "lora_magnitude_vector"):
		return "DoRA cannot be merged; supported: plain LoRA"
	case strings.Contains(name, "lora_embedding"):
		return "LoRA of an embedding cannot be merged; supported: LoRA of the other matrices"
	case strings.Contains(name, "lora_"):
		return fmt.Sprintf("unexpected; a LoRA pair is named base_model.model.MODULE%s and …%s", suffixA, suffixB)
	}
	return "a whole tensor (modules_to_save, bias) cannot be merged; supported: LoRA pairs"
}

// target finds the stored matrix of a module. The names of models change between versions of
// transformers by a prefix, and so may those of an adapter.
func (c *Checkpoint) target(module string) (string, bool) {
	names := []string{module + ".weight"}
	for _, p := range c.config.family.prefixes {
		if rest, ok := strings.CutPrefix(module, p.body); ok {
			names = append(names, c.prefix.body+rest+".weight")
		}
		if rest, ok := strings.CutPrefix(module, p.head); ok {
			names = append(names, c.prefix.head+rest+".weight")
		}
	}
	for _, n := range names {
		if _, ok := c.owners[n]; ok {
			return n, true
		}
	}
	return "", false
}

// delta checks a pair against the matrix that it belongs to.
func (c *Checkpoint) delta(a *adapter, module, target string, first, second stored) (delta, error) {
	o := c.owners[target][0]
	b, t := &c.bound[o.tensor], &c.tensors[o.tensor]
	rank := value(a.ranks, module, a.rank)
	switch {
	case len(t.Shape) == 1 || b.experts > 1 && len(b.parts) == 1:
		return delta{}, fmt.Errorf("%q is no single matrix", target)
	case t.Role == model.RoleEmbed:
		return delta{}, fmt.Errorf("%s", notLoRA("lora_embedding"))
	case len(first.shape) != 2 || float64(first.shape[0]) != rank || first.shape[1] != b.cols:
		return delta{}, fmt.Errorf("shape %v, but rank and base model make it [%v %d]", first.shape, rank, b.cols)
	case !slices.Equal(second.shape, []int{b.total, first.shape[0]}):
		return delta{}, fmt.Errorf("its pair has shape %v, want %v", second.shape, []int{b.total, first.shape[0]})
	}
	for _, s := range []stored{first, second} {
		if !slices.Contains([]string{"BF16", "F16", "F32"}, s.dtype) {
			return delta{}, fmt.Errorf("unsupported dtype %s; supported: BF16, F16, F32", s.dtype)
		}
	}
	by := rank
	if a.rooted {
		by = math.Sqrt(rank)
	}
	return delta{first: first, second: second, rank: first.shape[0], cols: b.cols, scale: float32(value(a.alphas, module, a.alpha) / by)}, nil
}

// delta is scale·B·A, where A, first, is [rank][cols] and B, second, is [rows][rank].
type delta struct {
	first, second stored
	rank, cols    int
	scale         float32
}

// together is how many rows of A are multiplied at a time.
const together = 4

// add adds rows row to row+n−1 to dst, [n][cols]. Products are summed up in float32 in the order of
// the rank.
func (d *delta) add(row, n int, dst []float32) {
	left := make([]float32, n*d.rank)
	d.second.decode(row*d.rank, left)
	sum := make([]float32, len(dst))
	right := make([]float32, together*d.cols)
	for k := 0; k < d.rank; k += together {
		m := min(together, d.rank-k)
		d.first.decode(k*d.cols, right[:m*d.cols])
		for r := range n {
			line := sum[r*d.cols : (r+1)*d.cols]
			b := left[r*d.rank+k : r*d.rank+k+m]
			if m == together {
				addFour(line, b, right)
				continue
			}
			for j, f := range b {
				multiplyAdd(line, f, right[j*d.cols:(j+1)*d.cols])
			}
		}
	}
	for i, v := range sum {
		dst[i] += float32(d.scale * v)
	}
}

// addFour is multiplyAdd for four factors and as many rows of v, one after the other.
func addFour(sum, f, v []float32) {
	n := len(sum)
	v0, v1, v2, v3 := v[:n], v[n:2*n], v[2*n:3*n], v[3*n:4*n]
	f0, f1, f2, f3 := f[0], f[1], f[2], f[3]
	for i, s := range sum {
		s += float32(f0 * v0[i])
		s += float32(f1 * v1[i])
		s += float32(f2 * v2[i])
		sum[i] = s + float32(f3*v3[i])
	}
}

// multiplyAdd adds f·v to sum. The conversion keeps every processor from fusing the two.
func multiplyAdd(sum []float32, f float32, v []float32) {
	v = v[:len(sum)]
	for i := range sum {
		sum[i] += float32(f * v[i])
	}
}
