//go:build !js

package grammar

import "unicode"

// property returns the characters of a category or a script, nil if its name is not known.
func property(name string) *unicode.RangeTable {
	if alias, ok := unicode.CategoryAliases[name]; ok {
		name = alias
	}
	if t, ok := unicode.Categories[name]; ok {
		return t
	}
	return unicode.Scripts[name]
}

// boundsGrowth: schemas come from others, who could keep a server busy with automata that double.
const boundsGrowth = true
