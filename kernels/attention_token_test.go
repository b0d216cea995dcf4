package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// tokenCase is a case for attention_token, which computes what rope and attention_split do, to the bit.
type tokenCase struct {
	heads, kvHeads, dim, rot, cap, window, position int
	shared, splits, lanes, each                     int
	interleaved, sinks                              bool
}

// turned are cases for every kernel that also rotates.
var turned = []tokenCase{
	{heads: 4, kvHeads: 2, dim: 64, rot: 64, cap: 64, window: 64, position: 0, shared: 1, splits: 1, lanes: 128, each: 4},
	{heads: 4, kvHeads: 2, dim: 64, rot: 64, cap: 64, window: 64, position: 63, shared: 1, splits: 1, lanes: 128, each: 2},
	{heads: 8, kvHeads: 2, dim: 32, rot: 16, cap: 300, window: 300, position: 299, shared: 2, splits: 1, lanes: 64, each: 4, interleaved: true},
	{heads: 3, kvHeads: 1, dim: 80, rot: 32, cap: 70, window: 50, position: 200, shared: 3, splits: 1, lanes: 64, each: 1, sinks: true},
}

func TestAttentionToken(t *testing.T) {
	for _, c := range append(slices.Clone(turned), []tokenCase{
		{heads: 4, kvHeads: 2, dim: 40, rot: 0, cap: 100, window: 90, position: 97, shared: 2, splits: 4, lanes: 64, each: 2},
	}...) {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { c.test(t) })
	}
}

// attentionInputs are what both ways read and write; next and parts are what they make.
type attentionInputs struct {
	rows, kc, vc, next []uint32
	o                  []float32
}

func (c tokenCase) inputs() attentionInputs {
	rng := random(uint64(c.position + c.dim))
	size := 2 * c.kvHeads * c.cap * c.dim
	kc, _ := packCache(normals(rng, size, 0, 1), 16)
	vc, _ := packCache(normals(rng, size, 0.5, 1), 16)
	count := c.heads * c.dim
	if c.splits > 1 {
		count = c.heads * c.splits * (c.dim + 2)
	}
	return attentionInputs{[]uint32{7, uint32(c.position), 1, 0}, kc, vc, make([]uint32, limbsSize(c.heads*c.dim/32+1)), filled(count)}
}

// angles returns cosines and sines, of no particular angles.
func (c tokenCase) angles() (angles []float32) {
	for i := range 512 * max(c.rot/2, 1) {
		s, cos := math.Sincos(float64(i) / 7)
		angles = append(angles, float32(cos), float32(s))
	}
	return angles
}

// consts returns what kernels are told of heads, of their rotation, and of attention.
func (c tokenCase) consts() (heads, turn, core kernels.Consts) {
	heads = kernels.Consts{"HEADS": c.heads, "KV_HEADS": c.kvHeads, "DIM": c.dim, "CAP": c.cap}
	turn = kernels.Consts{"ROT": c.rot, "INTERLEAVED": asInt(c.interleaved), "SCALE": float32(0.2)}
	core = kernels.Consts{
		"VALUE": c.dim, "O_STRIDE": c.heads * c.dim, "WINDOW": c.window, "SINKS": asInt(c.sinks), "QUERIES": c.shared, "SPLITS": c.splits,
		"LANES": c.lanes, "EACH": c.each, "LIMBS": asInt(c.splits == 1 && c.dim%32 == 0),
	}
	return heads, turn, core
}

func (c tokenCase) test(t *testing.T) {
	width := (c.heads + 2*c.kvHeads) * c.dim
	x := normals(random(uint64(c.rot)), width, 0, 1)
	angles := c.angles()
	heads, turn, core := c.consts()
	sinks := normals(random(3), c.heads, 0, 1)
	groups := c.heads / c.shared * c.splits
	want, got := c.inputs(), c.inputs()
	q := filled(c.heads * c.dim)
	launch(t, "rope", together(heads, turn, kernels.Consts{"X_STRIDE": width, "Q_STRIDE": len(q)}), c.heads+2*c.kvHeads, 1,
		want.rows, x, angles, nil, q, want.kc, want.vc)
	launch(t, "attention_split", together(heads, core, kernels.Consts{"Q_STRIDE": len(q)}), groups, 1,
		want.rows, q, want.kc, want.vc, sinks, want.o, want.next)
	launch(t, "attention_token", together(heads, turn, core), groups, 1,
		got.rows, x, angles, got.kc, got.vc, sinks, got.o, got.next)
	if !slices.Equal(got.kc, want.kc) || !slices.Equal(got.vc, want.vc) {
		t.Error("keys and values are not those that rope appends")
	}
	if !slices.Equal(got.o, want.o) || !slices.Equal(got.next, want.next) {
		t.Error("heads are not those that attention_split makes")
	}
}

// together returns all constants.
func together(all ...kernels.Consts) kernels.Consts {
	one := kernels.Consts{}
	for _, c := range all {
		for name, v := range c {
			one[name] = v
		}
	}
	return one
}
