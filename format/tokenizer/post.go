package tokenizer

import (
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// template has the ids that the post-processor puts around those of a text.
type template struct {
	before, after []int32
	set           bool // a processor that adds tokens was read
}

type pieceJSON struct {
	Special *struct {
		ID     string `json:"id"`
		TypeID int    `json:"type_id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID     string `json:"id"`
		TypeID int    `json:"type_id"`
	} `json:"Sequence"`
}

type templateJSON struct {
	Type          string       `json:"type"`
	Single        []pieceJSON  `json:"single"`
	Pair          strict.Value `json:"pair"` // for pairs of texts, which we do not encode
	SpecialTokens map[string]struct {
		ID     string   `json:"id"`
		IDs    []int32  `json:"ids"`
		Tokens []string `json:"tokens"`
	} `json:"special_tokens"`
}

func parsePost(raw strict.Value, depth int) (template, error) {
	if absent(raw) && depth == 0 {
		return template{}, nil
	}
	kind, err := kindOf(raw)
	if err != nil {
		return template{}, err
	}
	var t template
	switch kind {
	case "ByteLevel": // trims offsets
		_, err = readByteLevel(raw)
	case "TemplateProcessing":
		t, err = parseTemplate(raw)
	case "BertProcessing":
		t, err = parseBertPost(raw)
	case "RobertaProcessing":
		t, err = parseRobertaPost(raw)
	case "Sequence":
		return parsePostSequence(raw, depth)
	default:
		return t, unknownKind(kind, "Sequence", "BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing")
	}
	if err != nil {
		return t, fmt.Errorf("%s: %w", kind, err)
	}
	return t, nil
}

func parsePostSequence(raw strict.Value, depth int) (template, error) {
	c, err := read[struct {
		Type string         `json:"type"`
		List []strict.Value `json:"processors"`
	}](raw)
	if err != nil {
		return template{}, err
	}
	all, err := sequence(c.List, depth, func(raw strict.Value, depth int) ([]template, error) {
		t, err := parsePost(raw, depth)
		return []template{t}, err
	})
	var only template
	for _, t := range all {
		if t.set && only.set {
			return only, errors.New("more than one that adds tokens")
		}
		if t.set {
			only = t
		}
	}
	return only, err
}

// marker is a token and its id, in JSON an array of both.
type marker struct{ id int32 }

// ReadJSON reads the array.
func (m *marker) ReadJSON(text []byte) error {
	var parts []strict.Value
	if err := strict.Unmarshal(text, &parts); err != nil {
		return err
	}
	if len(parts) != 2 {
		return fmt.Errorf("%d values: want a token and its id", len(parts))
	}
	return strict.Unmarshal(parts[1], &m.id)
}

func parseBertPost(raw strict.Value) (template, error) {
	c, err := read[struct {
		Type string  `json:"type"`
		Sep  *marker `json:"sep"`
		Cls  *marker `json:"cls"`
	}](raw)
	if err != nil {
		return template{}, err
	}
	return markers(c.Cls, c.Sep)
}

func parseRobertaPost(raw strict.Value) (template, error) {
	c, err := read[struct {
		Type           string  `json:"type"`
		Sep            *marker `json:"sep"`
		Cls            *marker `json:"cls"`
		TrimOffsets    *bool   `json:"trim_offsets"`     // about offsets, which we do not report
		AddPrefixSpace *bool   `json:"add_prefix_space"` // about trimming offsets
	}](raw)
	if err != nil {
		return template{}, err
	}
	return markers(c.Cls, c.Sep)
}

// markers are a token before and a token after the text.
func markers(before, after *marker) (template, error) {
	if err := need(map[string]bool{"cls": before != nil, "sep": after != nil}); err != nil {
		return template{}, err
	}
	return template{before: []int32{before.id}, after: []int32{after.id}, set: true}, nil
}

func parseTemplate(raw strict.Value) (template, error) {
	t := template{set: true}
	c, err := read[templateJSON](raw)
	if err != nil {
		return t, err
	}
	texts := 0
	for _, p := range c.Single {
		switch {
		case p.Sequence != nil && p.Special == nil && p.Sequence.ID == "A":
			texts++
		case p.Special != nil && p.Sequence == nil:
			tok, ok := c.SpecialTokens[p.Special.ID]
			if !ok {
				return t, fmt.Errorf("single: %q is not among special_tokens", p.Special.ID)
			}
			if texts == 0 {
				t.before = append(t.before, tok.IDs...)
			} else {
				t.after = append(t.after, tok.IDs...)
			}
		default:
			return t, errors.New("single: want pieces SpecialToken or Sequence A")
		}
	}
	if texts != 1 {
		return t, fmt.Errorf("single: has the text %d times", texts)
	}
	return t, nil
}

// checkPost makes sure that the ids of the post-processor are tokens.
func (t *Tokenizer) checkPost() error {
	for _, ids := range [][]int32{t.post.before, t.post.after} {
		for _, id := range ids {
			if _, ok := t.Token(id); !ok {
				return fmt.Errorf("post_processor: id %d is not in the vocabulary", id)
			}
		}
	}
	return nil
}
