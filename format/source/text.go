package source

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/llama-webgpu/llama-webgpu/format/bundle"
	"github.com/llama-webgpu/llama-webgpu/format/tokenizer"
)

// HasTokenizer reports whether there is a tokenizer to read.
func (m *Model) HasTokenizer() bool {
	if m.Checkpoint != nil {
		data, _, err := m.Checkpoint.Tokenizer()
		return data != nil || err != nil
	}
	return m.Bundle.Manifest.Tokenizer.Size > 0
}

// Tokenizer reads the model's tokenizer. If there is none, the error says so.
func (m *Model) Tokenizer() (*tokenizer.Tokenizer, error) {
	if m.Checkpoint != nil {
		return m.checkpointTokenizer()
	}
	data, err := m.Bundle.Vocab()
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, errors.New(m.Dir + ": the bundle has no " + bundle.VocabName + ": its checkpoint had no tokenizer.json")
	}
	t, err := tokenizer.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(m.Dir, bundle.VocabName), err)
	}
	return t, nil
}

// checkpointTokenizer reads the tokenizer of a checkpoint, or the one made from its other files.
func (m *Model) checkpointTokenizer() (*tokenizer.Tokenizer, error) {
	data, _, err := m.Checkpoint.Tokenizer()
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fmt.Errorf("%s: has no %s, and no other file that one can be made from", m.Dir, TokenizerName)
	}
	t, err := tokenizer.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(m.Dir, TokenizerName), err)
	}
	return t, nil
}

// SpecialTokens returns the texts of special tokens by the names that chat templates use for them.
func (m *Model) SpecialTokens(tok *tokenizer.Tokenizer) map[string]string {
	var names map[string]string
	if m.Checkpoint != nil {
		names = m.Checkpoint.SpecialTokens()
	} else {
		names = m.Bundle.Manifest.Tokenizer.SpecialTokens
	}
	if names != nil {
		return names
	}
	names = map[string]string{}
	if text, ok := tok.Token(int32(m.BOS)); ok {
		names["bos_token"] = text
	}
	if len(m.EOS) > 0 {
		if text, ok := tok.Token(int32(m.EOS[0])); ok {
			names["eos_token"] = text
		}
	}
	return names
}

// ChatTemplate returns the model's chat template, "" if it has none.
func (m *Model) ChatTemplate() string {
	if m.Checkpoint != nil {
		return m.Checkpoint.ChatTemplate()
	}
	return m.Bundle.Manifest.Tokenizer.ChatTemplate
}
