package hf

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// bound is where a logical tensor lies. Row r of an expert is the stored tensor's row
// first + ⌊r/group⌋·step + r mod group; a stored tensor has total rows per expert.
type bound struct {
	parts       []stored // one, or one for each expert
	experts     int      // experts in the tensor; 1 without experts
	rows, cols  int      // of one expert
	first       int
	group, step int
	total       int
	transposed  bool // stored [in][out]
}

// read fills dst, [n][cols], with rows row to row+n−1 of an expert.
func (b *bound) read(expert, row, n int, dst []float32) {
	part, base := b.parts[0], 0
	if len(b.parts) > 1 {
		part = b.parts[expert]
	} else {
		base = expert * b.total * b.cols
	}
	for n > 0 {
		run := min(n, b.group-row%b.group)
		at := b.first + row/b.group*b.step + row%b.group
		if b.transposed {
			b.readTransposed(part, base+at, run, dst)
		} else {
			part.decode(base+at*b.cols, dst[:run*b.cols])
		}
		row, n, dst = row+run, n-run, dst[run*b.cols:]
	}
}

// readTransposed fills dst, [n][cols], from n columns of the stored tensor, of which the first
// begins at element at.
func (b *bound) readTransposed(part stored, at, n int, dst []float32) {
	column := make([]float32, n)
	for c := range b.cols {
		part.decode(at+c*b.total, column)
		for r, v := range column {
			dst[r*b.cols+c] = v
		}
	}
}

// decode fills dst with the elements from at on.
func (s stored) decode(at int, dst []float32) {
	size := elementSize[s.dtype]
	decoders[s.dtype](dst, s.data[at*size:(at+len(dst))*size])
}

// binder finds the tensors of a Spec in the shards.
type binder struct {
	family *family
	spec   *model.Spec
	shards *shards
	shapes map[roleAt][]int
	prefix prefix
	used   map[string]bool
}

type roleAt struct {
	role  model.Role
	layer int
}

// bind finds every tensor of the Spec in the shards, and accounts for all others there.
func (c *Checkpoint) bind(dir string) error {
	b := &binder{
		family: c.config.family, spec: c.config.spec, shards: c.shards,
		shapes: map[roleAt][]int{}, used: map[string]bool{},
	}
	c.tensors = b.spec.Tensors()
	for _, t := range c.tensors {
		b.shapes[roleAt{t.Role, t.Layer}] = t.Shape
	}
	b.choosePrefix()
	for i := range c.tensors {
		bound, err := b.bind(&c.tensors[i])
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		c.bound = append(c.bound, bound)
	}
	notes, err := b.rest()
	c.notes = append(c.notes, notes...)
	return err
}

// choosePrefix takes the first way of naming under which the embedding is there.
func (b *binder) choosePrefix() {
	for _, p := range b.family.prefixes {
		name := strings.ReplaceAll(b.source(model.RoleEmbed, model.NoLayer).name, "{p}", p.body)
		if _, ok := b.shards.tensors[name]; ok {
			b.prefix = p
			return
		}
	}
	b.prefix = b.family.prefixes[0]
}

func (b *binder) source(role model.Role, layer int) source {
	if layer >= 0 && b.spec.Layer(layer).MLP.Experts > 0 {
		if s, ok := b.family.experts[role]; ok {
			return s
		}
	}
	return b.family.tensors[role]
}

func (b *binder) name(s source, layer int, expert string) string {
	return strings.NewReplacer("{p}", b.prefix.body, "{h}", b.prefix.head, "{l}", strconv.Itoa(layer), "{e}", expert).Replace(s.name)
}

// bind finds one tensor and sets its name.
func (b *binder) bind(t *model.Tensor) (bound, error) {
	s := b.source(t.Role, t.Layer)
	if s.name == "" {
		return bound{}, fmt.Errorf("the family has no name for tensor %s of layer %d", t.Role, t.Layer)
	}
	d := b.layout(s, t)
	t.Name = b.name(s, t.Layer, "*") + d.suffix()
	want := d.storedShape(t)
	if !strings.Contains(s.name, "{e}") {
		return d, d.addPart(b, b.name(s, t.Layer, ""), want)
	}
	for e := range d.experts {
		if err := d.addPart(b, b.name(s, t.Layer, strconv.Itoa(e)), want[1:]); err != nil {
			return d, err
		}
	}
	return d, nil
}

// layout derives where the rows of a tensor lie from the roles that share its source.
func (b *binder) layout(s source, t *model.Tensor) bound {
	d := bound{experts: 1, transposed: s.transposed}
	d.rows, d.cols = rowsAndCols(t.Shape)
	if len(t.Shape) == 3 {
		d.experts = t.Shape[0]
	}
	d.group, d.total = d.rows, d.rows
	if s.fused == nil {
		return d
	}
	d.total = 0
	for _, role := range s.fused {
		if role == t.Role {
			d.first = d.total
		}
		rows, _ := rowsAndCols(b.shapes[roleAt{role, t.Layer}])
		d.total += rows
	}
	if s.byHead {
		heads := b.spec.Layer(t.Layer).Attention.Heads
		d.first, d.group, d.step = d.first/heads, d.rows/heads, d.total/heads
	}
	return d
}

// rowsAndCols returns the two dimensions of a matrix or of each matrix in a stack; a vector has
// one column.
func rowsAndCols(shape []int) (rows, cols int) {
	if len(shape) == 1 {
		return shape[0], 1
	}
	return shape[len(shape)-2], shape[len(shape)-1]
}

func (d *bound) suffix() string {
	switch {
	case d.total == d.rows:
		return ""
	case d.step > 0:
		return fmt.Sprintf("[%d:%d of %d]", d.first, d.first+d.group, d.step)
	default:
		return fmt.Sprintf("[%d:%d]", d.first, d.first+d.rows)
	}
}

// storedShape returns the shape that the checkpoint must give the tensor; of a stack, with the
// number of experts in front.
func (d *bound) storedShape(t *model.Tensor) []int {
	var shape []int
	switch {
	case len(t.Shape) == 1:
		shape = []int{d.total}
	case d.transposed:
		shape = []int{d.cols, d.total}
	default:
		shape = []int{d.total, d.cols}
	}
	if len(t.Shape) == 3 {
		shape = append([]int{d.experts}, shape...)
	}
	return shape
}

// addPart looks the stored tensor up and checks it.
func (d *bound) addPart(b *binder, name string, shape []int) error {
	s, ok := b.shards.tensors[name]
	switch {
	case !ok:
		return fmt.Errorf("tensor %q is missing%s", name, b.hint(name))
	case !slices.Equal(s.shape, shape):
		return fmt.Errorf("%s: tensor %q: shape %v, but config.json makes it %v", s.file, name, s.shape, shape)
	case decoders[s.dtype] == nil:
		return fmt.Errorf("%s: tensor %q: unsupported dtype %s; supported: %s", s.file, name, s.dtype, supportedDTypes())
	case len(d.parts) > 0 && d.parts[0].dtype != s.dtype:
		return fmt.Errorf("%s: tensor %q: dtype %s, but other experts are %s", s.file, name, s.dtype, d.parts[0].dtype)
	}
	b.used[name] = true
	d.parts = append(d.parts, s)
	return nil
}

// hint says why a tensor may be missing.
func (b *binder) hint(name string) string {
	head := b.source(model.RoleHead, model.NoLayer)
	if name == b.name(head, model.NoLayer, "") {
		return "; config.json has tie_word_embeddings false"
	}
	return ""
}

// rest accounts for the tensors that the Spec does not list: known ones are noted, any other is an
// error.
func (b *binder) rest() (notes []string, err error) {
	left := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(b.shards.tensors)) {
		switch {
		case b.used[name]:
		case vision(name):
			left["vision tensors"]++
		case ignorable(name):
			left["buffers that are computed anew"]++
		case b.spec.TiedHead && name == b.name(b.source(model.RoleHead, model.NoLayer), model.NoLayer, ""):
			if err := b.checkTied(name); err != nil {
				return nil, err
			}
			left["head equal to the embedding"]++
		default:
			return nil, fmt.Errorf("%s: tensor %q: unexpected: model_type %q with this config.json has none of this name",
				b.shards.tensors[name].file, name, b.spec.Family)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(left)) {
		notes = append(notes, fmt.Sprintf("left out: %s (%d)", what, left[what]))
	}
	return notes, nil
}

// checkTied refuses a head that contradicts tie_word_embeddings.
func (b *binder) checkTied(name string) error {
	head := b.shards.tensors[name]
	embed := b.shards.tensors[b.name(b.source(model.RoleEmbed, model.NoLayer), model.NoLayer, "")]
	if head.dtype != embed.dtype || !bytes.Equal(head.data, embed.data) {
		return fmt.Errorf("%s: tensor %q: %w", head.file, name,
			errors.New("it differs from the embedding, but config.json has tie_word_embeddings true; set it to false to use this head"))
	}
	return nil
}
