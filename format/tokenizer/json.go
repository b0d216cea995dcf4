package tokenizer

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// maxDepth is how deeply Sequences may be nested.
const maxDepth = 8

// fileJSON is a tokenizer.json. Its parts depend on their "type" and are read separately.
type fileJSON struct {
	Version       string       `json:"version"`
	Truncation    strict.Value `json:"truncation"`
	Padding       strict.Value `json:"padding"`
	AddedTokens   []addedToken `json:"added_tokens"`
	Normalizer    strict.Value `json:"normalizer"`
	PreTokenizer  strict.Value `json:"pre_tokenizer"`
	PostProcessor strict.Value `json:"post_processor"`
	Decoder       strict.Value `json:"decoder"`
	Model         strict.Value `json:"model"`
}

// Parse reads the bytes of a tokenizer.json.
func Parse(data []byte) (*Tokenizer, error) {
	f, err := read[fileJSON](data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if f.Version != "" && f.Version != "1.0" {
		return nil, fmt.Errorf("tokenizer: version %q: want 1.0", f.Version)
	}
	t := &Tokenizer{}
	if t.model, err = parseModel(f.Model); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if t.normalize, err = parseNormalizer(f.Normalizer); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	if t.pre, err = parsePreTokenizer(f.PreTokenizer); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if t.decode, err = parseDecoder(f.Decoder); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	if t.post, err = parsePost(f.PostProcessor, 0); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	if err := t.fillVocabulary(f.AddedTokens); err != nil {
		return nil, err
	}
	return t, t.checkPost()
}

func parseModel(raw strict.Value) (model, error) {
	kind, err := modelKind(raw)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "BPE":
		return named(kind)(parseBPE(raw))
	case "Unigram":
		return named(kind)(parseUnigram(raw))
	case "WordPiece":
		return named(kind)(parseWordPiece(raw))
	case "WordLevel":
		return named(kind)(parseWordLevel(raw))
	}
	return nil, unknownKind(kind, "BPE", "Unigram", "WordLevel", "WordPiece")
}

// modelKind returns the type of a model. Old files do not name it: it follows from the other members.
func modelKind(raw strict.Value) (string, error) {
	if absent(raw) {
		return "", errors.New("is missing")
	}
	var v struct {
		Type   string       `json:"type"`
		Vocab  strict.Value `json:"vocab"`
		Merges strict.Value `json:"merges"`
		Length strict.Value `json:"max_input_chars_per_word"`
	}
	if err := strict.UnmarshalSome(raw, &v); err != nil {
		return "", err
	}
	switch {
	case v.Type != "":
		return v.Type, nil
	case len(v.Merges) > 0:
		return "BPE", nil
	case len(v.Vocab) > 0 && v.Vocab[0] == '[':
		return "Unigram", nil
	case len(v.Length) > 0:
		return "WordPiece", nil
	case len(v.Vocab) > 0:
		return "WordLevel", nil
	}
	return "", errors.New("has neither a type nor a vocab")
}

// named puts the name of a model before its errors.
func named(kind string) func(model, error) (model, error) {
	return func(m model, err error) (model, error) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		return m, nil
	}
}

// fillVocabulary joins the model's vocabulary and the added tokens.
func (t *Tokenizer) fillVocabulary(added []addedToken) error {
	vocab := t.model.vocabulary()
	if err := t.place(vocab); err != nil {
		return err
	}
	t.special = map[string]bool{}
	next := int32(len(vocab))
	seen := map[string]bool{}
	for _, tok := range added {
		if tok.Content == "" || seen[tok.Content] {
			return fmt.Errorf("added_tokens: id %d: %q is empty or there twice", tok.ID, tok.Content)
		}
		seen[tok.Content] = true
		id, ok := vocab[tok.Content]
		if !ok { // so the tokenizers library numbers them, whatever the file says
			id = next
			next++
		}
		if tok.ID != id {
			return fmt.Errorf("added_tokens: %q has id %d, but its place is %d", tok.Content, tok.ID, id)
		}
		if err := t.put(tok.Content, id); err != nil {
			return fmt.Errorf("added_tokens: %w", err)
		}
		t.special[tok.Content] = tok.Special
	}
	return t.splitAdded(added)
}

// place fills the tables of ids and tokens with the model's vocabulary.
func (t *Tokenizer) place(vocab map[string]int32) error {
	t.ids = make(map[string]int32, len(vocab))
	limit := int32(2*len(vocab) + 1024)
	for token, id := range vocab {
		if id < 0 || id >= limit {
			return fmt.Errorf("model: token %q has id %d in a vocabulary of %d tokens", token, id, len(vocab))
		}
		if err := t.put(token, id); err != nil {
			return fmt.Errorf("model: %w", err)
		}
	}
	return nil
}

func (t *Tokenizer) put(token string, id int32) error {
	for int(id) >= len(t.tokens) {
		t.tokens = append(t.tokens, "")
		t.known = append(t.known, false)
	}
	if t.known[id] && t.tokens[id] != token {
		return fmt.Errorf("%q and %q have the same id %d", t.tokens[id], token, id)
	}
	t.tokens[id], t.known[id], t.ids[token] = token, true, id
	return nil
}

func (t *Tokenizer) splitAdded(added []addedToken) (err error) {
	var verbatim, normalized []addedToken
	for _, tok := range added {
		if tok.Normalized {
			normalized = append(normalized, tok)
		} else {
			verbatim = append(verbatim, tok)
		}
	}
	if t.verbatim, err = newAddedSet(verbatim, nil); err != nil {
		return err
	}
	t.normalized, err = newAddedSet(normalized, t.normalize)
	return err
}

// read reads JSON into a struct. Unknown and duplicate members, bytes after the value and
// text that is not UTF-8 are errors.
func read[T any](raw []byte) (v T, err error) {
	err = strict.Unmarshal(raw, &v)
	return v, err
}

// absent reports whether an optional part is missing or null.
func absent(raw strict.Value) bool { return raw.Absent() }

// kindOf returns the "type" of a part.
func kindOf(raw strict.Value) (string, error) {
	if absent(raw) {
		return "", errors.New("is missing")
	}
	var v struct {
		Type string `json:"type"`
	}
	if err := strict.UnmarshalSome(raw, &v); err != nil {
		return "", err
	}
	if v.Type == "" {
		return "", errors.New("has no type")
	}
	return v.Type, nil
}

func unknownKind(kind string, known ...string) error {
	sort.Stable(sort.StringSlice(known))
	return fmt.Errorf("type %q is not supported: want %s", kind, strings.Join(known, ", "))
}

var errTooDeep = fmt.Errorf("more than %d nested Sequences", maxDepth)

// need returns an error that names the members that are nil.
func need(members map[string]bool) error {
	var missing []string
	for name, ok := range members {
		if !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	sort.Stable(sort.StringSlice(missing))
	return fmt.Errorf("missing %s", strings.Join(missing, ", "))
}

// stepList is the JSON of a Sequence: J in parseSteps.
type stepList interface{ steps() []strict.Value }

// parseSteps reads a part of a tokenizer that is one step, which one reads by its type, or a Sequence of such parts.
func parseSteps[J stepList, T any](raw strict.Value, depth int, one func(kind string, raw strict.Value) (T, error)) ([]T, error) {
	kind, err := kindOf(raw)
	if err != nil {
		return nil, err
	}
	if kind == "Sequence" {
		list, err := read[J](raw)
		if err != nil {
			return nil, err
		}
		return sequence(list.steps(), depth, func(raw strict.Value, depth int) ([]T, error) {
			return parseSteps[J](raw, depth, one)
		})
	}
	step, err := one(kind, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return []T{step}, nil
}

// sequence reads each part of a list and joins the results.
func sequence[T any](parts []strict.Value, depth int, parse func(strict.Value, int) ([]T, error)) ([]T, error) {
	if depth >= maxDepth {
		return nil, errTooDeep
	}
	var all []T
	for i, raw := range parts {
		some, err := parse(raw, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		all = append(all, some...)
	}
	return all, nil
}
