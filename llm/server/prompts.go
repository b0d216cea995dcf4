package server

import (
	"encoding/json"

	"github.com/llama-webgpu/llama-webgpu/llm"
)

// prompts reads a field that is a string, tokens, or a list of either.
func prompts(field string, value json.RawMessage, l *loaded) (all [][]int32, err error) {
	texts, all, ok := readPrompts(value)
	switch {
	case isNull(value):
		return nil, bad(field, "there is no %s", field)
	case !ok:
		return nil, bad(field, "%s: want a string, tokens, or a list of either", field)
	}
	if n := max(len(texts), len(all)); n == 0 || n > most {
		return nil, bad(field, "%s: %d texts, want 1 to %d", field, n, most)
	}
	for _, text := range texts {
		ids, err := l.scheduler.Model().Vocabulary().Prompt(text, true)
		if err != nil {
			return nil, err
		}
		all = append(all, ids)
	}
	for _, ids := range all {
		if err := known(field, ids, l.scheduler.Model()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// readPrompts reads a string, tokens, or a list of either. A value that does not fit leaves behind what of it did.
func readPrompts(value json.RawMessage) (texts []string, all [][]int32, ok bool) {
	var text string
	var ids []int32
	switch {
	case json.Unmarshal(value, &text) == nil:
		return []string{text}, nil, true
	case json.Unmarshal(value, &ids) == nil && len(ids) > 0:
		return nil, [][]int32{ids}, true
	case json.Unmarshal(value, &texts) == nil:
		return texts, nil, true
	}
	ok = json.Unmarshal(value, &all) == nil
	return nil, all, ok
}

// known reports the first token that the model does not have.
func known(field string, ids []int32, m *llm.Model) error {
	for _, id := range ids {
		if id < 0 || int(id) >= m.VocabSize() {
			return bad(field, "%s: token %d is not one of the model's %d", field, id, m.VocabSize())
		}
	}
	return nil
}
