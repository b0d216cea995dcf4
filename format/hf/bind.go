package hf

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// bound is where a logical tensor lies. Row r of an expert is the stored tensor's row
// first + ⌊r/group⌋·step + r mod group; a stored tensor has total rows per expert.
type bound struct {
	parts       []part // one, or one for each expert
	experts     int    // experts in the tensor; 1 without experts
	rows, cols  int    // of one expert
	first       int
	group, step int
	total       int
	transposed  bool      // stored [in][out]
	row         bool      // a vector, stored as a matrix of one row
	thin        bool      // stored with a dimension of one before the last
	last        bool      // … at the end instead
	scalar      bool      // stored without a dimension
	changes     []adapted // what adapters do, in this order
	unit        bool      // rows are divided by their lengths, after that
	columns     *lengths  // unless nil, columns are
	factor      float32   // unless 0, elements are multiplied by it, after that
}

// read fills dst, [n][cols], with rows row to row+n−1 of an expert.
func (b *bound) read(expert, row, n int, dst []float32) {
	b.readBase(expert, row, n, dst)
	for i := range b.changes {
		if b.changes[i].expert == expert {
			b.changes[i].apply(row, n, dst)
		}
	}
	if b.columns != nil {
		b.columns.divide(b, dst)
	}
	if b.factor != 0 {
		for i := range dst {
			dst[i] *= b.factor
		}
	}
	if b.unit {
		for r := range n {
			toUnit(dst[r*b.cols : (r+1)*b.cols])
		}
	}
}

// toUnit divides a vector by its length, or by 1e-12 if that is more. One whose length is 1 but for rounding is kept.
func toUnit(v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	length := max(math.Sqrt(sum), 1e-12)
	if math.Abs(length-1) < 1e-6 {
		return
	}
	for i := range v {
		v[i] /= float32(length)
	}
}

// adjusted reports whether what is stored is not what the model computes with, beside what adapters do.
func (b *bound) adjusted() bool { return b.unit || b.columns != nil || b.factor != 0 }

// lengths are those of the columns of a matrix, once they are known.
type lengths struct {
	mu sync.Mutex
	of []float64 // [cols]; nil before they are known, and after a fault in reading the matrix
}

// divide divides rows of b by the lengths of its columns, and by 1e-7 more. A column whose length is 1 but for rounding is
// kept, so that a head that was written divided is read as it is.
func (l *lengths) divide(b *bound, rows []float32) {
	of := l.columns(b)
	for i := range rows {
		rows[i] = float32(float64(rows[i]) / of[i%b.cols])
	}
}

// columns returns what the columns of b are divided by.
func (l *lengths) columns(b *bound) []float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of != nil {
		return l.of
	}
	of, row := make([]float64, b.cols), make([]float32, b.cols)
	for r := range b.rows {
		b.readBase(0, r, 1, row)
		for c, x := range row {
			of[c] += float64(x) * float64(x)
		}
	}
	for c, sum := range of {
		of[c] = math.Sqrt(sum) + 1e-7
		if math.Abs(of[c]-1) < 1e-6 {
			of[c] = 1
		}
	}
	l.of = of
	return of
}

// readBase is read without what adapters do.
func (b *bound) readBase(expert, row, n int, dst []float32) {
	if b.transposed && b.group == 1 && b.parts[0].values == nil {
		b.readTurns(expert, row, n, dst)
		return
	}
	b.pieces(expert, row, n, func(p *part, first, at, run int) {
		to := dst[:run*b.cols]
		switch {
		case p.values != nil:
			p.values.rows(first+at, run, to)
		case b.transposed:
			b.readTransposed(p.stored, first*b.cols+at, run, to)
		default:
			p.decode((first+at)*b.cols, to)
		}
		dst = dst[run*b.cols:]
	})
}

// pieces calls f for each piece of the rows that lies together: rows at to at+run−1 of the matrix that
// begins at row first of p.
func (b *bound) pieces(expert, row, n int, f func(p *part, first, at, run int)) {
	p, first := &b.parts[0], 0
	if len(b.parts) > 1 {
		p = &b.parts[expert]
	} else {
		first = expert * b.total
	}
	for n > 0 {
		run := min(n, b.group-row%b.group)
		f(p, first, b.first+row/b.group*b.step+row%b.group, run)
		row, n = row+run, n-run
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

// readTurns is readTransposed for rows that are not neighbors.
func (b *bound) readTurns(expert, row, n int, dst []float32) {
	p, first := &b.parts[0], expert*b.total
	if len(b.parts) > 1 {
		p, first = &b.parts[expert], 0
	}
	span := make([]float32, (n-1)*b.step+1)
	for c := range b.cols {
		p.stored.decode(first*b.cols+c*b.total+b.first+row*b.step, span)
		for r := range n {
			dst[r*b.cols+c] = span[r*b.step]
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
	family  *family
	spec    *model.Spec
	tensors []model.Tensor // of the Spec
	shards  *shards
	modules map[string]bool // names of stored tensors without their last part
	shapes  map[roleAt][]int
	quant   *quantization // nil: none of the weights is quantized
	prefix  prefix
	used    map[string]bool
	adjustments
}

type roleAt struct {
	role  model.Role
	layer int
}

// bind finds every tensor of the Spec in the shards, and accounts for all others there.
func (c *Checkpoint) bind(dir string) (err error) {
	b := &binder{
		family: c.config.family, spec: c.config.spec, tensors: c.config.spec.Tensors(), shards: c.shards,
		quant: c.config.quant, adjustments: c.config.adjustments, shapes: map[roleAt][]int{}, used: map[string]bool{},
	}
	b.findModules()
	notes, err := b.unwrap()
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	c.notes = append(c.notes, notes...)
	defer func() {
		if err != nil && len(notes) > 0 {
			err = fmt.Errorf("%w (%s)", err, strings.Join(notes, "; "))
		}
	}()
	b.choosePrefix()
	if err := c.untie(b); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	c.tensors = b.spec.Tensors()
	for _, t := range c.tensors {
		b.shapes[roleAt{t.Role, t.Layer}] = t.Shape
	}
	for i := range c.tensors {
		bound, err := b.bind(&c.tensors[i])
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		c.bound = append(c.bound, bound)
	}
	c.prefix = b.prefix
	c.notes = append(c.notes, c.kinds()...)
	left, err := b.rest()
	c.notes = append(c.notes, left...)
	return err
}

// untie gives the model a head of its own if one is stored that is not the embedding, and notes it if the
// two are one and stored under the name of the head.
func (c *Checkpoint) untie(b *binder) error {
	if !b.spec.TiedHead {
		return nil
	}
	embed := b.name(b.family.tensors[model.RoleEmbed], model.NoLayer, "")
	head := b.name(b.source(model.RoleHead, model.NoLayer), model.NoLayer, "")
	switch {
	case b.there(head) && !b.there(embed):
		c.notes = append(c.notes, fmt.Sprintf("the embedding is stored as %q, to which config.json ties it", head))
	case b.differs():
		list, err := members(c.text)
		if err != nil {
			return err
		}
		text := configText{list}
		text.set("tie_word_embeddings", "false")
		if c.text, err = text.marshal(); err != nil {
			return err
		}
		b.spec.TiedHead, c.edited = false, true
		c.notes = append(c.notes, fmt.Sprintf("warning: %q is not the embedding, although config.json has tie_word_embeddings true: it is used, as transformers 5 does", head))
	}
	return nil
}

func (b *binder) name(s source, layer int, expert string) string {
	return b.prefix.name(s, layer, expert)
}

// bind finds one tensor and sets its name.
func (b *binder) bind(t *model.Tensor) (bound, error) {
	s := b.source(t.Role, t.Layer)
	if s.name == "" {
		return bound{}, fmt.Errorf("the family has no name for tensor %s of layer %d", t.Role, t.Layer)
	}
	d := b.layout(s, t)
	t.Name = b.name(s, t.Layer, "*") + d.suffix()
	if t.Role == model.RoleEmbed { // also where a tied one is stored as the head: a head of its own may follow
		t.Name = b.name(b.family.tensors[t.Role], t.Layer, "")
	}
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
	d := bound{
		row: s.row, transposed: s.transposed, thin: s.thin, scalar: s.scalar, unit: b.unitHead && t.Role == model.RoleHead,
	}
	if f := b.factors[t.Role]; f != 1 {
		d.factor = f
	}
	if b.unitColumns && t.Role == model.RoleHead {
		d.columns = &lengths{}
	}
	d.experts, d.rows, d.cols = dimensions(t.Role, t.Shape)
	d.group, d.total = d.rows, d.rows
	if s.fused != nil {
		b.fuse(&d, s, t)
	}
	d.first, d.total = d.first+s.skip, d.total+s.skip
	if s.thinOrLast && b.shards != nil {
		d.last = slices.Equal(b.shards.tensors[b.name(s, t.Layer, "")].shape, []int{d.total, d.cols, 1})
	}
	if s.eitherWay && b.shards != nil {
		upright := d
		upright.transposed = false
		stored := b.shards.tensors[b.name(s, t.Layer, "")]
		d.transposed = !slices.Equal(stored.shape, upright.storedShape(t))
	}
	return d
}

// fuse derives which rows of a tensor of several roles are those of t.
func (b *binder) fuse(d *bound, s source, t *model.Tensor) {
	d.total = 0
	for _, role := range s.fused {
		if role == t.Role {
			d.first = d.total
		}
		_, rows, _ := dimensions(role, b.shapes[roleAt{role, t.Layer}])
		d.total += rows
	}
	if s.turns {
		d.first, d.group, d.step = d.first/d.rows, 1, d.total/d.rows
	}
	if heads := s.groups; s.byHead || heads > 0 {
		if s.byHead {
			heads = b.turnsOf(t.Layer, s.fused)
		}
		d.first, d.group, d.step = d.first/heads, d.rows/heads, d.total/heads
	}
}

// turnsOf reports how many groups of heads the rows of fused roles belong to, one group after the other.
func (b *binder) turnsOf(layer int, fused []model.Role) int {
	switch y := b.spec.Layer(layer); {
	case y.Recurrence.Taps > 0:
		return y.Recurrence.KeyHeads
	case slices.Contains(fused, model.RoleOutGate), slices.Contains(fused, model.RoleOutGateBias):
		return y.Attention.Heads
	default:
		return y.Attention.KVHeads
	}
}

// dimensions returns how many matrices a tensor holds, and the two dimensions of each; a vector is a matrix of one
// column, and so is the bias of each expert.
func dimensions(role model.Role, shape []int) (experts, rows, cols int) {
	switch n := len(shape); {
	case n == 1:
		return 1, shape[0], 1
	case n == 2 && slices.Contains(stacked, role):
		return shape[0], shape[1], 1
	case n == 2:
		return 1, shape[0], shape[1]
	default:
		return shape[0], shape[1], shape[2]
	}
}

// stacked are the roles of which each expert, or each head, may have a vector.
var stacked = []model.Role{model.RoleGateBias, model.RoleUpBias, model.RoleDownBias, model.RoleQNorm, model.RoleKNorm}

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
	case d.row:
		shape = []int{1, d.total}
	case d.scalar:
		return []int{}
	case d.last:
		return []int{d.total, d.cols, 1}
	case d.thin:
		return []int{d.total, 1, d.cols}
	case d.vectors(t):
		shape = []int{d.total}
	case d.transposed:
		shape = []int{d.cols, d.total}
	default:
		shape = []int{d.total, d.cols}
	}
	if len(t.Shape) == 3 || len(t.Shape) == 2 && d.vectors(t) {
		shape = append([]int{d.experts}, shape...)
	}
	return shape
}

// vectors reports whether the tensor is a vector, or one for each expert.
func (d *bound) vectors(t *model.Tensor) bool {
	return len(t.Shape) == 1 || len(t.Shape) == 2 && slices.Contains(stacked, t.Role)
}

// addPart looks a matrix or vector up and checks it.
func (d *bound) addPart(b *binder, name string, shape []int) error {
	p, err := d.part(b, name, shape)
	if err != nil {
		return err
	}
	if len(d.parts) > 0 && d.parts[0].kind != p.kind {
		return fmt.Errorf("%s: tensor %q: dtype %s, but other experts are %s", p.file, name, p.kind, d.parts[0].kind)
	}
	d.parts = append(d.parts, p)
	return nil
}
