package transformer

import (
	"context"
	"fmt"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/gpu"
	"github.com/llama-webgpu/llama-webgpu/gpu/graph"
)

// CopyFrom makes the selected sequence one of the first n tokens of another sequence, without computing them: on the device, it
// copies what the caches hold of them. CanRewind(n) must be true of the other sequence.
func (t *Transformer) CopyFrom(sequence, n int) error {
	s := &t.sequences
	to := s.selected
	if err := t.Select(sequence); err != nil {
		return err
	}
	can, reached := t.CanRewind(n), t.Reached()
	s.selected = to
	switch {
	case sequence == to:
		return t.Rewind(n)
	case n < 0 || !can:
		return fmt.Errorf("the first %d tokens of sequence %d: its caches do not hold all that a token behind them sees", n, sequence)
	}
	if n > 0 {
		if err := t.duplicate(sequence, to, n); err != nil {
			return err
		}
	}
	s.positions[to], s.kept[to], s.reached[to], s.floors[to] = s.positions[sequence], s.kept[sequence], reached, s.floors[sequence]
	return t.Rewind(n)
}

// duplicate runs the copy, which is recorded the first time.
func (t *Transformer) duplicate(from, to, positions int) error {
	if err := t.graph.SetDuplicate(from, to, positions); err != nil {
		return err
	}
	if t.copying == nil {
		pass, err := t.graph.Duplicate()
		if err != nil {
			return err
		}
		if t.copying, err = t.graph.Program(pass); err != nil {
			return err
		}
	}
	return t.dev.Run(t.copying)
}

// Layout describes how the state of a sequence is stored. What ReadHeld returns can be written to another Transformer
// of the same model if both have the same Layout.
func (t *Transformer) Layout() map[string]string {
	var layers []string
	for i := range t.graph.Layers() {
		layers = append(layers, t.layerLayout(i))
	}
	return map[string]string{
		"engine": "GPU", "context": fmt.Sprint(t.opts.MaxSeqLen), "KV bits": fmt.Sprint(t.opts.KVBits), "layers": repeated(layers),
	}
}

func (t *Transformer) layerLayout(i int) string {
	c, y := t.graph.Cache(i), t.Spec().Layer(i)
	if from := t.Spec().KVLayer(i); from != i {
		return fmt.Sprintf("what layer %d has", from)
	}
	state := fmt.Sprintf("a state of %d+%d numbers", y.Recurrence.Tail(), y.Recurrence.Stored())
	if c.K == nil {
		return state
	}
	a := y.Attention.Core()
	heads := fmt.Sprintf("%d heads of %d elements in %d slots of %d bits", a.KVHeads, a.HeadDim, c.Cap, c.Bits)
	if y.Twofold() {
		heads += " beside " + state
	}
	return heads
}

// repeated joins lines, and says of those that repeat how often.
func repeated(lines []string) string {
	var parts []string
	for i := 0; i < len(lines); {
		n := 1
		for i+n < len(lines) && lines[i+n] == lines[i] {
			n++
		}
		parts = append(parts, fmt.Sprintf("%d × %s", n, lines[i]))
		i += n
	}
	return strings.Join(parts, ", ")
}

// Kept reports where the states of the selected sequence were kept, −1: nowhere.
func (t *Transformer) Kept() int { return t.sequences.kept[t.sequences.selected] }

// Held reports how many bytes each part of the selected sequence's state has, which ReadHeld reads and WriteHeld writes.
func (t *Transformer) Held() (bytes []int) {
	for _, r := range t.held() {
		bytes = append(bytes, int(r.Size))
	}
	return bytes
}

func (t *Transformer) held() []gpu.Range {
	return t.graph.Held(t.sequences.selected, t.Position(), t.Kept() >= 0)
}

// Place sets the number of tokens of an empty sequence, the position at which its states were kept (−1: nowhere), and
// how many tokens it had at most (reached). WriteHeld must then write the contents of its caches.
func (t *Transformer) Place(position, kept, reached int) error {
	s := &t.sequences
	most := min(t.most(), graph.MaxPositions)
	if t.Position() != 0 || position < 0 || position > most || kept < -1 || kept > position || kept >= 0 && !t.Recurrent() || reached < position || reached > most {
		return fmt.Errorf("a sequence of %d tokens, kept at %d, once of %d: there is room for %d", position, kept, reached, most)
	}
	s.positions[s.selected], s.kept[s.selected], s.reached[s.selected] = position, kept, reached
	return nil
}

// ReadHeld reads parts of the selected sequence's state, from the first one on, into data: one slice of the part's size for each.
func (t *Transformer) ReadHeld(ctx context.Context, first int, data [][]byte) error {
	parts := t.held()
	for i, part := range data {
		r := parts[first+i]
		if err := t.dev.Read(ctx, r.Buffer, r.Offset, part); err != nil {
			return err
		}
	}
	return nil
}

// WriteHeld writes parts of the selected sequence's state, as ReadHeld has read them.
func (t *Transformer) WriteHeld(first int, data [][]byte) error {
	t.dropLead()
	parts := t.held()
	for i, part := range data {
		r := parts[first+i]
		if err := r.Buffer.Write(r.Offset, part); err != nil {
			return err
		}
	}
	return nil
}
