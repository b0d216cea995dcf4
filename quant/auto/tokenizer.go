package auto

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/source"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer/chat"
	"github.com/llama-webgpu/llama-webgpu/format/vocab"
)

// checkTokenizer reports a tokenizer.json that is no JSON. What else keeps a bundle from reading and writing text is
// noted, and told to warn: its weights are none the worse for it, and its tokenizer travels with it all the same.
func (s *checkpoint) checkTokenizer(warn func(string)) error {
	data, made, err := s.Checkpoint.Tokenizer()
	unsupported := errors.Is(err, vocab.ErrUnsupported)
	switch {
	case err != nil && !unsupported:
		return err
	case made != "":
		s.notes = append(s.notes, source.TokenizerName+" was made "+made)
	case data != nil && !json.Valid(data):
		return fmt.Errorf("%s: is not JSON, or is incomplete: download it again, or move it away to do without it", filepath.Join(s.Dir, source.TokenizerName))
	}
	warnings := s.textWarnings(data)
	if unsupported {
		warnings[0] = fmt.Sprintf("%v; %s", err, noText)
	}
	for _, w := range warnings {
		s.notes = append(s.notes, "warning: "+w)
		if warn != nil {
			warn(w)
		}
	}
	return nil
}

// noText is what follows from a tokenizer that is missing or cannot be read.
const noText = "infer will not be able to read or write text, nor will the page; verify and compare take random tokens"

// textWarnings says what will not work with text.
func (s *checkpoint) textWarnings(data []byte) (warnings []string) {
	if data == nil {
		return []string{fmt.Sprintf("%s has no tokenizer (no %s, and no other vocabulary): %s", s.Dir, source.TokenizerName, noText)}
	}
	tok, err := tokenizer.Parse(data)
	if err != nil {
		warnings = append(warnings, fmt.Sprintf("%s: %v: %s", source.TokenizerName, err, noText))
	} else {
		warnings = append(warnings, beyond(tok, s.Weights.Spec().Vocab)...)
		warnings = append(warnings, s.additions(tok)...)
	}
	if text := s.ChatTemplate(); text != "" {
		if _, err := chat.New(text, nil, nil); err != nil {
			warnings = append(warnings, fmt.Sprintf("%v: infer --chat will need another one (--chat-template)", err))
		}
	}
	return warnings
}

// beyond says which tokens of the tokenizer the model does not have.
func beyond(tok *tokenizer.Tokenizer, vocab int) []string {
	if tok.VocabSize() <= vocab {
		return nil
	}
	var some []string
	for id := vocab; id < tok.VocabSize() && len(some) < 4; id++ {
		if text, ok := tok.Token(int32(id)); ok {
			some = append(some, fmt.Sprintf("%q", text))
		}
	}
	w := fmt.Sprintf("%s has tokens up to id %d, but the model has %d: text with one of those beyond (%s…) cannot be fed", source.TokenizerName, tok.VocabSize()-1, vocab, strings.Join(some, ", "))
	if int(tok.Begin()) >= vocab {
		w += "; each text begins with such a one, so infer needs --no-bos"
	}
	return []string{w + "; is it this model's tokenizer?"}
}

// additions says where tokenizer_config.json wants other tokens around a text than tokenizer.json puts there.
func (s *checkpoint) additions(tok *tokenizer.Tokenizer) (warnings []string) {
	before, after := tok.Around()
	for _, a := range []struct {
		key, where string
		ids        []int32
	}{{"add_bos_token", "before", before}, {"add_eos_token", "behind", after}} {
		want, said := s.Checkpoint.Adds(a.key)
		if said && want != (len(a.ids) > 0) {
			does := "puts a token " + a.where
			if len(a.ids) == 0 {
				does = "puts no token " + a.where
			}
			warnings = append(warnings, fmt.Sprintf("tokenizer_config.json says %s: %v, but %s %s a text, and that counts, as in transformers 5", a.key, want, source.TokenizerName, does))
		}
	}
	return warnings
}
