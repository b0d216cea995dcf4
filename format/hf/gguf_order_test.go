package hf

import (
	"slices"
	"strings"

	"github.com/x448/float16"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// byColumns lists the columns of matrices that lie one below the other.
func byColumns(values []float32, rows, cols int) []float32 {
	var out []float32
	for m := range slices.Chunk(values, rows*cols) {
		for c := range cols {
			for r := range rows {
				out = append(out, m[r*cols+c])
			}
		}
	}
	return out
}

// byTurns lets the value heads of memories take turns by their key heads.
func byTurns(r model.Recurrence, x model.Tensor, values []float32) []float32 {
	if r.KeyHeads == 0 {
		return values
	}
	per := r.Heads / r.KeyHeads
	turn := func(list []float32) []float32 {
		var out []float32
		size := len(list) / r.Heads
		for j := range per {
			for key := range r.KeyHeads {
				head := key*per + j
				out = append(out, list[head*size:(head+1)*size]...)
			}
		}
		return out
	}
	switch x.Role {
	case model.RoleV, model.RoleConvV, model.RoleOutGate, model.RoleWrite, model.RoleDecay, model.RoleDecayBias:
		return turn(values)
	case model.RoleO:
		var out []float32
		for row := range slices.Chunk(values, x.Cols()) {
			out = append(out, turn(row)...)
		}
		return out
	}
	return values
}

// permuted puts the rows of queries and keys into pairs, and adds 1 to norms.
func permuted(of *Checkpoint, arch string, x model.Tensor, values []float32) []float32 {
	if x.Role == model.RoleKUp {
		a := of.Spec().Layer(x.Layer).Attention
		return byColumns(values, a.HeadDim-a.SharedDim, a.KVRank)
	}
	if strings.HasPrefix(arch, "qwen35") && x.Layer != model.NoLayer {
		values = byTurns(of.Spec().Layer(x.Layer).Recurrence, x, values)
	}
	if ggufArchs[arch].plusOne && strings.HasSuffix(string(x.Role), "norm") && x.Role != model.RoleHeadsNorm {
		for i, v := range values {
			values[i] = float16.Fromfloat32(v + 1).Float32()
		}
	}
	if !slices.Contains([]string{"llama", "granite", "granitemoe", "granitehybrid", "smollm3", "arcee"}, arch) || !slices.Contains([]model.Role{model.RoleQ, model.RoleK, model.RoleQBias, model.RoleKBias}, x.Role) {
		return values
	}
	dim := of.Spec().Layer(x.Layer).Attention.HeadDim
	if dim == 0 { // a recurrence
		return values
	}
	cols := 1
	if len(x.Shape) > 1 {
		cols = x.Cols()
	}
	out := make([]float32, 0, len(values))
	for head := 0; head < len(values)/cols; head += dim {
		for j := range dim / 2 {
			for _, row := range []int{head + j, head + j + dim/2} {
				out = append(out, values[row*cols:(row+1)*cols]...)
			}
		}
	}
	return out
}
