package vocab

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxPieces is how many pieces a model may have: more than any has, and few enough for int32.
const maxPieces = 1 << 22

// pieceKind is what a piece stands for.
type pieceKind uint64

const (
	pieceNormal      pieceKind = 1
	pieceUnknown     pieceKind = 2
	pieceControl     pieceKind = 3
	pieceUserDefined pieceKind = 4
	pieceUnused      pieceKind = 5
	pieceByte        pieceKind = 6
)

// modelKind is the algorithm that cuts text into pieces.
type modelKind uint64

const (
	kindUnigram modelKind = 1
	kindBPE     modelKind = 2
	kindWord    modelKind = 3
	kindChar    modelKind = 4
)

func (k modelKind) String() string {
	return map[modelKind]string{kindUnigram: "Unigram", kindBPE: "BPE", kindWord: "word", kindChar: "character"}[k]
}

// sentencePiece is what a tokenizer.json needs of a model of SentencePiece.
type sentencePiece struct {
	pieces []piece
	kind   modelKind

	suffix       bool // a mark of white space stands behind a word, not before it
	byteFallback bool
	unk, bos     int // ids, −1: none
	eos, pad     int
	unkPiece     string
	bosPiece     string
	eosPiece     string
	padPiece     string

	charsmap    []byte // the table of the normalizer; nil if there is none
	dummyPrefix bool   // a space goes before a text
	squeeze     bool   // spaces at the ends are removed, of others in a row one stays
	escape      bool   // spaces become ▁
}

type piece struct {
	text  string
	score float32
	kind  pieceKind
}

// parseSentencePiece reads a ModelProto.
func parseSentencePiece(data []byte) (*sentencePiece, error) {
	m := &sentencePiece{
		kind: kindUnigram, bos: 1, eos: 2, pad: -1, unkPiece: "<unk>", bosPiece: "<s>", eosPiece: "</s>", padPiece: "<pad>",
		dummyPrefix: true, squeeze: true, escape: true,
	}
	err := fields(data, func(f field) error {
		switch f.number {
		case 1:
			return f.message("pieces", m.addPiece)
		case 2:
			return f.message("trainer_spec", m.trainer)
		case 3:
			return f.message("normalizer_spec", m.normalizer)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("is not a model of SentencePiece: %w", err)
	}
	return m, m.check()
}

func (m *sentencePiece) check() error {
	switch {
	case len(m.pieces) == 0:
		return errors.New("is not a model of SentencePiece: it has no pieces")
	case m.kind.String() == "":
		return fmt.Errorf("trainer_spec: model_type %d is not one of SentencePiece's", m.kind)
	case m.unk < 0 || m.unk >= len(m.pieces):
		return fmt.Errorf("trainer_spec: unk_id is %d: want one of the %d pieces", m.unk, len(m.pieces))
	}
	return nil
}

func (m *sentencePiece) addPiece(f field) error {
	if f.first {
		if len(m.pieces) == maxPieces {
			return fmt.Errorf("more than %d", maxPieces)
		}
		m.pieces = append(m.pieces, piece{kind: pieceNormal})
	}
	p := &m.pieces[len(m.pieces)-1]
	switch f.number {
	case 1:
		return f.text(&p.text)
	case 2:
		return f.float(&p.score)
	case 3:
		return f.enum((*uint64)(&p.kind))
	}
	return nil
}

func (m *sentencePiece) trainer(f field) error {
	switch f.number {
	case 3:
		return f.enum((*uint64)(&m.kind))
	case 24:
		return f.bool(&m.suffix)
	case 35:
		return f.bool(&m.byteFallback)
	case 40:
		return f.int(&m.unk)
	case 41:
		return f.int(&m.bos)
	case 42:
		return f.int(&m.eos)
	case 43:
		return f.int(&m.pad)
	case 45:
		return f.text(&m.unkPiece)
	case 46:
		return f.text(&m.bosPiece)
	case 47:
		return f.text(&m.eosPiece)
	case 48:
		return f.text(&m.padPiece)
	}
	return nil
}

func (m *sentencePiece) normalizer(f field) error {
	switch f.number {
	case 2:
		return f.bytes(&m.charsmap)
	case 3:
		return f.bool(&m.dummyPrefix)
	case 4:
		return f.bool(&m.squeeze)
	case 5:
		return f.bool(&m.escape)
	}
	return nil
}

// field is a field of a message of Protocol Buffers.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  []byte
	first  bool // of its message; there is one with number 0 if the message is empty
}

// fields calls do with each field of a message.
func fields(data []byte, do func(field) error) error {
	first := true
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, kind, data[n:])
		if size < 0 {
			return fmt.Errorf("field %d: %w", number, protowire.ParseError(size))
		}
		if err := do(field{number, kind, data[n : n+size], first}); err != nil {
			return err
		}
		data, first = data[n+size:], false
	}
	if first {
		return do(field{first: true})
	}
	return nil
}

// want reports a field of another type on the wire.
func (f field) want(kind protowire.Type) error {
	if f.kind != kind {
		return fmt.Errorf("field %d has type %d on the wire: want %d", f.number, f.kind, kind)
	}
	return nil
}

// message reads a field that is a message.
func (f field) message(name string, do func(field) error) error {
	var data []byte
	err := f.bytes(&data)
	if err == nil {
		err = fields(data, do)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (f field) bytes(to *[]byte) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	*to, _ = protowire.ConsumeBytes(f.value)
	return nil
}

func (f field) text(to *string) error {
	var data []byte
	if err := f.bytes(&data); err != nil {
		return err
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("field %d: %q is not UTF-8", f.number, data)
	}
	*to = string(data)
	return nil
}

func (f field) enum(to *uint64) error {
	if err := f.want(protowire.VarintType); err != nil {
		return err
	}
	*to, _ = protowire.ConsumeVarint(f.value)
	return nil
}

// int reads an int32.
func (f field) int(to *int) error {
	var v uint64
	err := f.enum(&v)
	*to = int(int32(v))
	return err
}

func (f field) bool(to *bool) error {
	var v uint64
	err := f.enum(&v)
	*to = v != 0
	return err
}

func (f field) float(to *float32) error {
	if err := f.want(protowire.Fixed32Type); err != nil {
		return err
	}
	v, _ := protowire.ConsumeFixed32(f.value)
	*to = math.Float32frombits(v)
	if *to-*to != 0 {
		return fmt.Errorf("field %d: a score is %g", f.number, *to)
	}
	return nil
}
