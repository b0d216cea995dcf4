package transformer

import (
	"fmt"
	"slices"

	"github.com/llama-webgpu/llama-webgpu/format/model"
	"github.com/llama-webgpu/llama-webgpu/gpu"
)

// vector is a tensor kept as float32: a norm or a bias, or several of them one after the other.
type vector struct {
	tensors []int
	plusOne bool // the weights are stored less one
	paired  bool // elements are by turns those of two tensors
	n       int
	buffer  *gpu.Buffer
}

// weights are a model's tensors, laid out for the device.
type weights struct {
	embed, positions, head *matrix
	final, finalBias       *vector
	headBias               *vector
	layers                 []layerWeights

	matrices []*matrix // all of them, in order of use
	vectors  []*vector
}

// layerWeights are those of one layer. What a layer does not have is nil.
type layerWeights struct {
	attnNorm, attnNormBias, postAttnNorm *vector
	mlpNorm, mlpNormBias, postMLPNorm    *vector
	qkv, o                               *matrix
	gateUp, down                         *matrix // of the MLP, or of the expert that all tokens share
	router, expertGate                   *matrix
	expertUp, expertDown                 *matrix
	qkvBias, oBias, gateUpBias, downBias *vector
	qkNorm                               *vector // of queries, then of keys
}

// planner finds the tensors of a source by layer and role.
type planner struct {
	src   Source
	limit uint64
	at    map[slot]int
	w     *weights
	err   error
}

type slot struct {
	layer int
	role  model.Role
}

// plan lays out all tensors of src for bindings of at most limit bytes.
func plan(src Source, limit uint64) (*weights, error) {
	p := planner{src: src, limit: limit, at: map[slot]int{}, w: &weights{}}
	for i, t := range src.Tensors() {
		p.at[slot{t.Layer, t.Role}] = i
	}
	s := src.Spec()
	out := func(r model.Role) slot { return slot{model.NoLayer, r} }
	p.w.embed = p.matrix(out(model.RoleEmbed))
	p.w.positions = p.matrix(out(model.RolePositions))
	for i := range s.Layers {
		p.w.layers = append(p.w.layers, p.layer(i, s.Layer(i)))
	}
	p.w.final = p.norm(out(model.RoleFinalNorm))
	p.w.finalBias = p.vector(out(model.RoleFinalNormBias))
	p.w.head, p.w.headBias = p.w.embed, p.vector(out(model.RoleHeadBias))
	if !s.TiedHead {
		p.w.head = p.matrix(out(model.RoleHead))
	}
	return p.w, p.err
}

func (p *planner) layer(i int, y *model.Layer) layerWeights {
	in := func(roles ...model.Role) []slot {
		s := make([]slot, len(roles))
		for j, r := range roles {
			s[j] = slot{i, r}
		}
		return s
	}
	w := layerWeights{
		attnNorm: p.norm(in(model.RoleAttnNorm)...), attnNormBias: p.vector(in(model.RoleAttnNormBias)...),
		qkv:     p.matrix(in(model.RoleQ, model.RoleK, model.RoleV)...),
		qkvBias: p.vector(in(model.RoleQBias, model.RoleKBias, model.RoleVBias)...),
		qkNorm:  p.norm(in(model.RoleQNorm, model.RoleKNorm)...),
		o:       p.matrix(in(model.RoleO)...), oBias: p.vector(in(model.RoleOBias)...),
		postAttnNorm: p.norm(in(model.RolePostAttnNorm)...),
		mlpNorm:      p.norm(in(model.RoleMLPNorm)...), mlpNormBias: p.vector(in(model.RoleMLPNormBias)...),
		postMLPNorm: p.norm(in(model.RolePostMLPNorm)...),
	}
	if y.MLP.Experts == 0 {
		w.gateUp = p.pair(in(model.RoleGate, model.RoleUp)...)
		if w.gateUpBias = p.vector(in(model.RoleGateBias, model.RoleUpBias)...); w.gateUpBias != nil {
			w.gateUpBias.paired = w.gateUp != nil && w.gateUp.paired
		}
		w.down, w.downBias = p.matrix(in(model.RoleDown)...), p.vector(in(model.RoleDownBias)...)
		return w
	}
	h, n := p.src.Spec().Hidden, y.MLP.Intermediate
	w.router = p.matrix(in(model.RoleRouter)...)
	w.gateUp = p.pair(in(model.RoleSharedGate, model.RoleSharedUp)...)
	w.down = p.matrix(in(model.RoleSharedDown)...)
	w.expertGate = p.stack(n, in(model.RoleGate)...)
	w.expertUp = p.stack(n, in(model.RoleUp)...)
	w.expertDown = p.stack(h, in(model.RoleDown)...)
	return w
}

// tensors returns those of the slots that the source has.
func (p *planner) tensors(slots []slot) []int {
	var found []int
	for _, s := range slots {
		if i, ok := p.at[s]; ok {
			found = append(found, i)
		}
	}
	return found
}

func (p *planner) matrix(slots ...slot) *matrix { return p.stack(1, slots...) }

// stack lays out the tensors of the slots one below the other, cut between runs of unit rows only.
func (p *planner) stack(unit int, slots ...slot) *matrix {
	found := p.tensors(slots)
	if len(found) == 0 || p.err != nil {
		return nil
	}
	return p.keep(layOut(p.src, p.limit, unit, found...))
}

// pair lays out the tensors of two slots row by row.
func (p *planner) pair(slots ...slot) *matrix {
	found := p.tensors(slots)
	if len(found) != 2 || p.err != nil {
		return p.matrix(slots...)
	}
	return p.keep(layOutPair(p.src, p.limit, found[0], found[1]))
}

func (p *planner) keep(m *matrix, err error) *matrix {
	if err != nil {
		p.err = err
		return nil
	}
	p.w.matrices = append(p.w.matrices, m)
	return m
}

func (p *planner) vector(slots ...slot) *vector {
	found := p.tensors(slots)
	if len(found) == 0 {
		return nil
	}
	v := &vector{tensors: found}
	for _, i := range found {
		t := p.src.Tensors()[i]
		v.n += t.Rows() * t.Cols()
	}
	p.w.vectors = append(p.w.vectors, v)
	return v
}

func (p *planner) norm(slots ...slot) *vector {
	v := p.vector(slots...)
	if v != nil {
		v.plusOne = p.src.Spec().Norm.PlusOne
	}
	return v
}

// values reads the vector.
func (v *vector) values(src Source) ([]float32, error) {
	all := make([]float32, 0, v.n)
	for _, i := range v.tensors {
		t := src.Tensors()[i]
		n := t.Rows() * t.Cols()
		all = slices.Grow(all, n)[:len(all)+n]
		if err := src.Rows(i, 0, t.Rows(), all[len(all)-n:]); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	if v.plusOne {
		for i := range all {
			all[i]++
		}
	}
	if !v.paired {
		return all, nil
	}
	turns := make([]float32, len(all))
	for i := range all {
		turns[i] = all[i%2*len(all)/2+i/2]
	}
	return turns, nil
}
