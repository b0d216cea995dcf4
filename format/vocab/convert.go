package vocab

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnsupported says that a file is sound, but cannot be turned into a tokenizer.json.
var ErrUnsupported = errors.New("no tokenizer.json can be made of it")

// Source is a directory of a checkpoint that has no tokenizer.json.
type Source struct {
	Names     []string // of its files
	Read      func(name string) ([]byte, error)
	ModelType string // as config.json says it
	Class     string // tokenizer_class of config.json
}

// Result is a tokenizer.json.
type Result struct {
	JSON []byte
	From string // what it was made of: "tokenizer.model (SentencePiece BPE, 32000 pieces)"

	Files []string          // the vocabulary's
	Roles map[string]string // the texts of special tokens, by names such as bos_token
}

const (
	spmName    = "tokenizer.model"
	vocabName  = "vocab.json"
	mergesName = "merges.txt"
)

// Convert builds the tokenizer.json. It returns nil if there is no file with a vocabulary, and an ErrUnsupported
// if there is only one of a kind, or of a class, that it does not know.
func Convert(src *Source) (*Result, error) {
	file, read := src.choose()
	if file == "" {
		return nil, nil
	}
	s, err := readSettings(src)
	if err != nil {
		return nil, err
	}
	if src.bytesToo(s) {
		file, read = vocabName, readByteLevel
	}
	t, kind, err := read(src, file, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	text, err := t.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r := &Result{JSON: text, From: fmt.Sprintf("%s (%s)", file, kind), Files: []string{file}, Roles: s.roles}
	if file == vocabName {
		r.Files = append(r.Files, mergesName)
	}
	return r, nil
}

// reader builds the tokenizer of a file and says what it is.
type reader func(src *Source, file string, s *settings) (*Tokenizer, string, error)

// choose returns the file with the vocabulary.
func (src *Source) choose() (string, reader) {
	named := func(names ...string) string {
		at := slices.IndexFunc(names, func(n string) bool { return slices.Contains(src.Names, n) })
		if at < 0 {
			return ""
		}
		return names[at]
	}
	like := func(is func(string) bool) string {
		at := slices.IndexFunc(src.Names, is)
		if at < 0 {
			return ""
		}
		return src.Names[at]
	}
	tekkens := func(n string) bool { return strings.Contains(n, "tekken") && strings.HasSuffix(n, ".json") }
	versions := func(n string) bool { return strings.HasPrefix(n, spmName+".") || strings.Contains(n, ".model.v") }
	if file := cmp.Or(named("tekken.json"), like(tekkens)); file != "" {
		return file, readTekken
	}
	if file := cmp.Or(named(spmName, tiktokenName), like(versions), named("spiece.model", "sentencepiece.bpe.model", "spm.model", "sentencepiece.model")); file != "" {
		return file, readModel
	}
	if file := like(func(n string) bool { return strings.HasSuffix(n, ".tiktoken") }); file != "" {
		return file, readTiktoken
	}
	if named(vocabName) != "" && named(mergesName) != "" {
		return vocabName, readByteLevel
	}
	if file := named("vocab.txt", vocabName); file != "" {
		return file, readNothing
	}
	return "", nil
}

// bytesToo reports whether there are files for a class that reads vocab.json and merges.txt, whatever else there is.
func (src *Source) bytesToo(s *settings) bool {
	return byteClasses[src.class(s)] != nil && slices.Contains(src.Names, vocabName) && slices.Contains(src.Names, mergesName)
}

// optional reads a file, nil if it is not there.
func (src *Source) optional(name string) ([]byte, error) {
	if !slices.Contains(src.Names, name) {
		return nil, nil
	}
	return src.Read(name)
}

// class returns the class of the tokenizer as transformers chooses it.
func (src *Source) class(s *settings) string {
	if said := cmp.Or(s.class, src.Class); said != "" && s.foreign && !misnamed[src.ModelType] {
		return Class("", said)
	}
	return Class(src.ModelType, cmp.Or(s.class, src.Class))
}

// Class returns the class of tokenizer that transformers takes for a model type where tokenizer_class, if it is not
// "", says another; "" stands for the one that does what a tokenizer.json or a vocabulary itself says.
func Class(modelType, said string) string {
	said = strings.TrimSuffix(said, "Fast")
	usual := classOf[modelType]
	switch {
	case said == "", misnamed[modelType] && usual != said:
		said = usual
	case usual == genericClass:
		return ""
	}
	if !classes[said] {
		return ""
	}
	return said
}

// Misnamed reports whether the tokenizer_class of many checkpoints of a model type is known to be wrong.
func Misnamed(modelType string) bool { return misnamed[modelType] }

// genericClass is the class that does what the vocabulary itself says.
const genericClass = "TokenizersBackend"

func readTekken(src *Source, file string, s *settings) (*Tokenizer, string, error) {
	data, err := src.Read(file)
	if err != nil {
		return nil, "", err
	}
	v, err := parseTekken(data)
	if err != nil {
		return nil, "", err
	}
	t, special, others, err := convertTekken(v, s)
	return t, fmt.Sprintf("tekken, %d tokens and %d special ones", others, special), err
}

// readModel reads a model of SentencePiece, or what is called so and is a vocabulary of tiktoken.
func readModel(src *Source, file string, s *settings) (*Tokenizer, string, error) {
	data, err := src.Read(file)
	switch {
	case err != nil:
		return nil, "", err
	case isRanks(data):
		return readTiktoken(src, file, s)
	case bytes.HasPrefix(data, []byte("version https://git-lfs")):
		return nil, "", errors.New("is a pointer of git-lfs, not the file: fetch it with git lfs pull")
	}
	m, err := parseSentencePiece(data)
	if err != nil {
		return nil, "", err
	}
	class := src.class(s)
	if _, ok := spmClasses[class]; !ok && class != "" && byteClasses[class] == nil {
		return nil, "", fmt.Errorf("%w: tokenizer_class %s has rules of its own: save a tokenizer.json with transformers' save_pretrained", ErrUnsupported, class)
	}
	t, err := convertSPM(m, s, class)
	what := fmt.Sprintf("SentencePiece %s, %d pieces", m.kind, len(m.pieces))
	if class != "" && !m.fits(class) {
		what += fmt.Sprintf("; tokenizer_class %s is for models of another kind and is passed over", class)
	}
	return t, what, err
}

func readTiktoken(src *Source, file string, s *settings) (*Tokenizer, string, error) {
	data, err := src.Read(file)
	if err != nil {
		return nil, "", err
	}
	r, err := parseRanks(data)
	if err != nil {
		return nil, "", err
	}
	t, how := convertRanks(file, r, s)
	return t, fmt.Sprintf("tiktoken, %d tokens, %s", len(r.rank), how), nil
}

func readByteLevel(src *Source, _ string, s *settings) (*Tokenizer, string, error) {
	class := src.class(s)
	if byteClasses[class] == nil { // where any class would do, the one that is named is right
		class = cmp.Or(s.class, strings.TrimSuffix(src.Class, "Fast"))
	}
	if byteClasses[class] == nil {
		return nil, "", fmt.Errorf("%w: how text is cut follows from tokenizer_class in %s, which is %q", ErrUnsupported, configName, class)
	}
	vocab, err := src.Read(vocabName)
	if err != nil {
		return nil, "", err
	}
	merges, err := src.Read(mergesName)
	if err != nil {
		return nil, "", err
	}
	t, err := convertByteLevel(vocab, merges, s, class)
	if err != nil {
		return nil, "", err
	}
	m := t.Model.(*BPE)
	return t, fmt.Sprintf("byte-level BPE, %d tokens, cut as by %s", len(m.Vocab), class), nil
}

// readNothing names the kinds of vocabularies that have no way into a tokenizer.json.
func readNothing(_ *Source, file string, _ *settings) (*Tokenizer, string, error) {
	if file == vocabName {
		return nil, "", fmt.Errorf("%w: there is no %s beside it", ErrUnsupported, mergesName)
	}
	return nil, "", fmt.Errorf("%w: a WordPiece vocabulary, which only other kinds of models use", ErrUnsupported)
}
