package grammar

import "bytes"

// What is sorted here is sorted through sort.Interface: slices.SortFunc has a copy for each type, which together were a
// larger download for the browser.

// places sorts places of an automaton.
type places []int32

func (p places) Len() int           { return len(p) }
func (p places) Less(i, j int) bool { return p[i] < p[j] }
func (p places) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }

// byRule sorts calls by what they call.
type byRule []callEdge

func (b byRule) Len() int           { return len(b) }
func (b byRule) Less(i, j int) bool { return b[i].rule < b[j].rule }
func (b byRule) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

// byFirst sorts spans by their first characters.
type byFirst []span

func (b byFirst) Len() int           { return len(b) }
func (b byFirst) Less(i, j int) bool { return b[i].lo < b[j].lo }
func (b byFirst) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

// byPlace sorts configurations by their places, then by their stacks.
type byPlace []config

func (b byPlace) Len() int { return len(b) }
func (b byPlace) Less(i, j int) bool {
	if b[i].at != b[j].at {
		return b[i].at < b[j].at
	}
	return stackID(b[i].stack) < stackID(b[j].stack)
}
func (b byPlace) Swap(i, j int) { b[i], b[j] = b[j], b[i] }

// byBytes sorts tokens by their bytes.
type byBytes struct {
	ids    []int32
	tokens [][]byte
}

func (b byBytes) Len() int { return len(b.ids) }
func (b byBytes) Less(i, j int) bool {
	return bytes.Compare(b.tokens[b.ids[i]], b.tokens[b.ids[j]]) < 0
}
func (b byBytes) Swap(i, j int) { b.ids[i], b.ids[j] = b.ids[j], b.ids[i] }
