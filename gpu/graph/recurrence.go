package graph

import (
	"fmt"
	"maps"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/arena"
	"github.com/llama-webgpu/llama-webgpu/kernels"
)

// mixerRoles are the matrices that a layer's attention or recurrence multiplies its input by, in the order of what they
// make; mixerBiases, what is added to that.
var (
	mixerRoles = []model.Role{
		model.RoleQ, model.RoleK, model.RoleV, model.RoleInGate, model.RoleOutGate, model.RoleWrite, model.RoleDecay,
		model.RoleQDown, model.RoleKVDown,
	}
	mixerBiases = []model.Role{
		model.RoleQBias, model.RoleKBias, model.RoleVBias, model.RoleInGateBias, model.RoleOutGateBias,
		model.RoleQDownBias, model.RoleKVDownBias,
	}
)

// stateRoles are the matrices that a recurrence beside attention multiplies its input by, in the order of mixerRoles.
var stateRoles = []model.Role{
	model.RoleStateQ, model.RoleStateK, model.RoleStateV, model.RoleInGate, model.RoleOutGate, model.RoleWrite, model.RoleDecay,
}

// mixerRolesOf returns the roles of a layer's matrix QKV: those of mixerRoles or, if a recurrence stands beside attention,
// of attention alone.
func mixerRolesOf(y *model.Layer) []model.Role {
	if y.Twofold() {
		return []model.Role{model.RoleQ, model.RoleK, model.RoleV}
	}
	return mixerRoles
}

// State is what the recurrence of a layer remembers of each sequence, float32. At position 0 nothing of it is read.
type State struct {
	Tail   *arena.Buffer // [sequences][Taps−1][Channels]; nil: the layer has no recurrence
	Memory *arena.Buffer // [sequences][Heads][KeyDim][ValueDim]; nil: there is none

	keptTail, keptMemory *arena.Buffer // what was kept of them
}

// states reserves the state of each layer.
func states(s *model.Spec, a *arena.Arena, limit uint64, sequences int) ([]State, error) {
	all := make([]State, len(s.Layers))
	reserve := func(numbers int) (now, kept *arena.Buffer, err error) {
		n := 4 * sequences * numbers
		if uint64(n) > limit {
			return nil, nil, fmt.Errorf("%w: a batch of %d sequences: their states take %s in a layer, this device binds at most %s", ErrTooLarge, sequences, Size(uint64(n)), Size(limit))
		}
		return a.Reserve(PurposeKV, n, gpu.Storage), a.Reserve(PurposeKV, n, gpu.Storage), nil
	}
	for i := range all {
		m := &s.Layer(i).Recurrence
		if m.Taps == 0 {
			continue
		}
		var err error
		if all[i].Tail, all[i].keptTail, err = reserve(m.Tail()); err != nil {
			return nil, err
		}
		if m.KeyDim == 0 {
			continue
		}
		if all[i].Memory, all[i].keptMemory, err = reserve(m.Stored()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Keep records a copy of a sequence's states to where they are kept or, if back, from there.
func (g *Graph) Keep(sequence int, back bool) (*Pass, error) {
	r := g.Recorder("states", 1)
	for _, s := range g.states {
		for _, b := range [][2]*arena.Buffer{{s.Tail, s.keptTail}, {s.Memory, s.keptMemory}} {
			if b[0] == nil {
				continue
			}
			size := b[0].Size() / uint64(g.opts.MaxBatch)
			now, kept := b[0].Part(uint64(sequence)*size, size).Range(), b[1].Part(uint64(sequence)*size, size).Range()
			if back {
				now, kept = kept, now
			}
			r.Copy(kept, now)
		}
	}
	return r.Pass()
}

// recurrence lays out what a recurrence has besides matrices.
func (p *planner) recurrence(w *Layer, y *model.Layer, in func(...model.Role) []slot) {
	m := &y.Recurrence
	if y.Twofold() {
		w.StateQKV, w.StateO = p.matrix(in(stateRoles...)...), p.matrix(in(model.RoleStateO)...)
	}
	w.conv = p.vector(in(model.RoleConvQ, model.RoleConvK, model.RoleConvV)...)
	w.convBias = p.vector(in(model.RoleConvQBias, model.RoleConvKBias, model.RoleConvVBias)...)
	w.memory = p.vector(in(model.RoleDecayLog, model.RoleDecayBias, model.RoleSkip)...)
	w.headsNorm = p.vector(in(model.RoleHeadsNorm)...)
	if w.qkvBias != nil && !y.Twofold() { // steps and shares have none
		w.qkvBias.behind = m.Projected() - w.qkvBias.n
		w.qkvBias.n += w.qkvBias.behind
	}
}

// twofold records the attention of a layer and the recurrence beside it, which are given the same.
func (r *layers) twofold(i int, in, out Vectors, e Epilogue) {
	first := e
	first.Next, first.By = nil, nil
	r.attention(i, in, out, first)
	e.Add = true
	r.recurrence(i, in, out, e)
}

// recurrence records the recurrence of a layer.
func (r *layers) recurrence(i int, in, out Vectors, e Epilogue) {
	g := r.g
	a, w, m, s := &g.act, &g.w.Layers[i], &g.spec.Layer(i).Recurrence, &g.states[i]
	qkv, bias, o, oBias := w.QKV, w.qkvBias, w.O, w.oBias
	if w.StateQKV != nil {
		qkv, bias, o, oBias = w.StateQKV, nil, w.StateO, nil
	}
	r.plain(qkv, bias, in, a.qkv, 1)
	runs := 1 // that may begin in a pass
	if r.n <= FewTokens || r.order != InOrder {
		runs = r.n
	}
	heads, gates := a.of(m.Width()), m.Channels()
	c := kernels.Consts{
		"CHANNELS": m.Channels(), "TAPS": m.Taps, "X_STRIDE": a.qkv.Stride, "BIAS": flag(m.ConvBias), "SILU": flag(m.SiLU),
	}
	if m.InGate {
		c["IN_AT"] = gates
		gates += m.Width()
	}
	made := a.q
	if m.KeyDim == 0 {
		made = heads
		if !m.SiLU && m.NormGroups == 0 {
			c["OUT_AT"] = gates
		}
	}
	c["Y_STRIDE"] = made.Stride
	r.Dispatch("convolve", c, (m.Channels()+63)/64, runs, g.rows, a.qkv.Buffer, w.conv.buffer, r.read(w.convBias), s.Tail, made.Buffer, r.Tokens())
	if m.KeyDim > 0 {
		r.recall(m, s, w.memory, heads, gates+m.Width(), runs)
	}
	if c["OUT_AT"] == nil {
		r.gateHeads(heads, m.Width(), gates, w.headsNorm, kernels.Consts{
			"ACT": flag(m.SiLU), "EPS": m.NormEps, "FIRST": flag(m.GateFirst), "WHOLE": flag(m.GateFirst),
		}, m.NormGroups)
	}
	r.reach(AfterHeads)
	r.Product(&Product{o, oBias, heads, out, e})
}

// recall records what heads read of their memories. Behind the gates there are, for each head, its share (if there are
// shares) and its step.
func (r *layers) recall(m *model.Recurrence, s *State, numbers *Vector, heads Vectors, behind, runs int) {
	a := &r.g.act
	cols, along := 8, 8
	r.Dispatch("recall", kernels.Consts{
		"HEADS": m.Heads, "KEY_HEADS": m.KeyHeads, "KEY_DIM": m.KeyDim, "VALUE_DIM": m.ValueDim, "C_STRIDE": a.q.Stride,
		"X_STRIDE": a.qkv.Stride, "Y_STRIDE": heads.Stride, "WRITE_AT": behind, "STEP_AT": behind + m.Heads*flag(m.Delta),
		"DELTA": flag(m.Delta), "SKIP": flag(m.Skip), "SCALE": m.ReadScale, "STEP_MIN": m.StepMin, "STEP_MAX": m.StepMax,
		"COLS": cols, "ALONG": along,
	}, m.Heads*((m.ValueDim+cols-1)/cols), runs, r.g.rows, a.q.Buffer, a.qkv.Buffer, numbers.buffer, s.Memory, heads.Buffer, r.Tokens())
}

// gateHeads records the gates of what heads have read, which lie behind the projections; with groups, these are
// normalized.
func (r *layers) gateHeads(heads Vectors, width, at int, norm *Vector, c kernels.Consts, groups int) {
	each := width / max(1, groups)
	if groups == 0 {
		each = 64
		for width%each != 0 {
			each /= 2
		}
		groups = width / each
	} else {
		c["NORM"] = 1
	}
	maps.Copy(c, kernels.Consts{"WIDTH": each, "X_STRIDE": r.g.act.qkv.Stride, "Y_STRIDE": heads.Stride, "GATE_AT": at})
	r.Dispatch("out_gate", c, groups, r.n, r.g.act.qkv.Buffer, r.read(norm), heads.Buffer)
}
