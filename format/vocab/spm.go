package vocab

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// spm builds a tokenizer.json of a model of SentencePiece.
type spm struct {
	*sentencePiece
	settings *settings
	tokens   []string       // by id; "" where another piece has the same text
	ids      map[string]int // of tokens
}

// spmClasses are the classes of tokenizers with a form of their own, for the kind of model that they want.
var spmClasses = map[string]struct {
	kind  modelKind
	build func(*spm) (*Tokenizer, profile)
}{
	"LlamaTokenizer":     {kindBPE, (*spm).llama},
	"CodeLlamaTokenizer": {kindBPE, (*spm).codeLlama},
	"GemmaTokenizer":     {kindBPE, (*spm).gemma},
	"T5Tokenizer":        {kindUnigram, (*spm).t5},
	"GPTSw3Tokenizer":    {kindBPE, (*spm).gptSW3},
}

// convertSPM builds the tokenizer that the class makes of a model. Where class is "", or wants another kind of
// model, the settings of the model alone decide.
func convertSPM(m *sentencePiece, s *settings, class string) (*Tokenizer, error) {
	switch {
	case m.kind == kindWord:
		return nil, fmt.Errorf("%w: a SentencePiece model of words: a tokenizer.json has BPE and Unigram models only", ErrUnsupported)
	case m.suffix:
		return nil, fmt.Errorf("%w: treat_whitespace_as_suffix: a tokenizer.json cannot put ▁ behind words", ErrUnsupported)
	}
	b := &spm{sentencePiece: m, settings: s, ids: map[string]int{}}
	for _, p := range m.pieces {
		b.tokens = append(b.tokens, p.text)
	}
	b.index()
	build := (*spm).plain
	if m.fits(class) {
		build = spmClasses[class].build
	}
	t, p := build(b)
	s.finish(t, newAdder(b.ids), p)
	return t, nil
}

// fits reports whether a class is for models of this kind.
func (m *sentencePiece) fits(class string) bool {
	kind := spmClasses[class].kind
	return kind == m.kind || kind == kindBPE && m.kind == kindChar
}

// index fills ids. Of tokens that are there twice, the last one stays.
func (b *spm) index() {
	clear(b.ids)
	for id, token := range b.tokens {
		if was, ok := b.ids[token]; ok {
			b.tokens[was] = ""
		}
		if token != "" {
			b.ids[token] = id
		}
	}
}

// pieceTokens returns the pieces that are found in a text before the model sees it.
func (b *spm) pieceTokens(kinds ...pieceKind) []token {
	list := []token{}
	for _, p := range b.pieces {
		if slices.Contains(kinds, p.kind) {
			list = append(list, token{Added: Added{Content: p.text, Special: p.kind == pieceControl}})
		}
	}
	return list
}

// fallback are the decoders that most have.
func fallback(more ...Part) Part {
	return Decoders(append([]Part{Replace(Literal("▁"), " "), ByteFallback(), Fuse()}, more...)...)
}

func (b *spm) llama() (*Tokenizer, profile) {
	s := b.settings
	t := &Tokenizer{Model: &BPE{Vocab: b.tokens, Merges: b.mergesOfAll(), FuseUnk: true, ByteFallback: true}}
	switch {
	case !s.bool("add_prefix_space", true, true):
		t.PreTokenizer, t.Decoder = Metaspace("never", false), fallback()
	case s.bool("legacy", false, false):
		t.PreTokenizer, t.Decoder = Metaspace("always", false), fallback(Strip(1))
	default:
		t.PreTokenizer, t.Decoder = Metaspace("first", false), fallback(Strip(1))
	}
	return t, profile{named: map[string]string{"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}, extra: b.pieceTokens(pieceControl, pieceUserDefined)}
}

func (b *spm) codeLlama() (*Tokenizer, profile) {
	s := b.settings
	_, p := b.llama()
	unk := s.token("unk_token", "<unk>")
	t := &Tokenizer{Model: &BPE{Vocab: b.tokens, Merges: b.mergesOfAll(), FuseUnk: true, ByteFallback: true, Unk: b.known(unk)}}
	t.PreTokenizer, t.Decoder = Metaspace("first", false), fallback(Strip(1))
	if !s.bool("add_prefix_space", true, true) {
		t.PreTokenizer = Metaspace("never", false)
	}
	p.addBOS = true
	p.order = []string{"prefix_token", "middle_token", "suffix_token", "eot_token"}
	for i, infill := range []string{"▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"} {
		p.named[p.order[i]] = infill
		p.extra = append(p.extra, plain(infill))
	}
	p.extra = append(p.extra, plain("<FILL_ME>"))
	return t, p
}

func (b *spm) gemma() (*Tokenizer, profile) {
	unk := b.settings.token("unk_token", "<unk>")
	t := &Tokenizer{
		Normalizer:   Replace(Literal(" "), "▁"),
		PreTokenizer: SplitAfter(Literal(" ")),
		Decoder:      fallback(),
		Model:        &BPE{Vocab: b.tokens, Merges: b.mergesOfAll(), FuseUnk: true, ByteFallback: true, Unk: b.known(unk)},
	}
	return t, profile{
		named: map[string]string{"unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "mask_token": "<mask>"},
		extra: b.pieceTokens(pieceControl, pieceUserDefined),
	}
}

// known returns the text of a token that is in the vocabulary, else "".
func (b *spm) known(t *token) string {
	if t == nil {
		return ""
	}
	if _, ok := b.ids[t.Content]; !ok {
		return ""
	}
	return t.Content
}

// extraIDs is how many sentinels T5 has where nothing is said of it.
const extraIDs = 100

func (b *spm) t5() (*Tokenizer, profile) {
	s, n := b.settings, min(max(b.settings.int("extra_ids", extraIDs), 0), maxReserved)
	u := b.unigram()
	u.UnkID, u.ByteFallback = 2, false
	p := profile{
		named: map[string]string{"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"},
		extra: b.pieceTokens(pieceControl, pieceUserDefined),
	}
	for i := range n {
		u.Vocab = append(u.Vocab, Scored{sentinel(n - 1 - i), 0})
		b.ids[sentinel(n-1-i)] = len(u.Vocab) - 1
		p.extra = append(p.extra, plain(sentinel(i)))
	}
	if eos := s.token("eos_token", "</s>"); eos != nil {
		p.template = Template(nil, []Special{{"</s>", b.ids[eos.Content]}})
	}
	t := &Tokenizer{
		PreTokenizer: PreTokenizers(WhitespaceSplit(), Metaspace("always", true)),
		Decoder:      Metaspace("always", true),
		Model:        u,
	}
	if len(b.charsmap) > 0 {
		t.Normalizer = Precompiled(b.charsmap)
	}
	return t, p
}

func sentinel(i int) string { return fmt.Sprintf("<extra_id_%d>", i) }

func (b *spm) unigram() *Unigram {
	u := &Unigram{UnkID: b.unk, ByteFallback: b.byteFallback}
	for _, p := range b.pieces {
		u.Vocab = append(u.Vocab, Scored{p.text, float64(p.score)})
	}
	return u
}

// plain does what the model says, and what SentencePiece itself does with it.
func (b *spm) plain() (*Tokenizer, profile) {
	legacy := b.settings.bool("legacy", true, false)
	if b.dummyPrefix {
		for i := range b.settings.placed {
			b.settings.placed[i].Normalized = false // so that each text between them gets a prefix
		}
	}
	t := &Tokenizer{}
	var user []string
	if b.kind == kindUnigram {
		t.Model, user = b.unigram(), b.userDefined()
	} else {
		b.rename()
		user = b.userDefined()
		m := &BPE{Vocab: b.tokens, Merges: mergesOfPieces(b.tokens, b.pieces), FuseUnk: true, ByteFallback: b.byteFallback, IgnoreMerges: user != nil}
		m.Unk = cmp.Or(b.known(&token{Added: Added{Content: b.unkPiece}}), b.tokens[b.unk])
		t.Model = m
	}
	t.Normalizer, t.PreTokenizer, t.Decoder = Normalizers(b.spaces(legacy)...), b.cuts(legacy, user), b.joins()
	p := profile{named: map[string]string{}, extra: b.pieceTokens(pieceControl)}
	for _, d := range []struct {
		role, text, usual string
		id                int
	}{{"bos_token", b.bosPiece, "<s>", b.bos}, {"eos_token", b.eosPiece, "</s>", b.eos}, {"unk_token", b.unkPiece, "<unk>", b.unk}} {
		if d.id >= 0 {
			p.named[d.role] = cmp.Or(d.text, d.usual)
		}
	}
	return t, p
}

// gptSW3 drops characters that cannot be seen, and makes all spaces one kind.
func (b *spm) gptSW3() (*Tokenizer, profile) {
	t, p := b.plain()
	clean := []Part{
		Replace(Regex(`[\x{0}-\x{8}\x{B}-\x{1F}\x{7F}-\x{A0}\x{AD}\x{200B}]`), ""),
		Replace(Regex(`[\x{2002}\x{2003}\x{2005}\x{2008}-\x{200A}\x{202F}\x{3000}\x{FFFC}]`), " "),
		NFC(),
	}
	t.Normalizer = Normalizers(append(clean, b.spaces(b.settings.bool("legacy", true, false))...)...)
	p.named["eos_token"], p.named["pad_token"] = endOfText, "<pad>"
	p.plain, p.extra = true, []token{}
	return t, p
}

// rename gives the pieces the names that the files have for their ids.
func (b *spm) rename() {
	names := map[int]string{}
	for _, p := range b.settings.placed {
		names[p.id] = p.Content
	}
	kept := map[string]bool{}
	for id, token := range b.tokens {
		if _, ok := names[id]; !ok {
			kept[token] = true
		}
	}
	for id, name := range names {
		if id < len(b.tokens) && b.tokens[id] != "" && !kept[name] {
			b.tokens[id] = name
		}
	}
	b.index()
}

func (b *spm) userDefined() (list []string) {
	for i, p := range b.pieces {
		if p.kind == pieceUserDefined && b.tokens[i] != "" {
			list = append(list, b.tokens[i])
		}
	}
	return list
}

// spaces returns the normalizers.
func (b *spm) spaces(legacy bool) []Part {
	var n []Part
	if len(b.charsmap) > 0 {
		n = append(n, Precompiled(b.charsmap))
	}
	if b.squeeze {
		n = append(n, Replace(Regex(`\A +| +\z`), ""), Replace(Regex(" {2,}"), " "))
	}
	if b.escape {
		n = append(n, Replace(Literal(" "), "▁"))
	}
	if b.dummyPrefix && legacy { // Metaspace puts no mark before one
		n = append(n, Replace(Regex(`\A▁`), "▁▁"))
	}
	return n
}

// cuts returns the pre-tokenizer, which keeps the pieces of a user whole.
func (b *spm) cuts(legacy bool, user []string) Part {
	var p []Part
	if b.dummyPrefix {
		scheme := "first"
		if legacy {
			scheme = "always"
		}
		p = append(p, Metaspace(scheme, false))
	}
	if user != nil {
		longest := slices.Clone(user)
		slices.SortStableFunc(longest, func(x, y string) int {
			return cmp.Compare(utf8.RuneCountInString(y), utf8.RuneCountInString(x))
		})
		for i, s := range longest {
			longest[i] = quoteRegex(s)
		}
		p = append(p, Split(Regex(strings.Join(longest, "|"))))
	}
	return PreTokenizers(p...)
}

// joins returns the decoder.
func (b *spm) joins() Part {
	d := []Part{Replace(Literal("▁"), " ")}
	if b.byteFallback {
		d = append(d, ByteFallback())
	}
	if b.dummyPrefix || b.byteFallback {
		d = append(d, Fuse())
	}
	if b.dummyPrefix {
		d = append(d, Strip(1))
	}
	return Decoders(d...)
}

// quoteRegex returns an expression that matches s alone.
func quoteRegex(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
