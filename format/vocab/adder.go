package vocab

import (
	"cmp"
	"slices"
)

// adder numbers added tokens as the tokenizers library does.
type adder struct {
	ids  map[string]int // of the model's vocabulary
	high int            // highest id of an added token, −1: none
	list []Added
	at   map[string]int // where in list a token is
}

func newAdder(ids map[string]int) *adder {
	return &adder{ids: ids, high: -1, at: map[string]int{}}
}

// add adds a token, or gives it other properties if it is there.
func (a *adder) add(t Added) {
	if t.Content == "" {
		return
	}
	if i, ok := a.at[t.Content]; ok {
		t.ID = a.list[i].ID
		a.list[i] = t
		return
	}
	id, ok := a.ids[t.Content]
	if !ok {
		id = max(len(a.ids), a.high+1)
	}
	t.ID = id
	a.at[t.Content] = len(a.list)
	a.list, a.high = append(a.list, t), max(a.high, id)
}

// id returns the id of a token, which was added or is in the vocabulary.
func (a *adder) id(text string) (int, bool) {
	if i, ok := a.at[text]; ok {
		return a.list[i].ID, true
	}
	id, ok := a.ids[text]
	return id, ok
}

// sorted returns the tokens by their ids.
func (a *adder) sorted() []Added {
	return slices.SortedFunc(slices.Values(a.list), func(x, y Added) int { return cmp.Compare(x.ID, y.ID) })
}

// profile is what a class of tokenizers brings along.
type profile struct {
	named     map[string]string // tokens by role, where the files say nothing of the role
	order     []string          // roles beside the usual ones
	extra     []token           // special tokens, where the files say nothing of them; nil: this says nothing, too
	addBOS    bool              // where the files say nothing of it
	plain     bool              // a text has no other tokens around it
	template  Part              // in place of what add_bos_token and add_eos_token ask for
	otherwise Part              // where the files do not say either
}

// finish adds the special tokens of files and class to t, whose model has the given ids.
func (s *settings) finish(t *Tokenizer, a *adder, p profile) {
	order := append(append(slices.Clone(roles), p.order...), s.order...)
	named := map[string]bool{}
	s.roles = map[string]string{}
	for _, role := range order {
		if n := s.token(role, p.named[role]); n != nil {
			s.roles[role], named[n.Content] = n.Content, true
		}
	}
	there := map[string]bool{} // what a list with ids, or the vocabulary's own file, has said all about
	for _, t := range a.list {
		there[t.Content] = true
	}
	for _, o := range s.placed {
		o.Special = o.Special || named[o.Content]
		a.add(o.Added)
		there[o.Content] = true
	}
	for _, role := range order {
		if n := s.token(role, p.named[role]); n != nil && !there[n.Content] {
			n.Special = true
			a.add(n.Added)
		}
	}
	extra := s.mapped
	if s.hasExtra {
		extra = s.extra
	} else if p.extra != nil {
		extra = p.extra
	}
	for _, e := range extra {
		if !there[e.Content] {
			e.Special = e.Special || named[e.Content]
			a.add(e.Added)
		}
	}
	t.Added, t.PostProcessor = a.sorted(), s.around(a, p)
}

// around returns the post-processor.
func (s *settings) around(a *adder, p profile) Part {
	if p.template != nil || p.plain {
		return p.template
	}
	if p.otherwise != nil && !s.has("add_bos_token") && !s.has("add_eos_token") {
		return p.otherwise
	}
	var before, after []Special
	if bos := s.token("bos_token", p.named["bos_token"]); bos != nil && s.bool("add_bos_token", p.addBOS, false) {
		id, _ := a.id(bos.Content)
		before = []Special{{bos.Content, id}}
	}
	if eos := s.token("eos_token", p.named["eos_token"]); eos != nil && s.bool("add_eos_token", false, false) {
		id, _ := a.id(eos.Content)
		after = []Special{{eos.Content, id}}
	}
	if before == nil && after == nil {
		return nil
	}
	return Template(before, after)
}
