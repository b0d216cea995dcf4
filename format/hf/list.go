package hf

import (
	"maps"
	"slices"
)

// Family is a value of model_type that can be read.
type Family struct {
	Name string
	// Holds are the values of model_type that its text_config may have, if the family wraps a language model.
	Holds []string
	// Remote: transformers has no code for the family; its checkpoints contain it.
	Remote bool
}

// Families lists all families by name.
func Families() []Family {
	var all []Family
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := Family{Name: name, Remote: families[name].remote}
		if h := families[name].holds; h != nil {
			f.Holds = h.families
		}
		all = append(all, f)
	}
	return all
}
