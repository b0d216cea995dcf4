package hf

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// modelCase is a configuration and what transformers makes of it; testdata/make_config_models.py says
// what the fields are.
type modelCase struct {
	Name   string
	Config json.RawMessage
	Want   struct {
		Vocab, Hidden, Positions, Heads int
		Tied                            bool
		Rope                            []*struct {
			InvFreq []float64 `json:"inv_freq"`
			Scale   float64
		}
		Eps, Softcap float64
		EmbedScale   float64 `json:"embed_scale"`
		LogitScale   float64 `json:"logit_scale"`
		Kinds        []layerCase
		Layers       []int
	}
}

type layerCase struct {
	HeadDim                  int `json:"head_dim"`
	Scale, Residual, Softcap float64
	Parallel, Rotated        bool
	Seen                     []int // for each query, the first key that it sees
	QShape                   []int `json:"q_shape"`
	KShape                   []int `json:"k_shape"`
	QBias                    bool  `json:"q_bias"`
	OBias                    bool  `json:"o_bias"`
	Experts, Intermediate    int
	TopK                     int `json:"top_k"`
	Normalize                bool
	MLPBias                  bool      `json:"mlp_bias"`
	Activation               []float64 // of −2, −0.7, 0.4, 3
}

// The Spec says what transformers computes.
func TestConfigsAsTransformers(t *testing.T) {
	var cases []modelCase
	if err := json.Unmarshal(read(t, "testdata/config_models.json"), &cases); err != nil || len(cases) < 60 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			s, err := ParseConfig(c.Config)
			if err != nil {
				t.Fatal(err)
			}
			w := &c.Want
			same(t, "vocabulary", s.Vocab, w.Vocab)
			same(t, "hidden", s.Hidden, w.Hidden)
			same(t, "positions", s.MaxPositions, w.Positions)
			same(t, "tied head", s.TiedHead, w.Tied)
			near(t, "epsilon", s.Norm.Eps, w.Eps)
			near(t, "embedding scale", s.EmbedScale, w.EmbedScale)
			near(t, "logit scale", s.LogitScale, w.LogitScale)
			near(t, "logit softcap", s.LogitSoftcap, w.Softcap)
			same(t, "rotations", len(s.RoPE), len(w.Rope))
			for i, r := range w.Rope {
				if r == nil {
					continue
				}
				near(t, "scale of the rotation", s.RoPE[i].Scale, r.Scale)
				if !slices.EqualFunc(s.RoPE[i].InvFreq, r.InvFreq, func(a float32, b float64) bool { return math.Abs(float64(a)/b-1) < 1e-6 }) {
					t.Errorf("rotation %d: frequencies %v, want %v", i, s.RoPE[i].InvFreq, r.InvFreq)
				}
			}
			same(t, "layers", len(s.Layers), len(w.Layers))
			for i, k := range w.Layers {
				compareLayer(t, fmt.Sprintf("layer %d: ", i), s, s.Layer(i), &w.Kinds[k], w.Heads)
			}
		})
	}
}

func compareLayer(t *testing.T, at string, s *model.Spec, y *model.Layer, w *layerCase, heads int) {
	t.Helper()
	a, m := &y.Attention, &y.MLP
	same(t, at+"heads", a.Heads, heads)
	same(t, at+"size of heads", a.HeadDim, w.HeadDim)
	near(t, at+"scale", a.Scale, w.Scale)
	near(t, at+"softcap", a.Softcap, w.Softcap)
	near(t, at+"residual scale", y.ResidualScale, w.Residual)
	same(t, at+"parallel", y.Parallel, w.Parallel)
	same(t, at+"rotated", a.RoPE >= 0, w.Rotated)
	if w.QShape != nil {
		same(t, at+"queries", fmt.Sprint([]int{a.Heads * a.HeadDim, s.Hidden}), fmt.Sprint(w.QShape))
		same(t, at+"keys", fmt.Sprint([]int{a.KVHeads * a.HeadDim, s.Hidden}), fmt.Sprint(w.KShape))
		same(t, at+"bias of queries", a.QKVBias, w.QBias)
		same(t, at+"bias of outputs", a.OutBias, w.OBias)
	}
	seen := make([]int, len(w.Seen))
	for p := range seen {
		if a.Window > 0 {
			seen[p] = max(0, p-a.Window+1)
		}
		if a.Chunk > 0 {
			seen[p] = p / a.Chunk * a.Chunk
		}
	}
	same(t, at+"first keys", fmt.Sprint(seen), fmt.Sprint(w.Seen))
	same(t, at+"experts", m.Experts, w.Experts)
	same(t, at+"width", m.Intermediate, w.Intermediate)
	same(t, at+"experts of a token", m.TopK, w.TopK)
	same(t, at+"normalized", m.NormalizeTopK, w.Normalize)
	same(t, at+"bias of the MLP", m.Bias, w.MLPBias)
	for i, x := range []float64{-2, -0.7, 0.4, 3} {
		if have := activate(m.Activation, x); math.Abs(have-w.Activation[i]) > 1e-5 {
			t.Errorf("%sactivation %s of %g is %g, want %g", at, m.Activation, x, have, w.Activation[i])
		}
	}
}

// activate computes an activation by its definition.
func activate(a model.Activation, x float64) float64 {
	switch a {
	case model.SiLU:
		return x / (1 + math.Exp(-x))
	case model.ReLU:
		return max(x, 0)
	case model.ReLU2:
		return max(x, 0) * max(x, 0)
	case model.GELU:
		return x / 2 * (1 + math.Erf(x/math.Sqrt2))
	case model.GELUTanh:
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}
	return math.NaN()
}

func same[T comparable](t *testing.T, what string, have, want T) {
	t.Helper()
	if have != want {
		t.Errorf("%s: have %v, want %v", what, have, want)
	}
}

func near(t *testing.T, what string, have float32, want float64) {
	t.Helper()
	if math.Abs(float64(have)-want) > 1e-6*math.Abs(want) {
		t.Errorf("%s: have %g, want %g", what, have, want)
	}
}
