package vocab

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// tekken is a vocabulary of Mistral.
type tekken struct {
	Config struct {
		Pattern    string `json:"pattern"`
		VocabSize  *int   `json:"default_vocab_size"` // with special tokens
		NumSpecial *int   `json:"default_num_special_tokens"`
	} `json:"config"`
	Vocab []struct {
		Bytes []byte `json:"token_bytes"`
	} `json:"vocab"`
	Special *[]struct {
		Rank int    `json:"rank"`
		Text string `json:"token_str"`
	} `json:"special_tokens"`
}

// oldSpecial are the special tokens of files that name none.
var oldSpecial = []string{
	"<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]",
	"[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
}

// parseTekken reads a tekken.json.
func parseTekken(data []byte) (*tekken, error) {
	t := &tekken{}
	err := json.Unmarshal(data, t)
	var inBase64 base64.CorruptInputError
	switch {
	case errors.As(err, &inBase64):
		return nil, fmt.Errorf("vocab: token_bytes: %w", err)
	case err != nil:
		return nil, err
	case t.Config.Pattern == "":
		return nil, errors.New("config: pattern is missing: it says how text is cut")
	case len(t.Vocab) == 0:
		return nil, errors.New("vocab: has no tokens")
	}
	return t, nil
}

// special returns the special tokens in the order of their ids, which are the first.
func (t *tekken) special() ([]string, error) {
	names := slices.Clone(oldSpecial)
	if t.Special != nil {
		names = nil
		list := slices.Clone(*t.Special)
		slices.SortFunc(list, func(a, b struct {
			Rank int    `json:"rank"`
			Text string `json:"token_str"`
		},
		) int {
			return cmp.Compare(a.Rank, b.Rank)
		})
		for i, e := range list {
			if e.Rank != i {
				return nil, fmt.Errorf("special_tokens: no token, or more than one, has rank %d", i)
			}
			names = append(names, e.Text)
		}
	}
	if n := t.Config.NumSpecial; n != nil {
		if *n < len(names) || *n > maxPieces {
			return nil, fmt.Errorf("config: default_num_special_tokens is %d, and special_tokens has %d", *n, len(names))
		}
		names = append(names, numbered("<SPECIAL_%d>", len(names), *n-1)...)
	}
	return names, nil
}

// ranks returns the other tokens. Those behind the size that the file says are no part of it.
func (t *tekken) ranks(special int) (*ranks, error) {
	list := t.Vocab
	if n := t.Config.VocabSize; n != nil {
		if *n < special || *n-special > len(list) {
			return nil, fmt.Errorf("config: default_vocab_size is %d, and there are %d special tokens and %d others", *n, special, len(list))
		}
		list = list[:*n-special]
	}
	r := newRanks()
	for rank, e := range list {
		if err := r.put(string(e.Bytes), rank); err != nil {
			return nil, fmt.Errorf("vocab: %w", err)
		}
	}
	return r, nil
}

// convertTekken builds the tokenizer, and says how many tokens are special and how many are not.
func convertTekken(t *tekken, s *settings) (_ *Tokenizer, specials, others int, _ error) {
	special, err := t.special()
	if err != nil {
		return nil, 0, 0, err
	}
	r, err := t.ranks(len(special))
	if err != nil {
		return nil, 0, 0, err
	}
	out := cutBy(t.Config.Pattern)
	model, ids := r.model(len(special))
	for id, name := range special {
		if was, ok := ids[name]; ok { // a text token is spelled so, too: the special one counts
			model.Vocab[was] = ""
		}
		model.Vocab[id], ids[name] = name, id
	}
	out.Model = model
	a := newAdder(ids)
	for _, name := range special {
		a.add(plain(name).Added)
	}
	named := map[string]string{}
	for role, text := range map[string]string{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"} {
		if _, ok := a.id(text); ok {
			named[role] = text
		}
	}
	s.finish(out, a, profile{named: named, otherwise: beginBy(a, "<s>")})
	return out, len(special), len(r.rank), nil
}
