package llm

import (
	"bytes"
	"slices"
	"sync"

	"github.com/llama-webgpu/llama-webgpu/gpu/sample"
)

// lastBreaks remembers which tokens have one of some texts in them: of the texts that were asked for last, mostly the default.
type lastBreaks struct {
	mu    sync.Mutex
	texts []string
	mask  sample.Mask
}

// breaking tells a sampler which tokens end a repetition, if it looks for repetitions.
func (m *Model) breaking(s *sample.Sampler) {
	texts := s.BreaksAt()
	if len(texts) == 0 || m.vocabulary.Tokenizer == nil {
		return
	}
	b := &m.breaks
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mask == nil || !slices.Equal(b.texts, texts) {
		b.texts, b.mask = slices.Clone(texts), m.containing(texts)
	}
	s.Break(b.mask)
}

// containing returns the tokens that have one of some texts in them.
func (m *Model) containing(texts []string) sample.Mask {
	m.pieces.Do(func() { m.pieceBytes = m.vocabulary.Tokenizer.Pieces() })
	mask := make(sample.Mask, (len(m.pieceBytes)+63)/64)
	for id, piece := range m.pieceBytes {
		if slices.ContainsFunc(texts, func(t string) bool { return bytes.Contains(piece, []byte(t)) }) {
			mask[id/64] |= 1 << (id % 64)
		}
	}
	return mask
}
