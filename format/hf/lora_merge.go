package hf

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// merger finds out what an adapter changes.
type merger struct {
	c     *Checkpoint
	a     *adapter
	s     *shards
	scale float64
	sites map[string][]site

	groups  map[groupKey]*group
	left    int // tensors of parts that were left out
	changes map[siteKey][]adapted
	taken   map[takenKey]bool // matrices that have a pair
	count   [3]int            // changed matrices, whole tensors, rows
}

// siteKey is a tensor, or one expert of it.
type siteKey struct{ tensor, expert int }

// takenKey is a matrix of an adapter, by the first row of the first tensor that it is of.
type takenKey struct{ tensor, expert, first int }

// groupKey is a module of an adapter. PEFT wraps a module with several parameters once for each; depth
// counts the wrappers around.
type groupKey struct {
	module string
	depth  int
}

// group are the tensors of a module by their kinds.
type group map[string]tensorOf

// tensorOf is a tensor of an adapter.
type tensorOf struct {
	stored
	name string // in the file
}

// The kinds of tensors of an adapter, by the ends of their names.
const (
	kindA, kindB    = ".lora_A.weight", ".lora_B.weight"
	kindBias        = ".lora_B.bias"
	kindLengths     = ".lora_magnitude_vector"
	kindEmbA        = ".lora_embedding_A"
	kindEmbB        = ".lora_embedding_B"
	kindRows        = tokenAdapter + ".trainable_tokens_delta"
	kindWhole       = ".weight"
	kindWholeBias   = ".bias"
	kindBase        = baseLayer + ".weight"
	kindBaseBias    = baseLayer + ".bias"
	baseLayer       = ".base_layer"
	tokenAdapter    = ".token_adapter"
	originalModule  = ".original_module"
	modulesToSave   = ".modules_to_save"
	defaultName     = ".default"
	adapterPrefix   = "base_model.model."
	unexpectedNames = "unexpected; a LoRA pair is named base_model.model.MODULE" + kindA + " and …" + kindB
)

// kinds in the order in which they are looked for.
var kinds = []string{kindA, kindB, kindBias, kindLengths, kindEmbA, kindEmbB, kindRows, kindBase, kindBaseBias, kindWhole, kindWholeBias}

func (m *merger) fail(t tensorOf, format string, args ...any) error {
	return fmt.Errorf("%s: tensor %q: %w", t.file, t.name, fmt.Errorf(format, args...))
}

// same reports whether two tensors are equal in every bit.
func (s stored) same(o stored) bool {
	return s.dtype == o.dtype && slices.Equal(s.shape, o.shape) && bytes.Equal(s.data, o.data)
}

// group sorts the tensors by modules and kinds.
func (m *merger) group() error {
	m.groups = map[groupKey]*group{}
	for _, name := range slices.Sorted(maps.Keys(m.s.tensors)) {
		t := tensorOf{m.s.tensors[name], name}
		plain := strings.ReplaceAll(strings.TrimPrefix(name, adapterPrefix), defaultName, "")
		plain = strings.ReplaceAll(strings.ReplaceAll(plain, modulesToSave, ""), "_orig_mod.", "")
		plain = strings.Replace(strings.Replace(plain, originalModule, baseLayer, 1), tokenAdapter+baseLayer, baseLayer, 1)
		plain = strings.Replace(plain, kindLengths+".weight", kindLengths, 1)
		at := slices.IndexFunc(kinds, func(k string) bool { return strings.HasSuffix(plain, k) })
		if at < 0 || strings.Contains(strings.TrimSuffix(plain, kinds[max(at, 0)]), "lora_") {
			return m.fail(t, "%s", unexpectedNames)
		}
		if inParts(plain, otherParts) || ofIndexer(m.c.config.spec, plain) {
			m.left++
			continue
		}
		key := groupKey{module: strings.TrimSuffix(plain, kinds[at])}
		for strings.HasSuffix(key.module, baseLayer) {
			key.module, key.depth = strings.TrimSuffix(key.module, baseLayer), key.depth+1
		}
		if decoders[t.dtype] == nil || elementSize[t.dtype] < 2 {
			return m.fail(t, "unsupported dtype %s; supported: BF16, F16, F32, F64", t.dtype)
		}
		g := m.groups[key]
		if g == nil {
			g = &group{}
			m.groups[key] = g
		}
		if other, twice := (*g)[kinds[at]]; twice && !t.same(other.stored) {
			return m.fail(t, "it is there twice, as %q too", other.name)
		}
		(*g)[kinds[at]] = t
	}
	return nil
}

// run finds all changes. It unties the head of the checkpoint if the adapter wants that.
func (m *merger) run() error {
	if err := m.group(); err != nil {
		return err
	}
	m.sites, m.changes, m.taken = m.c.sites(), map[siteKey][]adapted{}, map[takenKey]bool{}
	if err := errors.Join(m.complete(), m.untie()); err != nil {
		return err
	}
	for _, key := range slices.SortedFunc(maps.Keys(m.groups), func(a, b groupKey) int {
		return cmp.Or(strings.Compare(a.module, b.module), a.depth-b.depth)
	}) {
		if err := m.merge(key, *m.groups[key]); err != nil {
			return err
		}
	}
	if len(m.groups) == 0 {
		return fmt.Errorf("%s: all of the adapter is for parts of the model that are left out", m.s.files[0].Path)
	}
	return nil
}

// merge finds the changes of one module.
func (m *merger) merge(key groupKey, g group) error {
	for _, pair := range [][2]string{{kindA, kindB}, {kindB, kindA}, {kindEmbA, kindEmbB}, {kindEmbB, kindEmbA}} {
		if t, ok := g[pair[0]]; ok {
			if _, ok := g[pair[1]]; !ok {
				return m.fail(t, "there is no %q", strings.TrimSuffix(t.name, pair[0])+pair[1])
			}
		}
	}
	steps := []struct {
		kind string
		do   func(groupKey, group) error
	}{
		{kindBase, m.base},
		{kindBaseBias, m.base},
		{kindWhole, m.whole},
		{kindWholeBias, m.whole},
		{kindA, m.pair},
		{kindEmbA, m.embedding},
		{kindBias, m.bias},
		{kindRows, m.tokens},
	}
	for _, s := range steps {
		if _, ok := g[s.kind]; ok {
			if err := s.do(key, g); err != nil {
				return err
			}
		}
	}
	if t, ok := g[kindLengths]; ok {
		switch {
		case g[kindA].data == nil && g[kindEmbA].data == nil:
			return m.fail(t, "there is no pair for it")
		case !m.a.dora:
			return m.fail(t, "adapter_config.json does not say that the adapter is DoRA (use_dora)")
		}
	}
	return nil
}

// put notes a change.
func (m *merger) put(s site, expert int, c change) {
	if m.scale != 1 {
		if _, linear := c.(*delta); !linear {
			c = &partly{c, float32(m.scale)}
		}
	}
	k := siteKey{s.tensor, expert}
	m.changes[k] = append(m.changes[k], adapted{c, expert, s.place})
}

// result sums up what was merged.
func (m *merger) result() string {
	var list []string
	for i, what := range [][2]string{{"matrix", "matrices"}, {"whole tensor", "whole tensors"}, {"row of embeddings", "rows of embeddings"}} {
		if m.count[i] > 0 || i == 0 {
			list = append(list, counted(m.count[i], what[0], what[1]))
		}
	}
	return strings.Join(list, ", ")
}
