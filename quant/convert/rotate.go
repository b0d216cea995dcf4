package convert

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/quant"
)

// Rotated is a model that computes the same as another with other weights (QuaRot, Ashkboos et al.
// 2024): the residual stream is rotated by one orthogonal matrix R, the values within the heads of
// attention by another, and the scales of the norms are multiplied into the matrices after them.
// Outliers of a few columns are spread over all of them. Running it costs nothing, but a head that was
// the embedding becomes a matrix of its own.
type Rotated struct {
	src     model.Weights
	spec    model.Spec
	tensors []model.Tensor
	origin  []int // in src
	stream  *quant.Rotation
	heads   map[int]*quant.Rotation // by width of a value

	mu    sync.Mutex
	whole map[int][]float32 // matrices whose rows make each other's
}

// rotationSeed decides the signs of all rotations.
const rotationSeed = 1

// Rotate returns the rotated model, or the reason why the architecture has none.
func Rotate(src model.Weights, headName string) (*Rotated, error) {
	r := &Rotated{src: src, spec: *src.Spec(), heads: map[int]*quant.Rotation{}, whole: map[int][]float32{}}
	if err := rotatable(&r.spec); err != nil {
		return nil, fmt.Errorf("rotate: %w", err)
	}
	r.stream = quant.NewRotation(r.spec.Hidden, rotationSeed)
	for i := range r.spec.Kinds {
		if k := &r.spec.Kinds[i]; headsTurn(k) {
			d := k.Attention.ValueWidth()
			r.heads[d] = quant.NewRotation(d, rotationSeed)
		}
	}
	tied := r.spec.TiedHead
	r.spec.TiedHead = false
	r.tensors = r.spec.Tensors()
	old := src.Tensors()
	for i, t := range r.tensors {
		from := slices.IndexFunc(old, func(o model.Tensor) bool { return o.Role == t.Role && o.Layer == t.Layer })
		if t.Role == model.RoleHead && tied {
			from = slices.IndexFunc(old, func(o model.Tensor) bool { return o.Role == model.RoleEmbed })
			r.tensors[i].Name = headName
		} else {
			r.tensors[i].Name = old[from].Name
		}
		r.origin = append(r.origin, from)
	}
	return r, nil
}

// rotatable reports what stands between the matrices and the residual stream.
func rotatable(s *model.Spec) error {
	if s.Norm.Kind != model.RMSNorm {
		return errors.New("its norms subtract the mean, which a rotation changes: search and gptq work without --rotate")
	}
	if s.EmbedNorm {
		return errors.New("it normalizes the embedding, column by column")
	}
	for i := range s.Kinds {
		switch k := &s.Kinds[i]; {
		case k.PostNorm:
			return errors.New("it normalizes what its layers add to the residual stream, column by column, and these scales cannot be folded into the matrices before them")
		case k.Attention.Clip > 0:
			return errors.New("it bounds single elements of what its heads read")
		case !k.PreNorm:
			return errors.New("its layers read the residual stream without a norm")
		}
	}
	return nil
}

// Spec implements model.Weights.
func (r *Rotated) Spec() *model.Spec { return &r.spec }

// Tensors implements model.Weights.
func (r *Rotated) Tensors() []model.Tensor { return r.tensors }

// Origin returns the tensor of the original model that tensor i is made from.
func (r *Rotated) Origin(i int) int { return r.origin[i] }

// Rows implements model.Weights.
func (r *Rotated) Rows(i, row0, n int, dst []float32) error {
	t := r.tensors[i]
	if r.narrow(t) {
		return r.src.Rows(r.origin[i], row0, n, dst)
	}
	switch t.Role {
	case model.RoleAttnNorm, model.RoleMLPNorm, model.RoleFinalNorm: // in the matrices after them
		for k := range dst {
			if dst[k] = 1; r.spec.Norm.PlusOne {
				dst[k] = 0
			}
		}
		return nil
	case model.RoleV, model.RoleVUp, model.RoleO, model.RoleDown, model.RoleSharedDown, model.RoleExpertOut, model.RoleStateO:
		m, err := r.matrix(i)
		if err == nil {
			copy(dst, m[row0*t.Cols():(row0+n)*t.Cols()])
		}
		return err
	}
	if err := r.src.Rows(r.origin[i], row0, n, dst); err != nil {
		return err
	}
	return r.rows(t, dst)
}

// headsTurn reports whether what the heads of a layer read may be rotated: it is not if it is multiplied by gates or goes
// through a convolution, element by element.
func headsTurn(y *model.Layer) bool { return y.Attends() && !y.Attention.Gated }

// narrow reports whether a tensor is part of experts that neither read the residual stream nor add to it.
func (r *Rotated) narrow(t model.Tensor) bool {
	switch t.Role {
	case model.RoleGate, model.RoleUp, model.RoleDown:
		return r.spec.Layer(t.Layer).MLP.ExpertWidth > 0
	}
	return false
}

// head returns the rotation of the heads of a layer, nil if there is none.
func (r *Rotated) head(layer int) *quant.Rotation {
	y := r.spec.Layer(layer)
	if !headsTurn(y) {
		return nil
	}
	return r.heads[y.Attention.ValueWidth()]
}

// rows rotates rows that do not make each other's.
func (r *Rotated) rows(t model.Tensor, rows []float32) error {
	if r.narrow(t) {
		return nil
	}
	switch t.Role {
	case model.RoleEmbed, model.RolePositions, model.RoleOBias, model.RoleDownBias:
		r.stream.Row(rows)
	case model.RoleVBias:
		if head := r.head(t.Layer); head != nil {
			head.Row(rows)
		}
	case model.RoleQ, model.RoleK, model.RoleV, model.RoleInGate, model.RoleOutGate, model.RoleWrite, model.RoleDecay,
		model.RoleQDown, model.RoleKVDown, model.RoleStateQ, model.RoleStateK, model.RoleStateV:
		return r.behind(model.RoleAttnNorm, t.Layer, rows)
	case model.RoleRouter, model.RoleSharedRouter, model.RoleExpertIn, model.RoleGate, model.RoleUp, model.RoleSharedGate, model.RoleSharedUp:
		norm := model.RoleMLPNorm
		if r.spec.Layer(t.Layer).OneNorm {
			norm = model.RoleAttnNorm
		}
		return r.behind(norm, t.Layer, rows)
	case model.RoleHead:
		return r.behind(model.RoleFinalNorm, model.NoLayer, rows)
	}
	return nil
}

// behind rotates rows of a matrix that reads the residual stream through a norm.
func (r *Rotated) behind(norm model.Role, layer int, rows []float32) error {
	i := slices.IndexFunc(r.src.Tensors(), func(t model.Tensor) bool { return t.Role == norm && t.Layer == layer })
	scale := make([]float32, r.spec.Hidden)
	if err := r.src.Rows(i, 0, 1, scale); err != nil {
		return err
	}
	for at := 0; at < len(rows); at += len(scale) {
		for k, s := range scale {
			if r.spec.Norm.PlusOne {
				s++
			}
			rows[at+k] *= s
		}
	}
	r.stream.Row(rows)
	return nil
}

// matrix returns the whole of a matrix that is rotated from both sides. It keeps two of them: the
// workers may be at the end of one and at the beginning of the next.
func (r *Rotated) matrix(i int) ([]float32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.whole[i]; m != nil {
		return m, nil
	}
	for len(r.whole) > 1 {
		delete(r.whole, slices.Min(slices.Collect(maps.Keys(r.whole))))
	}
	t := r.tensors[i]
	rows, cols := t.Rows(), t.Cols()
	m := make([]float32, rows*cols)
	if err := r.src.Rows(r.origin[i], 0, rows, m); err != nil {
		return nil, err
	}
	if err := r.rows(t, m); err != nil {
		return nil, err
	}
	head := r.head(t.Layer)
	size := r.spec.Hidden
	left := r.stream
	switch t.Role {
	case model.RoleV, model.RoleVUp:
		left, size = head, r.spec.Layer(t.Layer).Attention.ValueWidth()
	case model.RoleO:
		if head != nil {
			head.Row(m)
		}
	}
	for at := 0; at < rows && left != nil; at += size { // each head, each expert
		left.Columns(m[at*cols:(at+size)*cols], cols)
	}
	r.whole[i] = m
	return m, nil
}
