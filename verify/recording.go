package verify

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

// Recording holds a model's logits at the scored positions of windows, float32, outside of memory.
// So several models can be compared, one after the other, with one run of their reference.
type Recording struct {
	data    io.ReaderAt // [windows][scored positions][vocab]
	vocab   int
	windows [][]int32
}

// ReadWriter is where a recording is kept: an *os.File.
type ReadWriter interface {
	io.Writer
	io.ReaderAt
}

// Record runs f over the windows, of one length, and writes its logits to a file that is empty and
// stays open as long as the recording is used.
func Record(ctx context.Context, f Forwarder, windows [][]int32, file ReadWriter, progress func(done, total int)) (*Recording, error) {
	s := &side{name: "reference model", f: f, vocab: f.VocabSize()}
	var row []byte
	for i, w := range windows {
		if len(w) < 4 || len(w) != len(windows[0]) {
			return nil, fmt.Errorf("record: window %d has %d tokens, window 0 has %d; want 4 or more", i, len(w), len(windows[0]))
		}
		s.reset()
		err := s.feed(ctx, w[:len(w)-1], len(w)/2, func(_ int, logits []float32) error {
			row = row[:0]
			for _, v := range logits {
				row = binary.LittleEndian.AppendUint32(row, math.Float32bits(v))
			}
			_, err := file.Write(row)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("record: window %d: %w", i, err)
		}
		if progress != nil {
			progress(i+1, len(windows))
		}
	}
	return &Recording{data: file, vocab: s.vocab, windows: windows}, nil
}

// Play returns the recorded model. It knows only the recorded windows, in their order, each after a
// Reset, and only the logits that were recorded.
func (r *Recording) Play() Forwarder { return &player{Recording: r, window: -1} }

type player struct {
	*Recording
	window, pos int
}

func (p *player) VocabSize() int { return p.vocab }

func (p *player) Reset() { p.window, p.pos = p.window+1, 0 }

// Forward implements Forwarder.
func (p *player) Forward(ctx context.Context, tokens []int32, from int, each func(i int, logits []float32) error) error {
	if p.window < 0 || p.window >= len(p.windows) {
		return fmt.Errorf("recording: window %d of %d", p.window, len(p.windows))
	}
	w := p.windows[p.window]
	if p.pos+len(tokens) >= len(w) || !slices.Equal(tokens, w[p.pos:p.pos+len(tokens)]) {
		return fmt.Errorf("recording: window %d: other tokens than the recorded ones", p.window)
	}
	first, scored := len(w)/2, len(w)-1-len(w)/2
	if from < len(tokens) && p.pos+from < first {
		return fmt.Errorf("recording: window %d: token %d was not recorded, only those from %d on", p.window, p.pos+from, first)
	}
	data, logits := make([]byte, 4*p.vocab), make([]float32, p.vocab)
	for i := from; i < len(tokens); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := int64(p.window*scored+p.pos+i-first) * int64(len(data))
		if n, err := p.data.ReadAt(data, at); n < len(data) {
			return fmt.Errorf("recording: window %d, token %d: %w", p.window, p.pos+i, err)
		}
		for j := range logits {
			logits[j] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*j:]))
		}
		if err := each(i, logits); err != nil {
			return err
		}
	}
	p.pos += len(tokens)
	return nil
}
