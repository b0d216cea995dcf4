package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Tokenizer returns the checkpoint's tokenizer.json, nil if there is nothing that says how text becomes
// tokens. If it is not a file but was made, made says of what: "from tokenizer.model (…)".
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
}

// readTokenizer does what Tokenizer says, each time anew.
func (c *Checkpoint) readTokenizer() (text []byte, made string, err error) {
	if c.gguf != nil {
		return c.gguf.tokenizer()
	}
	text, err = os.ReadFile(filepath.Join(c.dir, "tokenizer.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err == nil && IsPointer(text) {
		return nil, "", fmt.Errorf("%s: %s", filepath.Join(c.dir, "tokenizer.json"), pointerAdvice)
	}
	return text, "", err
}
