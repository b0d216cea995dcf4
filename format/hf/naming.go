package hf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/model"
)

// wrappers are the segments that training tools put into names where they wrap a module, at the front
// or in the middle, and what puts them there.
var wrappers = map[string]string{
	"_orig_mod":                  "torch.compile",
	"_fsdp_wrapped_module":       "FSDP",
	"_checkpoint_wrapped_module": "activation checkpointing",
	"_forward_module":            "Lightning",
	"base_layer":                 "PEFT",
}

// fronts are the prefixes of whole models whose origin is known.
var fronts = map[string]string{
	"module": "DataParallel or DeepSpeed", "base_model.model": "PEFT", "pretrained_model": "TRL",
}

// unwrap renames the tensors to what they are called in the model that was wrapped: without the
// segments of wrappers, and without the prefix, if there is one, that stands before a name of the
// family. What is left out is noted.
func (b *binder) unwrap() (notes []string, err error) {
	if err := b.unmerged(); err != nil {
		return nil, err
	}
	left := map[string]string{}
	err = b.rename(func(name string) string {
		kept := slices.DeleteFunc(strings.Split(name, "."), func(s string) bool {
			by, ok := wrappers[s]
			if ok {
				left[s+"."] = by
			}
			return ok
		})
		return strings.Join(kept, ".")
	})
	if err != nil {
		return nil, err
	}
	front, err := b.front()
	if err != nil {
		return nil, err
	}
	if front != "" {
		left[front] = frontOrigin(front)
		if err := b.rename(func(name string) string { return strings.TrimPrefix(name, front) }); err != nil {
			return nil, err
		}
	}
	for _, what := range slices.Sorted(maps.Keys(left)) {
		note := fmt.Sprintf("tensor names are read without %q", what)
		if by := left[what]; by != "" {
			note += ", which " + by + " adds"
		}
		notes = append(notes, note)
	}
	return notes, nil
}

// frontOrigin says where a prefix of one or several known parts comes from, "" if it is unknown.
func frontOrigin(front string) string {
	var by []string
	for rest := front; rest != ""; {
		known := false
		for part, who := range fronts {
			if after, ok := strings.CutPrefix(rest, part+"."); ok {
				by, rest, known = append(by, who), after, true
				break
			}
		}
		if !known {
			return ""
		}
	}
	return strings.Join(by, " and ")
}

// rename gives the tensors other names, no two the same.
func (b *binder) rename(to func(string) string) error {
	names := map[string]stored{}
	from := map[string]string{}
	for _, old := range slices.Sorted(maps.Keys(b.shards.tensors)) {
		name := to(old)
		if other, twice := from[name]; twice {
			return fmt.Errorf("%s: tensor %q: it would be %q without its prefix, as %q is", b.shards.tensors[old].file, old, name, other)
		}
		names[name], from[name] = b.shards.tensors[old], old
	}
	b.shards.tensors = names
	b.findModules()
	return nil
}

// unmerged refuses a model that PEFT saved with an adapter in it: how its matrices are scaled is not in
// the files.
func (b *binder) unmerged() error {
	for _, name := range slices.Sorted(maps.Keys(b.shards.tensors)) {
		for _, segment := range strings.Split(name, ".") {
			if strings.HasPrefix(segment, "lora_") || segment == "modules_to_save" {
				return fmt.Errorf("%s: tensor %q: %w", b.shards.tensors[name].file, name, errors.New(
					"a PEFT model that was saved with its adapter beside the weights: save model.merge_and_unload(), or pass the adapter's directory as --lora with its base model"))
			}
		}
	}
	return nil
}

// anchors are tensors by which the names of a checkpoint are known: the embedding and, where a tied one is
// stored as the head alone, a norm of the first layer.
func (b *binder) anchors() []source {
	var list []source
	for _, t := range b.tensors {
		if s := b.family.tensors[t.Role]; t.Role == model.RoleEmbed || t.Layer == 0 && len(t.Shape) == 1 && s.fused == nil {
			list = append(list, s)
		}
	}
	return list
}

// front finds what stands before the names of the family, "" in most checkpoints.
func (b *binder) front() (string, error) {
	for _, s := range b.anchors() {
		if _, ok := b.prefixOf(s); ok {
			return "", nil
		}
	}
	for _, s := range b.anchors() {
		if front, found, err := b.before(s); found || err != nil {
			return front, err
		}
	}
	return "", nil
}

// before finds the shortest text that stands before the name of a tensor, under any of the family's
// prefixes.
func (b *binder) before(s source) (front string, found bool, err error) {
	of := map[string]string{} // by the name of the tensor
	for _, p := range b.family.prefixes {
		suffix := "." + p.name(s, 0, "")
		for name := range b.shards.tensors {
			if before, ok := strings.CutSuffix(name, suffix); ok && (of[name] == "" || len(before) < len(of[name])) {
				of[name] = before + "."
			}
		}
	}
	if len(of) > 1 {
		names := slices.Sorted(maps.Keys(of))
		return "", false, fmt.Errorf("tensors of several models: %q and %q", names[0], names[1])
	}
	for _, front = range of {
		return front, true, nil
	}
	return "", false, nil
}

// prefixOf returns the first way of naming under which a tensor is there.
func (b *binder) prefixOf(s source) (prefix, bool) {
	for _, p := range b.family.prefixes {
		if b.there(p.name(s, 0, "")) {
			return p, true
		}
	}
	return prefix{}, false
}

// choosePrefix takes the first way of naming under which the embedding is there or, without it, another
// of the anchors.
func (b *binder) choosePrefix() {
	b.prefix = b.family.prefixes[0]
	for _, s := range b.anchors() {
		if p, ok := b.prefixOf(s); ok {
			b.prefix = p
			return
		}
	}
}

// name returns what a tensor is called with this prefix.
func (p prefix) name(s source, layer int, expert string) string {
	return strings.NewReplacer("{p}", p.body, "{h}", p.head, "{l}", strconv.Itoa(layer), "{e}", expert).Replace(s.name)
}

// there reports whether a tensor is stored, quantized or not.
func (b *binder) there(name string) bool {
	return b.has(name) || b.modules[strings.TrimSuffix(name, ".weight")] || b.has(name+"_blocks")
}

// findModules notes the names of all modules that have tensors.
func (b *binder) findModules() {
	b.modules = map[string]bool{}
	for name := range b.shards.tensors {
		if at := strings.LastIndexByte(name, '.'); at >= 0 {
			b.modules[name[:at]] = true
		}
	}
}

// source says where a tensor lies: in the first of the places that a family knows for it in which
// something is stored, or else in the first.
func (b *binder) source(role model.Role, layer int) source {
	s := b.family.tensors[role]
	if layer >= 0 && b.spec.Layer(layer).MLP.Experts > 0 {
		if of, ok := b.family.experts[role]; ok {
			s = of
		}
	}
	if layer >= 0 && b.spec.Layer(layer).Recurrence.Taps > 0 {
		if of, ok := b.family.recurrent[role]; ok {
			s = of
		}
	}
	if of, ok := b.family.twoNorms[role]; ok && b.spec.Layer(layer).Parallel && !b.spec.Layer(layer).OneNorm {
		s = of
	}
	if b.shards == nil || b.there(b.name(s, layer, "0")) {
		return s
	}
	others := s.instead
	if role == model.RoleHead { // what wraps the body need not wrap the head
		others = append(slices.Clone(others), source{name: strings.TrimPrefix(s.name, "{h}")})
	}
	for _, other := range others {
		if b.there(b.name(other, layer, "0")) {
			return other
		}
	}
	if role == model.RoleEmbed && b.spec.TiedHead {
		if head := b.source(model.RoleHead, model.NoLayer); b.there(b.name(head, model.NoLayer, "")) {
			return head
		}
	}
	return s
}
