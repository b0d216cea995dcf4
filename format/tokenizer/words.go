package tokenizer

import (
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// tidy rejoins English text that was split at punctuation.
var tidy = [][2]string{
	{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
}

func tidied(text string) string {
	for _, t := range tidy { // one after the other, as the library does
		text = strings.ReplaceAll(text, t[0], t[1])
	}
	return text
}

// joinPieces puts spaces between words; tokens that continue a word have a prefix.
type joinPieces struct {
	prefix  string
	cleanup bool
	later   bool // the first token has ended
}

func parseWordPieceDecoder(raw strict.Value) (func() decoder, error) {
	c, err := read[struct {
		Type    string  `json:"type"`
		Prefix  *string `json:"prefix"`
		Cleanup *bool   `json:"cleanup"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"prefix": c.Prefix != nil, "cleanup": c.Cleanup != nil}); err != nil {
		return nil, err
	}
	return func() decoder { return &whole{next: &joinPieces{prefix: *c.Prefix, cleanup: *c.Cleanup}} }, nil
}

func (d *joinPieces) push(token string, end bool, out sink) {
	if d.later {
		rest, goesOn := strings.CutPrefix(token, d.prefix)
		if token = rest; !goesOn {
			token = " " + token
		}
	}
	d.later = true
	if d.cleanup {
		token = tidied(token)
	}
	out(token, end)
}

func (d *joinPieces) flush(sink) {}

// suffixes replaces the suffix that ends words by a space, except for the last token's.
type suffixes struct {
	suffix string
	held   string // the token before
	some   bool
}

func parseBPEDecoder(raw strict.Value) (func() decoder, error) {
	c, err := read[struct {
		Type   string  `json:"type"`
		Suffix *string `json:"suffix"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"suffix": c.Suffix != nil}); err != nil {
		return nil, err
	}
	return func() decoder { return &whole{next: &suffixes{suffix: *c.Suffix}} }, nil
}

func (d *suffixes) push(token string, _ bool, out sink) {
	if d.some {
		out(strings.ReplaceAll(d.held, d.suffix, " "), true)
	}
	d.held, d.some = token, true
}

func (d *suffixes) flush(out sink) {
	if d.some {
		out(strings.ReplaceAll(d.held, d.suffix, ""), true)
	}
	d.held, d.some = "", false
}

// ctc drops repeated tokens and padding.
type ctc struct {
	pad, delimiter string
	cleanup        bool
	last           string
	some           bool
}

func parseCTC(raw strict.Value) (func() decoder, error) {
	c, err := read[struct {
		Type      string  `json:"type"`
		Pad       *string `json:"pad_token"`
		Delimiter *string `json:"word_delimiter_token"`
		Cleanup   *bool   `json:"cleanup"`
	}](raw)
	if err != nil {
		return nil, err
	}
	if err := need(map[string]bool{"pad_token": c.Pad != nil, "word_delimiter_token": c.Delimiter != nil, "cleanup": c.Cleanup != nil}); err != nil {
		return nil, err
	}
	return func() decoder { return &whole{next: &ctc{pad: *c.Pad, delimiter: *c.Delimiter, cleanup: *c.Cleanup}} }, nil
}

func (d *ctc) push(token string, _ bool, out sink) {
	if d.some && token == d.last {
		return
	}
	d.last, d.some = token, true
	token = strings.ReplaceAll(token, d.pad, "")
	if d.cleanup {
		token = strings.ReplaceAll(tidied(token), d.delimiter, " ")
	}
	if token != "" {
		out(token, true)
	}
}

func (d *ctc) flush(sink) { d.some = false }
