package hf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// site is where a matrix or vector of an adapter belongs: the rows of a logical tensor, or of one expert
// of it, as the matrix has them.
type site struct {
	tensor int
	expert int // −1: the matrix is a stack of all experts
	place  bound
}

// sites lists the logical tensors by all names that their matrices have in any form that the family
// knows, and in this checkpoint.
func (c *Checkpoint) sites() map[string][]site {
	b := &binder{family: c.config.family, spec: c.config.spec, shapes: map[roleAt][]int{}, prefix: c.prefix}
	for _, t := range c.tensors {
		b.shapes[roleAt{t.Role, t.Layer}] = t.Shape
	}
	found := map[string][]site{}
	prefixes := append([]prefix{c.prefix}, c.config.family.prefixes...)
	for i := range c.tensors {
		t := &c.tensors[i]
		s := b.source(t.Role, t.Layer)
		for _, form := range append([]source{s}, s.instead...) {
			d := b.layout(form, t)
			for _, p := range prefixes {
				switch {
				case strings.Contains(form.name, "{e}"):
					for e := range d.experts {
						add(found, p.name(form, t.Layer, strconv.Itoa(e)), site{i, e, d})
					}
				case d.experts > 1:
					add(found, p.name(form, t.Layer, ""), site{i, -1, d})
				default:
					add(found, p.name(form, t.Layer, ""), site{i, 0, d})
				}
			}
		}
	}
	return found
}

func add(found map[string][]site, name string, s site) {
	if !slices.ContainsFunc(found[name], func(o site) bool { return o.tensor == s.tensor && o.expert == s.expert }) {
		found[name] = append(found[name], s)
	}
}

// movable are the beginnings of names that come and go from one version of transformers to the next, or
// around a language model.
var movable = []string{"model.", "language_model.", "transformer.", "gpt_neox.", "module."}

// find returns the sites of a name, under whatever prefix the adapter's model had.
func (m *merger) find(name string) []site {
	for {
		if s := m.sites[name]; s != nil {
			return s
		}
		front := slices.IndexFunc(movable, func(f string) bool { return strings.HasPrefix(name, f) })
		if front < 0 {
			return nil
		}
		name = name[len(movable[front]):]
	}
}

// adapted is what an adapter does to rows of a logical tensor, or of one expert of it. The rows are
// counted as place says.
type adapted struct {
	change
	expert int
	place  bound
}

// apply changes dst, [n][cols], rows row to row+n−1 of an expert.
func (h *adapted) apply(row, n int, dst []float32) {
	d := &h.place
	for n > 0 {
		run := min(n, d.group-row%d.group)
		h.rows(d.first+row/d.group*d.step+row%d.group, run, dst[:run*d.cols])
		row, n, dst = row+run, n-run, dst[run*d.cols:]
	}
}

// untieFor gives the model a head of its own, with the values of the embedding, for an adapter that changes
// one of the two, or both in different ways.
func (c *Checkpoint) untieFor(what string) error {
	list, err := members(c.text)
	if err != nil {
		return err
	}
	text := configText{list}
	text.set("tie_word_embeddings", "false")
	config, err := text.marshal()
	if err != nil {
		return err
	}
	b := &binder{family: c.config.family, spec: c.config.spec, prefix: c.prefix}
	head := b.name(b.source(model.RoleHead, model.NoLayer), model.NoLayer, "")
	old := map[roleAt]int{}
	for i, t := range c.tensors {
		old[roleAt{t.Role, t.Layer}] = i
	}
	c.config.spec.TiedHead, c.text, c.edited = false, config, true
	tensors, bounds := c.config.spec.Tensors(), []bound{}
	for i := range tensors {
		t := &tensors[i]
		if at, ok := old[roleAt{t.Role, t.Layer}]; ok {
			*t = c.tensors[at]
			bounds = append(bounds, c.bound[at])
			continue
		}
		of := c.bound[old[roleAt{model.RoleEmbed, model.NoLayer}]]
		of.parts, of.changes = slices.Clone(of.parts), slices.Clone(of.changes)
		of.parts[0].bytes = 0 // they are the embedding's
		t.Name = head
		bounds = append(bounds, of)
	}
	c.tensors, c.bound = tensors, bounds
	c.notes = append(c.notes, fmt.Sprintf("the head is no longer the embedding, for the adapter changes %s", what))
	return nil
}
