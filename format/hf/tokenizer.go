package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/format/vocab"
	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// Tokenizer returns the checkpoint's tokenizer.json, nil if the checkpoint has no tokenizer. If it was
// made from other files, made says which: "from tokenizer.model (…)".
func (c *Checkpoint) Tokenizer() (text []byte, made string, err error) {
	c.vocab.once.Do(func() { c.vocab.text, c.vocab.made, c.vocab.err = c.readTokenizer() })
	return c.vocab.text, c.vocab.made, c.vocab.err
}

// vocabulary is what Tokenizer returns, once it was asked.
type vocabulary struct {
	once sync.Once
	text []byte
	made string
	err  error

	roles map[string]string // texts of special tokens, where the tokenizer was made and they are known
}

// readTokenizer does what Tokenizer says, each time anew.
func (c *Checkpoint) readTokenizer() (text []byte, made string, err error) {
	if c.gguf != nil {
		err = mapped.Reading(func() (err error) {
			text, made, err = c.gguf.tokenizer()
			return err
		})
		return text, made, err
	}
	text, err = os.ReadFile(filepath.Join(c.dir, "tokenizer.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c.makeTokenizer()
	}
	if err == nil && IsPointer(text) {
		return nil, "", fmt.Errorf("%s: %s", filepath.Join(c.dir, "tokenizer.json"), pointerAdvice)
	}
	return text, "", err
}

// makeTokenizer makes a tokenizer.json of what vocabulary there is.
func (c *Checkpoint) makeTokenizer() (text []byte, made string, err error) {
	src := &vocab.Source{Read: c.readVocabulary, ModelType: c.config.text.string("model_type", ""), Class: c.config.top.string("tokenizer_class", "")}
	if top := c.config.top.string("model_type", ""); top != "" {
		src.ModelType = top
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, "", err
	}
	for _, e := range entries {
		src.Names = append(src.Names, e.Name())
	}
	r, err := vocab.Convert(src)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("%s: %w", c.dir, err)
	case r == nil:
		return nil, "", nil
	}
	for _, name := range r.Files {
		path := filepath.Join(c.dir, name)
		if info, err := os.Stat(path); err == nil {
			c.files = append(c.files, File{path, info.Size()})
		}
	}
	c.vocab.roles = r.Roles
	return r.JSON, "from " + r.From, nil
}

// maxVocabulary is how large the file of a vocabulary may be. Those of the largest models have some 30 MB.
const maxVocabulary = 1 << 28

// readVocabulary reads a file for the vocabulary. Settings of tokens that are no JSON count as empty, of which
// reading the tokens has made a note.
func (c *Checkpoint) readVocabulary(name string) ([]byte, error) {
	path := filepath.Join(c.dir, name)
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.Size() > maxVocabulary {
		return nil, fmt.Errorf("%s: has %d bytes, a vocabulary not more than %d", path, info.Size(), maxVocabulary)
	}
	data, err := os.ReadFile(path)
	if err != nil || name != "tokenizer_config.json" && name != "special_tokens_map.json" {
		return data, err
	}
	if data, _, err = lenient(data); err != nil {
		return []byte("{}"), nil
	}
	return data, nil
}
