package hf

import (
	"errors"
	"fmt"

	"github.com/llama-webgpu/llama-webgpu/internal/mapped"
)

// openGGUFCheckpoint opens the model in GGUF files as the checkpoint that it was made of.
func openGGUFCheckpoint(paths []string, edits []Edit, found error) (*Checkpoint, error) {
	if found != nil {
		return nil, found
	}
	m, s, err := openGGUF(paths)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{gguf: m, edited: true, shards: s, files: s.files}
	if err := mapped.Reading(func() error { return c.readGGUF(edits) }); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return c, nil
}

func (c *Checkpoint) readGGUF(edits []Edit) error {
	m := c.gguf
	text, err := m.configuration()
	for _, edit := range edits {
		if err == nil {
			text, err = edit(text)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	c.text = text
	if c.config, err = parseConfig(text); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	c.notes = append(c.config.notes, m.about()...)
	if err := m.fill(c.config, c.shards); err != nil {
		return err
	}
	if err := c.bind(m.path); err != nil {
		return err
	}
	c.special = m.special()
	var list []namedTemplate
	if c.tokens, err = m.tokens(); err == nil {
		list, err = m.templates()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	c.useTemplates(list)
	return nil
}

// ggufFileTypes are the names of general.file_type, which says what most matrices are.
var ggufFileTypes = map[int]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L",
	14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
	23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
	36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4",
}

// about says what the file is.
func (m *ggufModel) about() []string {
	note := fmt.Sprintf("a GGUF file of architecture %s", m.arch)
	if n, ok, err := m.Int("general.file_type"); ok && err == nil && ggufFileTypes[n] != "" {
		note += ", mostly " + ggufFileTypes[n]
	}
	return []string{note}
}
