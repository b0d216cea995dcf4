package vocab

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/gguf"
)

// What tokenizer.ggml.token_type says of a token.
const (
	ggufNormal = 1 + iota
	ggufUnknown
	ggufControl
	ggufUserDefined
	ggufUnused
	ggufByte
)

// ggufVocab is what a GGUF file says of a tokenizer.
type ggufVocab struct {
	kind   string // gpt2 or llama
	pre    string // how text is cut; "" if it does not say
	tokens []string
	types  []int64 // of each token
	scores []float64
	merges []string

	bos, eos       int // −1: none
	addBOS, addEOS *bool
	space          bool // a space is put before a text
}

// FromGGUF returns the text of a tokenizer.json that tokenizes as the GGUF file says. Notes say what is
// not certain. An error is an ErrUnsupported.
func FromGGUF(f *gguf.File) (text []byte, notes []string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
	}()
	v, err := readGGUF(f)
	if err != nil {
		return nil, nil, err
	}
	var t *Tokenizer
	switch v.kind {
	case "gpt2":
		t, notes, err = v.byteLevel()
	case "llama":
		t, err = v.sentencePiece()
	default:
		err = fmt.Errorf(`metadata "tokenizer.ggml.model": tokenizers of kind %q are not supported; supported: gpt2, llama`, v.kind)
	}
	if err != nil {
		return nil, nil, err
	}
	text, err = t.Marshal()
	return text, notes, err
}

func readGGUF(f *gguf.File) (v *ggufVocab, err error) {
	const prefix = "tokenizer.ggml."
	v = &ggufVocab{bos: -1, eos: -1, space: true}
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	text := func(to *string, name string) {
		s, _, e := f.String(prefix + name)
		*to = s
		keep(e)
	}
	flag := func(name string) *bool {
		b, ok, e := f.Bool(prefix + name)
		keep(e)
		if !ok {
			return nil
		}
		return &b
	}
	text(&v.kind, "model")
	text(&v.pre, "pre")
	var e error
	v.tokens, _, e = f.Strings(prefix + "tokens")
	keep(e)
	v.types, _, e = f.Ints(prefix + "token_type")
	keep(e)
	v.scores, _, e = f.Floats(prefix + "scores")
	keep(e)
	v.merges, _, e = f.Strings(prefix + "merges")
	keep(e)
	for name, to := range map[string]*int{"bos_token_id": &v.bos, "eos_token_id": &v.eos} {
		if id, ok, e := f.Int(prefix + name); e != nil {
			keep(e)
		} else if ok && id >= 0 && id < len(v.tokens) {
			*to = id
		}
	}
	v.addBOS, v.addEOS = flag("add_bos_token"), flag("add_eos_token")
	if s := flag("add_space_prefix"); s != nil {
		v.space = *s
	}
	keep(v.check())
	return v, err
}

// check compares the lengths of the lists.
func (v *ggufVocab) check() error {
	n := len(v.tokens)
	switch {
	case n == 0:
		return fmt.Errorf(`metadata "tokenizer.ggml.tokens" is missing or empty`)
	case v.types != nil && len(v.types) != n:
		return fmt.Errorf(`metadata "tokenizer.ggml.token_type": %d types for %d tokens`, len(v.types), n)
	case v.scores != nil && len(v.scores) != n:
		return fmt.Errorf(`metadata "tokenizer.ggml.scores": %d scores for %d tokens`, len(v.scores), n)
	}
	return nil
}

// is reports whether a token is of one of the types.
func (v *ggufVocab) is(id int, types ...int64) bool {
	return v.types != nil && slices.Contains(types, v.types[id])
}

// added lists the tokens that are found in a text before it is cut.
func (v *ggufVocab) added() (list []Added) {
	for id, token := range v.tokens {
		if token != "" && v.is(id, ggufUnknown, ggufControl, ggufUserDefined) {
			list = append(list, Added{ID: id, Content: token, Special: !v.is(id, ggufUserDefined)})
		}
	}
	return list
}

// around returns the step that adds the first and the last token, nil if none is added.
func (v *ggufVocab) around(bos bool) Part {
	if v.addBOS != nil {
		bos = *v.addBOS
	}
	special := func(add bool, id int) []Special {
		if !add || id < 0 {
			return nil
		}
		return []Special{{v.tokens[id], id}}
	}
	before, after := special(bos, v.bos), special(v.addEOS != nil && *v.addEOS, v.eos)
	if before == nil && after == nil {
		return nil
	}
	return Template(before, after)
}

// byteLevel is byte pair encoding of visible characters that stand for bytes.
func (v *ggufVocab) byteLevel() (*Tokenizer, []string, error) {
	cut, ok := ggufCuts[v.pre]
	var notes []string
	if !ok {
		cut = cutGPT2
		name := fmt.Sprintf("%q", v.pre)
		if v.pre == "" {
			name = "none"
		}
		notes = append(notes, fmt.Sprintf("warning: its tokenizer.ggml.pre, %s, is not known here: text is cut as for GPT-2, which may give other tokens than the model was trained with", name))
	}
	model := &BPE{Vocab: v.tokens, IgnoreMerges: cut.ignoreMerges}
	for i, m := range v.merges {
		left, right, ok := strings.Cut(m, " ")
		if !ok || left == "" || right == "" {
			return nil, nil, fmt.Errorf(`metadata "tokenizer.ggml.merges": merge %d, %q, is not of two tokens`, i, m)
		}
		model.Merges = append(model.Merges, [2]string{left, right})
	}
	if v.merges == nil {
		return nil, nil, fmt.Errorf(`metadata "tokenizer.ggml.merges" is missing`)
	}
	t := &Tokenizer{
		Added: v.added(), Normalizer: cut.normalizer, PreTokenizer: PreTokenizers(cut.steps...),
		PostProcessor: v.around(cut.bos), Decoder: ByteLevel(true, true, true), Model: model,
	}
	if t.PostProcessor == nil {
		t.PostProcessor = ByteLevel(true, false, true)
	}
	return t, notes, nil
}

// sentencePiece is byte pair encoding as SentencePiece does it: scores say which pair goes first, and ▁
// stands for a space.
func (v *ggufVocab) sentencePiece() (*Tokenizer, error) {
	if v.scores == nil {
		return nil, fmt.Errorf(`metadata "tokenizer.ggml.scores" is missing`)
	}
	model := &BPE{Vocab: slices.Clone(v.tokens), FuseUnk: true}
	for id, token := range model.Vocab {
		switch {
		case v.is(id, ggufUnknown) && model.Unk == "":
			model.Unk = token
		case v.is(id, ggufByte):
			model.ByteFallback = true
		case v.is(id, ggufUserDefined) && strings.Trim(token, " ") == "":
			model.Vocab[id] = strings.Repeat("▁", len(token)) // files spell these as they are in a text
		}
	}
	model.Merges = mergesByScore(model.Vocab, v.scores, !v.space)
	steps, decode := []Part{}, []Part{Replace(Literal("▁"), " "), ByteFallback(), Fuse()}
	if v.space {
		steps, decode = append(steps, Prepend("▁")), append(decode, Strip(1))
	}
	added := v.added()
	for i := range added {
		added[i].Content = model.Vocab[added[i].ID]
	}
	return &Tokenizer{
		Added: added, Normalizer: Normalizers(append(steps, Replace(Literal(" "), "▁"))...),
		PostProcessor: v.around(true), Decoder: Decoders(decode...), Model: model,
	}, nil
}
