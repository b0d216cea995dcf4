package hf

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// wholeShape checks a tensor that stands for one of the checkpoint's.
func (m *merger) wholeShape(t tensorOf, s site) error {
	d := s.place
	want := d.storedShape(&m.c.tensors[s.tensor])
	switch {
	case s.expert < 0 || len(want) == 3:
		return m.fail(t, "trained experts cannot be put in the place of the checkpoint's; merge the adapter with PEFT: model.merge_and_unload()")
	case slices.Equal(t.shape, want):
		return nil
	case len(want) == 2 && len(t.shape) == 2 && t.shape[1] == want[1] && (m.c.tensors[s.tensor].Role == model.RoleEmbed || m.c.tensors[s.tensor].Role == model.RoleHead):
		return m.fail(t, "shape %v, but the base model has %v: the vocabulary was resized; merge the adapter with PEFT: model.resize_token_embeddings(%d), PeftModel.from_pretrained, merge_and_unload()",
			t.shape, want, t.shape[0])
	}
	return m.fail(t, "shape %v, but the base model has %v", t.shape, want)
}

// at returns the sites of a tensor of a module, with the kind that it is.
func (m *merger) at(key groupKey, g group, weight, bias string) (t tensorOf, name string, sites []site, err error) {
	t, name = g[weight], key.module+".weight"
	if t.data == nil {
		t, name = g[bias], key.module+".bias"
	}
	if sites = m.find(name); sites == nil {
		if otherHeads.MatchString(name) {
			return t, name, nil, m.fail(t, "the head of a classifier or reward model: an adapter for one makes no text")
		}
		return t, name, nil, m.fail(t, "the checkpoint has no tensor %q", name)
	}
	for _, s := range sites {
		if err := m.wholeShape(t, s); err != nil {
			return t, name, nil, err
		}
	}
	return t, name, sites, nil
}

// base checks what PEFT saves of the model itself, beside a pair for the embedding or head: it must be
// what the checkpoint has. A bias there may be trained.
func (m *merger) base(key groupKey, g group) error {
	if t, ok := g[kindBaseBias]; ok && m.a.bias {
		delete(g, kindBaseBias)
		g[kindWholeBias] = t
	}
	for _, kind := range []string{kindBase, kindBaseBias} {
		if g[kind].data == nil {
			continue
		}
		t, name, sites, err := m.at(key, group{kind: g[kind]}, kindBase, kindBaseBias)
		if err != nil {
			return err
		}
		for _, s := range sites {
			if !m.equal(t.stored, s) {
				return m.fail(t, "it differs from the checkpoint's %q: the adapter was trained on other weights than these; give it its own base model, or merge it with PEFT", name)
			}
		}
	}
	return nil
}

// whole puts trained tensors in the place of the checkpoint's: modules_to_save, biases, and the embedding
// and head of save_embedding_layers.
func (m *merger) whole(key groupKey, g group) error {
	for _, kind := range []string{kindWhole, kindWholeBias} {
		if g[kind].data == nil {
			continue
		}
		t, _, sites, err := m.at(key, group{kind: g[kind]}, kindWhole, kindWholeBias)
		if err != nil {
			return err
		}
		role := m.c.tensors[sites[0].tensor].Role
		saved := slices.ContainsFunc(m.a.saved, func(s string) bool { return isNamed(key.module, s) })
		if !saved && !(kind == kindWholeBias && m.a.bias) && role != model.RoleEmbed && role != model.RoleHead && role != model.RoleHeadBias {
			return m.fail(t, "a whole tensor that adapter_config.json does not speak of: neither modules_to_save nor bias name it")
		}
		same := true
		for _, s := range sites {
			same = same && m.equal(t.stored, s)
		}
		if same {
			continue
		}
		for _, s := range sites {
			m.put(s, s.expert, &trained{stored: t.stored, cols: s.place.cols, total: s.place.total, transposed: s.place.transposed})
		}
		m.count[1]++
	}
	return nil
}

// tokens puts trained rows of an embedding in the place of the checkpoint's.
func (m *merger) tokens(key groupKey, g group) error {
	t := g[kindRows]
	sites := m.find(key.module + ".weight")
	if sites == nil {
		return m.fail(t, "the checkpoint has no matrix %q", key.module+".weight")
	}
	return m.rows(t, key.module, sites)
}

// rows puts the trained rows of a module in the place of a matrix's.
func (m *merger) rows(t tensorOf, module string, sites []site) error {
	if sites == nil {
		return m.fail(t, "the checkpoint has no head that is a matrix")
	}
	s := sites[0]
	ids := m.a.tokens[""]
	for name, list := range m.a.tokens {
		if name != "" && isNamed(module, name) {
			ids = list
		}
	}
	if want := []int{len(ids), s.place.cols}; !slices.Equal(t.shape, want) {
		return m.fail(t, "shape %v, but trainable_token_indices and base model make it %v", t.shape, want)
	}
	rows := &someRows{t.stored, s.place.cols, map[int]int{}}
	for at, id := range ids {
		if id < 0 || id >= s.place.total {
			return m.fail(t, "trainable_token_indices has token %d; the vocabulary has %d", id, s.place.total)
		}
		rows.at[id] = at
	}
	m.put(s, 0, rows)
	m.count[2] += len(ids)
	return nil
}

// equal reports whether a tensor is what the checkpoint has, as far as its type tells.
func (m *merger) equal(t stored, s site) bool {
	b := &m.c.bound[s.tensor]
	w := &trained{stored: t, cols: s.place.cols, total: s.place.total, transposed: s.place.transposed}
	h := adapted{w, s.expert, s.place}
	rounding := map[string]float64{"F16": 1.0 / (1 << 11), "BF16": 1.0 / (1 << 8), "F32": 0}[t.dtype]
	const step = 64
	have, want := make([]float32, step*b.cols), make([]float32, step*b.cols)
	for row := 0; row < b.rows; row += step {
		n := min(step, b.rows-row)
		b.readBase(max(s.expert, 0), row, n, want[:n*b.cols])
		h.apply(row, n, have[:n*b.cols])
		for i, v := range want[:n*b.cols] {
			d := math.Abs(float64(v) - float64(have[i]))
			if !(d <= rounding*math.Abs(float64(v))) && !(t.dtype == "F16" && d <= 0x1p-25) {
				return false
			}
		}
	}
	return true
}

// untie gives a model whose head is the embedding a head of its own, if the adapter changes only one of
// the two, or both in different ways.
func (m *merger) untie() error {
	c := m.c
	if !c.config.spec.TiedHead {
		return nil
	}
	b := &binder{family: c.config.family, spec: c.config.spec, prefix: c.prefix}
	heads := map[string]bool{}
	for _, p := range append([]prefix{c.prefix, {}}, c.config.family.prefixes...) {
		name := p.name(b.family.tensors[model.RoleHead], model.NoLayer, "")
		heads[name] = true
		for at, t := range c.tensors {
			if t.Role == model.RoleEmbed {
				m.sites[name] = []site{{at, 0, b.layout(b.family.tensors[model.RoleEmbed], &c.tensors[at])}}
			}
		}
	}
	var embed, head *group
	var names [2]string
	for key, g := range m.groups {
		sites := m.find(key.module + ".weight")
		if sites == nil || c.tensors[sites[0].tensor].Role != model.RoleEmbed || !m.touches(*g, sites[0]) {
			continue
		}
		if heads[key.module+".weight"] {
			head, names[0] = g, key.module
		} else {
			embed, names[1] = g, key.module
		}
	}
	switch {
	case head == nil && embed == nil:
		return nil
	case head != nil && embed != nil:
		if a, b := (*head)[kindWhole], (*embed)[kindWhole]; a.data != nil && a.dtype == b.dtype && string(a.data) == string(b.data) {
			delete(*head, kindWhole)
			return nil
		}
	}
	what := strings.Join(slices.DeleteFunc(names[:], func(n string) bool { return n == "" }), " and ")
	if err := c.untieFor(what); err != nil {
		return err
	}
	m.sites = c.sites()
	return m.headTokens(names[0])
}

// headTokens puts the trained rows of an embedding into the head that is called so, too: PEFT trains both as one where
// they were tied, and adds a pair for the head to that.
func (m *merger) headTokens(head string) error {
	if g := m.groups[groupKey{module: head}]; g == nil || (*g)[kindA].data == nil {
		return nil
	}
	for key, g := range m.groups {
		if t, ok := (*g)[kindRows]; ok && key.module != head {
			if err := m.rows(t, key.module, m.find(head+".weight")); err != nil {
				return err
			}
		}
	}
	return nil
}

// touches reports whether an adapter changes the matrix of a group. Trained tokens change the head too
// where it is the embedding.
func (m *merger) touches(g group, s site) bool {
	if g[kindA].data != nil || g[kindEmbA].data != nil {
		return true
	}
	w := g[kindWhole]
	return w.data != nil && (m.wholeShape(w, s) != nil || !m.equal(w.stored, s))
}

// complete reports what adapter_config.json says was trained and is not in the file.
func (m *merger) complete() error {
	has := func(name, kind string) bool {
		for key, g := range m.groups {
			if _, ok := (*g)[kind]; ok && isNamed(key.module, name) {
				return true
			}
		}
		return false
	}
	for _, name := range m.a.saved {
		if !has(name, kindWhole) {
			return fmt.Errorf("%s: modules_to_save names %q, but no tensor of it is there", m.s.files[0].Path, name)
		}
	}
	for name := range m.a.tokens {
		if !has(name, kindRows) {
			return fmt.Errorf("%s: there are trainable_token_indices, but no trained tokens", m.s.files[0].Path)
		}
	}
	return nil
}

// isNamed reports whether a module, or one that it is in, has a name.
func isNamed(module, name string) bool {
	return strings.HasSuffix(module, name) || strings.Contains("."+module+".", "."+name+".")
}
