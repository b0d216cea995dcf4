package grammar

import "unicode"

// property returns the characters of a category, nil if its name is not known. The tables of scripts and of all categories would
// take 20 kB of the WebAssembly.
func property(name string) *unicode.RangeTable {
	switch name {
	case "L", "Letter":
		return unicode.L
	case "Lu", "Uppercase_Letter":
		return unicode.Lu
	case "Ll", "Lowercase_Letter":
		return unicode.Ll
	case "M", "Mark":
		return unicode.M
	case "N", "Number":
		return unicode.N
	case "Nd", "Decimal_Number":
		return unicode.Nd
	case "P", "Punctuation":
		return unicode.P
	case "S", "Symbol":
		return unicode.S
	case "Z", "Separator":
		return unicode.Z
	}
	return nil
}

// boundsGrowth: in a page, schemas are its own, up to maxStates.
const boundsGrowth = false
