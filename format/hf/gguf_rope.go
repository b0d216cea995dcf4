package hf

import (
	"fmt"
	"math"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// rope reads the base of RoPE, and how its frequencies are scaled.
func (m *ggufModel) rope(c settings) {
	m.number(c, "rope_theta", "rope.freq_base")
	scaling := settings{}
	kind := m.str(m.key("rope.scaling.type"))
	factor, has, err := m.Float(m.key("rope.scaling.factor"))
	m.keep(err)
	if !has { // as old files have it
		factor, has, err = m.Float(m.key("rope.scale_linear"))
		m.keep(err)
		if has && kind == "" {
			kind = "linear"
		}
	}
	long, short := m.floats("rope_factors_long.weight"), m.floats("rope_factors_short.weight")
	factors := m.floats("rope_freqs.weight")
	switch {
	case m.err != nil:
		return
	case long != nil && short != nil:
		m.longrope(c, scaling, long, short)
	case factors != nil && (kind != "" && kind != "none" && kind != "linear" || has && factor != 1):
		m.keep(fmt.Errorf("metadata %q: %q together with factors for each frequency is not supported", m.key("rope.scaling.type"), kind))
	case factors != nil:
		m.factors(c, scaling, factors)
	case kind == "linear" && has && factor != 1:
		scaling["rope_type"], scaling["factor"] = "linear", shortest(factor)
	case kind == "yarn" && has:
		m.yarn(scaling, factor)
	case kind != "" && kind != "none" && kind != "linear" && kind != "longrope":
		m.keep(fmt.Errorf("metadata %q: %q is not supported", m.key("rope.scaling.type"), kind))
	}
	if len(scaling) > 0 {
		c["rope_scaling"] = map[string]any(scaling)
	}
}

// floats returns the numbers of a small tensor, nil if there is none.
func (m *ggufModel) floats(name string) []float32 {
	t, ok := m.tensors[name]
	if !ok {
		return nil
	}
	if len(t.Shape) != 1 || !t.Type.Plain() || t.Shape[0] == 0 {
		m.keep(fmt.Errorf("tensor %q: want a vector of floats, have %s of shape %v", name, t.Type.Name, t.Shape))
		return nil
	}
	list := make([]float32, t.Shape[0])
	t.Type.Decode(list, t.Data)
	return list
}

func (m *ggufModel) longrope(c, scaling settings, long, short []float32) {
	scaling["rope_type"], scaling["long_factor"], scaling["short_factor"] = "longrope", long, short
	m.number(scaling, "attention_factor", "rope.scaling.attn_factor")
	m.count(c, "original_max_position_embeddings", "rope.scaling.original_context_length", true)
}

// yarn: a rope.scaling.attn_factor is on top of what the factor makes.
func (m *ggufModel) yarn(scaling settings, factor float64) {
	scaling["rope_type"], scaling["factor"] = "yarn", shortest(factor)
	m.count(scaling, "original_max_position_embeddings", "rope.scaling.original_context_length", true)
	m.number(scaling, "beta_fast", "rope.scaling.yarn_beta_fast")
	m.number(scaling, "beta_slow", "rope.scaling.yarn_beta_slow")
	x, ok, err := m.Float(m.key("rope.scaling.attn_factor"))
	if m.keep(err); ok && x != 1 && x > 0 {
		scaling["attention_factor"] = x * (0.1*math.Log(factor) + 1)
	}
	m.number(scaling, "attention_factor", "rope.scaling.yarn_attn_factor")
	refused := []string{"rope.scaling.yarn_ext_factor"}
	if !ggufArchs[m.arch].scales {
		refused = append(refused, yarnLogMultiplier)
	}
	for _, name := range refused {
		x, ok, err := m.Float(m.key(name))
		if m.keep(err); ok && x != 0 && x != 1 {
			m.keep(fmt.Errorf("metadata %q: %g is not supported", m.key(name), x))
		}
	}
}

// llama3Highs are the high_freq_factor that models were made with; low_freq_factor was 1 for all of them.
var llama3Highs = []float64{4, 1}

// factors are what each frequency is divided by. Where they are those of a scaling as Llama 3 has it, it
// is named; else they are the factors of a context of any length.
func (m *ggufModel) factors(c, scaling settings, factors []float32) {
	largest := float32(1)
	for _, f := range factors {
		largest = max(largest, f)
	}
	if largest == 1 {
		return // nothing is scaled
	}
	theta := float32(10000)
	if x, ok, _ := m.Float(m.key("rope.freq_base")); ok {
		theta = float32(x)
	}
	for _, high := range llama3Highs {
		for original := 1 << 5; original <= 1<<20; original *= 2 {
			if matchesLlama3(factors, theta, float64(largest), high, float64(original)) {
				scaling["rope_type"], scaling["factor"] = "llama3", largest
				scaling["low_freq_factor"], scaling["high_freq_factor"], scaling["original_max_position_embeddings"] = 1, high, original
				return
			}
		}
	}
	scaling["rope_type"], scaling["long_factor"], scaling["short_factor"], scaling["attention_factor"] = "longrope", factors, factors, 1
	scaling["original_max_position_embeddings"] = c["max_position_embeddings"]
}

// matchesLlama3 reports whether factors are those of a scaling, but for rounding.
func matchesLlama3(factors []float32, theta float32, factor, high, original float64) bool {
	for j, f := range model.Frequencies(theta, 2*len(factors)) {
		wavelength, want := 2*math.Pi/float64(f), 1.0
		switch {
		case wavelength > original:
			want = factor
		case wavelength >= original/high:
			smooth := (original/wavelength - 1) / (high - 1)
			want = 1 / ((1-smooth)/factor + smooth)
		}
		if math.Abs(want-float64(factors[j])) > 1e-5*want {
			return false
		}
	}
	return true
}
