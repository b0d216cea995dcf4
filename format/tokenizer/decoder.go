package tokenizer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// A decoder is one step from tokens to text. It receives tokens in parts, the last of which says
// that the token ends, and emits tokens in the same way, as soon as they are final: its output
// never depends on how the input is divided, so that a stream emits the same text in pieces.
type decoder interface {
	push(part string, end bool, out sink)
	flush(out sink) // there are no more tokens
}

type sink func(part string, end bool)

// decodersJSON is a Sequence.
type decodersJSON struct {
	Type string         `json:"type"`
	List []strict.Value `json:"decoders"`
}

func (s decodersJSON) steps() []strict.Value { return s.List }

// parseDecoder returns constructors of a decoder's steps. Without a decoder, tokens are joined
// by spaces.
func parseDecoder(raw strict.Value) ([]func() decoder, error) {
	if absent(raw) {
		return []func() decoder{func() decoder { return &joinBySpaces{} }}, nil
	}
	return parseSteps[decodersJSON](raw, 0, parseOneDecoder)
}

func parseOneDecoder(kind string, raw strict.Value) (func() decoder, error) {
	switch kind {
	case "ByteLevel":
		_, err := readByteLevel(raw)
		return func() decoder { return &whole{next: &byteLevel{}} }, err
	case "ByteFallback":
		_, err := read[plainJSON](raw)
		return func() decoder { return &whole{next: &byteFallback{}} }, err
	case "Fuse":
		_, err := read[plainJSON](raw)
		return func() decoder { return fuse{} }, err
	case "Replace":
		find, content, err := readReplace(raw)
		return func() decoder { return &whole{next: replace{find, content}} }, err
	case "Strip":
		return parseStripDecoder(raw)
	case "WordPiece":
		return parseWordPieceDecoder(raw)
	case "BPEDecoder":
		return parseBPEDecoder(raw)
	case "CTC":
		return parseCTC(raw)
	case "Metaspace":
		m, err := readMetaspace(raw)
		return func() decoder { return &unmark{metaspace: m} }, err
	}
	return nil, unknownKind(kind, "Sequence", "ByteLevel", "ByteFallback", "Fuse", "Replace",
		"Strip", "Metaspace", "WordPiece", "BPEDecoder", "CTC")
}

// whole collects the parts of a token for a step that needs all of it.
type whole struct {
	next  decoder
	parts strings.Builder
}

func (w *whole) push(part string, end bool, out sink) {
	if end && w.parts.Len() == 0 {
		w.next.push(part, true, out)
		return
	}
	w.parts.WriteString(part)
	if end {
		token := w.parts.String()
		w.parts.Reset()
		w.next.push(token, true, out)
	}
}

func (w *whole) flush(out sink) { w.next.flush(out) }

// joinBySpaces puts a space before each token but the first.
type joinBySpaces struct{ inside, some bool }

func (j *joinBySpaces) push(part string, end bool, out sink) {
	if !j.inside && j.some {
		part = " " + part
	}
	j.inside, j.some = !end, true
	out(part, end)
}

func (j *joinBySpaces) flush(sink) {}

// byteLevel turns characters that represent bytes into the bytes, and all tokens into one.
type byteLevel struct{ rest []byte }

func (d *byteLevel) push(token string, _ bool, out sink) {
	d.rest = append(d.rest, bytesOf(token)...)
	d.give(false, out)
}

func (d *byteLevel) give(last bool, out sink) {
	var b strings.Builder
	used := appendValid(&b, d.rest, last)
	d.rest = append(d.rest[:0], d.rest[used:]...)
	out(b.String(), last)
}

func (d *byteLevel) flush(out sink) { d.give(true, out) }

// byteFallback turns runs of <0x00> … <0xFF> into text if all of the run is UTF-8, else each
// byte into U+FFFD. So it holds a run back until the run ends.
type byteFallback struct{ run []byte }

func (d *byteFallback) push(token string, _ bool, out sink) {
	if b, ok := byteToken(token); ok {
		d.run = append(d.run, b)
		return
	}
	d.flush(out)
	out(token, true)
}

func (d *byteFallback) flush(out sink) {
	if len(d.run) > 0 && utf8.Valid(d.run) {
		out(string(d.run), true)
	} else {
		for range d.run {
			out("\uFFFD", true)
		}
	}
	d.run = d.run[:0]
}

func byteToken(token string) (byte, bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}

// fuse joins all tokens into one.
type fuse struct{}

func (fuse) push(part string, _ bool, out sink) { out(part, false) }
func (fuse) flush(out sink)                     { out("", true) }

// replace replaces what a pattern finds in a token.
type replace struct {
	find    pattern
	content string
}

func (d replace) push(token string, end bool, out sink) {
	spans, err := d.in(token)
	if err != nil { // a Stream has no errors
		spans = nil
	}
	out(replaceSpans(token, spans, d.content), end)
}

// in returns where the pattern matches.
func (d replace) in(token string) (spans []span, err error) {
	defer caught(&err)
	return d.find(token), nil
}

func (replace) flush(sink) {}

// strip removes a character up to start times from the start of each token, and up to stop times
// from its end.
type strip struct {
	content     rune
	start, stop int

	begun    bool // there was a character that stays
	stripped int  // at the start of this token
	held     int  // held back at its end, at most stop
}

func parseStripDecoder(raw strict.Value) (func() decoder, error) {
	c, err := read[struct {
		Type    string `json:"type"`
		Content string `json:"content"`
		Start   *int   `json:"start"`
		Stop    *int   `json:"stop"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"start": c.Start != nil, "stop": c.Stop != nil}); err != nil {
		return nil, err
	}
	char, n := utf8.DecodeRuneInString(c.Content)
	if n == 0 || n != len(c.Content) || *c.Start < 0 || *c.Stop < 0 {
		return nil, fmt.Errorf("content %q, start %d, stop %d: want one character and counts", c.Content, *c.Start, *c.Stop)
	}
	return func() decoder { return &strip{content: char, start: *c.Start, stop: *c.Stop} }, nil
}

func (d *strip) push(part string, end bool, out sink) {
	var b strings.Builder
	for _, r := range part {
		switch {
		case r == d.content && !d.begun && d.stripped < d.start:
			d.stripped++
			continue
		case r == d.content && d.held < d.stop:
			d.held++
		case r == d.content:
			b.WriteRune(r)
		default:
			b.WriteString(strings.Repeat(string(d.content), d.held))
			d.held = 0
			b.WriteRune(r)
		}
		d.begun = true
	}
	if end {
		d.begun, d.stripped, d.held = false, 0, 0
	}
	out(b.String(), end)
}

func (d *strip) flush(sink) {}

// unmark turns the marks of Metaspace into spaces, and drops those of the first token if a mark
// is put before the text.
type unmark struct {
	metaspace
	later bool // the first token has ended
}

func (d *unmark) push(part string, end bool, out sink) {
	space := " "
	if !d.later && (d.always || d.first) {
		space = ""
	}
	if end {
		d.later = true
	}
	out(strings.ReplaceAll(part, d.text, space), end)
}

func (d *unmark) flush(sink) {}
