package server

import (
	"encoding/json"
)

// prompts reads a field that is a string, tokens, or a list of either, at most `most` of them.
func prompts(field string, value json.RawMessage, most int, l *loaded) (all [][]int32, err error) {
	var text string
	var texts []string
	var ids []int32
	switch {
	case isNull(value):
		return nil, bad(field, "there is no %s", field)
	case json.Unmarshal(value, &text) == nil:
		texts = []string{text}
	case json.Unmarshal(value, &ids) == nil && len(ids) > 0:
		all = [][]int32{ids}
	case json.Unmarshal(value, &texts) == nil:
	case json.Unmarshal(value, &all) == nil:
	default:
		return nil, bad(field, "want a string, tokens, or a list of either")
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
		for _, id := range ids {
			if vocab := l.scheduler.Model().VocabSize(); id < 0 || int(id) >= vocab {
				return nil, bad(field, "token %d is not one of the model's %d", id, vocab)
			}
		}
	}
	return all, nil
}
