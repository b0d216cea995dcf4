package hf

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// glu gives the stacked experts of a Gemma 4 the names that MLX gives them, gates and ups in a tensor each.
func glu(m map[string]*tensorData) {
	for name, d := range maps.Clone(m) {
		base, gates := strings.CutSuffix(name, ".experts.gate_up_proj")
		if gates {
			n, rows, cols := d.Shape[0], d.Shape[1]/2, d.Shape[2]
			for k, part := range []string{"gate_proj", "up_proj"} {
				to := &tensorData{DType: d.DType, Shape: []int{n, rows, cols}}
				for e := range n {
					at := (2*e + k) * rows * cols * 2
					to.data = append(to.data, d.data[at:at+rows*cols*2]...)
				}
				m[base+".experts.switch_glu."+part+".weight"] = to
			}
			delete(m, name)
		}
		if base, ok := strings.CutSuffix(name, ".experts.down_proj"); ok {
			m[base+".experts.switch_glu.down_proj.weight"] = d
			delete(m, name)
		}
	}
}

// stacks gives the experts of a Nemotron-H the names that MLX gives them, all of a layer in a tensor.
func stacks(m map[string]*tensorData) {
	lastThin(m)
	for _, name := range slices.Sorted(maps.Keys(m)) { // the experts in their order
		block, rest, ok := strings.Cut(name, ".mixer.experts.")
		if !ok {
			continue
		}
		to := block + ".mixer.switch_mlp.fc1.weight"
		if strings.Contains(rest, "down_proj") {
			to = block + ".mixer.switch_mlp.fc2.weight"
		}
		d := m[name]
		delete(m, name)
		if len(d.Shape) == 3 {
			m[to] = d
			continue
		}
		if m[to] == nil {
			m[to] = &tensorData{DType: d.DType, Shape: []int{0, d.Shape[0], d.Shape[1]}}
		}
		m[to].Shape[0]++
		m[to].data = append(m[to].data, d.data...)
	}
}

// lastThin gives convolutions the shape that MLX gives them.
func lastThin(m map[string]*tensorData) {
	for name, d := range m {
		if strings.HasSuffix(name, ".conv1d.weight") {
			d.Shape[1], d.Shape[2] = d.Shape[2], d.Shape[1]
		}
	}
}

// The shape of convolutions tells checkpoints of MLX apart, which of some families hold other values: those are refused.
func TestConvolutionsOfMLX(t *testing.T) {
	dir := copyOf(t, "mamba2")
	inWeights(lastThin)(t, dir)
	sameModel(t, mustOpen(t, dir), mustOpen(t, fixtureOf(t, "mamba2")))
	for _, family := range []string{"falcon_h1", "bamba", "qwen3_next"} {
		dir := copyOf(t, family)
		inWeights(lastThin)(t, dir)
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), `conv1d.weight": shape [`) {
			t.Errorf("%s: error %v, want one about the shape", family, err)
		}
	}
}

// MLX has experts of Gemma 4 and of Nemotron-H under names of its own.
func TestExpertsOfMLX(t *testing.T) {
	for family, change := range map[string]func(map[string]*tensorData){"gemma4_moe": glu, "nemotron_h": stacks} {
		t.Run(family, func(t *testing.T) {
			dir := copyOf(t, family)
			inWeights(change)(t, dir)
			c := mustOpen(t, dir)
			if !slices.ContainsFunc(slices.Sorted(maps.Keys(c.shards.tensors)), func(n string) bool { return strings.Contains(n, ".switch_") }) {
				t.Error("no tensor has a name of MLX")
			}
			sameModel(t, c, mustOpen(t, fixtureOf(t, family)))
		})
	}
}
